// transpose: axes in another order, of any type. Attribute `perm`: the axis of the input that each of the output is.

#include "ops/copy.h"

namespace graphopt {

namespace {

class BoundTranspose final : public Bound {
 public:
  explicit BoundTranspose(StridedCopy copy) : copy_(std::move(copy)) {}

  void run(const Run& run) const override { copy_.run(run.pool, run.inputs[0], run.outputs[0]); }

 private:
  StridedCopy copy_;
};

class Transpose final : public Op {
 public:
  Transpose(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels), perm_(attributes.integers("perm")) {
    attributes.only({"perm"});
    for (std::size_t i = 0; i < perm_.size(); ++i) {
      bool known = perm_[i] >= 0 && perm_[i] < static_cast<std::int64_t>(perm_.size());
      for (std::size_t before = 0; before < i; ++before) known = known && perm_[before] != perm_[i];
      if (!known) throw Invalid("attribute 'perm' does not name each axis once");
    }
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    const Dims& x = inputs[0].dims;
    if (static_cast<std::size_t>(x.rank()) != perm_.size()) throw Invalid("attribute 'perm' is not for " + x.text());
    std::vector<std::int64_t> sizes;
    for (const std::int64_t axis : perm_) sizes.push_back(x[static_cast<int>(axis)]);
    return {Layout(inputs[0].type, Dims(sizes))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    const std::vector<std::int64_t> from = strides_of(inputs[0]);
    const std::vector<std::int64_t> to = strides_of(outputs[0]);
    std::vector<Loop> loops;
    for (std::size_t i = 0; i < perm_.size(); ++i) {
      loops.push_back({outputs[0].dims[static_cast<int>(i)], {from[static_cast<std::size_t>(perm_[i])], to[i]}});
    }
    return std::make_unique<BoundTranspose>(StridedCopy(kernels_, loops, size_of(inputs[0].type)));
  }

  std::int64_t view(const Layouts& inputs, Layout& output) const override {
    const Layout& input = inputs[0];
    std::int64_t last = -1;
    for (const std::int64_t axis : perm_) {
      if (input.dims[static_cast<int>(axis)] == 1) continue;
      if (axis < last) return -1;
      last = axis;
    }
    if (!input.dense()) return -1;
    output.pitch = output.dims.columns();
    return 0;
  }

  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  Integers perm_;
};

}  // namespace

std::unique_ptr<Op> make_transpose(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Transpose>(attributes, kernels);
}

}  // namespace graphopt
