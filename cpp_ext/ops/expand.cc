// expand: the input repeated along axes where it has 1, of any type. Attribute `dims`: the sizes of the output, -1 where
// the input's is kept; axes that the input has not come first. Without it there is a second input, s32 or s64 and known before
// the program runs: a shape that the input is broadcast with.

#include "ops/copy.h"
#include "ops/elements.h"

namespace graphopt {

namespace {

class BoundExpand final : public Bound {
 public:
  explicit BoundExpand(StridedCopy copy) : copy_(std::move(copy)) {}

  void run(const Run& run) const override { copy_.run(run.pool, run.inputs[0], run.outputs[0]); }

 private:
  StridedCopy copy_;
};

class Expand final : public Op {
 public:
  Expand(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        given_(!attributes.has("dims")),
        sizes_(given_ ? Integers() : attributes.integers("dims")) {
    attributes.only({"dims"});
    if (sizes_.size() > kMaxRank) throw Invalid("attribute 'dims' has more axes than values can have");
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, given_ ? 2 : 1);
    const Dims& x = inputs[0].dims;
    if (given_) return {Layout(inputs[0].type, broadcast(x, Dims(elements_of(inputs[1], "sizes"))))};
    const int rank = static_cast<int>(sizes_.size());
    if (rank < x.rank()) throw Invalid("attribute 'dims' has fewer axes than " + x.text());
    std::vector<std::int64_t> sizes = sizes_;
    for (int axis = -rank; axis < 0; ++axis) {
      const std::int64_t own = axis < -x.rank() ? 1 : x[axis];
      std::int64_t& size = sizes[static_cast<std::size_t>(axis + rank)];
      if (size == -1) size = own;
      if (size != own && own != 1) throw Invalid("attribute 'dims' does not fit " + x.text());
    }
    return {Layout(inputs[0].type, Dims(sizes))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    const std::vector<Loop> loops = loops_over(outputs[0], {&inputs[0], &outputs[0]});
    return std::make_unique<BoundExpand>(StridedCopy(kernels_, loops, size_of(inputs[0].type)));
  }

  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  bool given_;  // as an input
  Integers sizes_;
};

}  // namespace

std::unique_ptr<Op> make_expand(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Expand>(attributes, kernels);
}

}  // namespace graphopt
