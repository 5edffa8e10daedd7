// reshape: the same elements with other axes. Attribute `dims`: 0 takes the size of that axis, -1 what is left.
// Without it they are a second input, s32 or s64 and known before the program runs; if `zeros` is 1, 0 is a size like others
// there.

#include <algorithm>

#include "ops/copy.h"
#include "ops/elements.h"

namespace graphopt {

namespace {

class BoundReshape final : public Bound {
 public:
  BoundReshape(const kernels::Table& kernels, std::int64_t count, std::size_t size)
      : copy_(kernels, {{count, {1, 1}}}, size) {}

  void run(const Run& run) const override {
    if (run.inputs[0] != run.outputs[0]) copy_.run(run.pool, run.inputs[0], run.outputs[0]);
  }

 private:
  StridedCopy copy_;
};

class Reshape final : public Op {
 public:
  Reshape(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels), given_(!attributes.has("dims")) {
    attributes.only({"dims", "zeros"});
    if (attributes.has("zeros")) zeros_ = attributes.integer_in("zeros", 0, given_ ? 1 : 0) == 1;
    if (!given_) dims_ = checked(attributes.integers("dims"));
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, given_ ? 2 : 1);
    const Dims& x = inputs[0].dims;
    std::vector<std::int64_t> sizes = given_ ? checked(elements_of(inputs[1], "sizes")) : dims_;
    // Axes that are taken count on neither side: what is left is known even if one of them has no size.
    std::int64_t* left = nullptr;
    Integers given, rest;
    for (std::size_t axis = 0; axis < std::max(sizes.size(), static_cast<std::size_t>(x.rank())); ++axis) {
      const bool theirs = axis < static_cast<std::size_t>(x.rank());
      if (axis < sizes.size() && sizes[axis] == 0 && !zeros_) {
        if (!theirs) throw Invalid("attribute 'dims' has a 0 that " + x.text() + " has no axis for");
        sizes[axis] = x[static_cast<int>(axis)];
        continue;
      }
      if (theirs) rest.push_back(x[static_cast<int>(axis)]);
      if (axis >= sizes.size()) continue;
      if (sizes[axis] == -1) {
        left = &sizes[axis];
      } else {
        given.push_back(sizes[axis]);
      }
    }
    if (left != nullptr) {
      const std::int64_t others = Dims(given).count();
      *left = others == 0 ? 0 : Dims(rest).count() / others;
    }
    const Dims y(sizes);
    if (y.count() != x.count()) throw Invalid(x.text() + " does not become " + y.text());
    return {Layout(inputs[0].type, y)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    return std::make_unique<BoundReshape>(kernels_, inputs[0].dims.count(), size_of(inputs[0].type));
  }

  bool in_place(std::size_t index, const Layouts&) const override { return index == 0; }

  std::int64_t view(const Layouts& inputs, Layout& output) const override {
    const Layout& input = inputs[0];
    if (input.dense()) {
      output.pitch = output.dims.columns();
    } else if (input.dims.columns() == output.dims.columns()) {
      output.pitch = input.pitch;
    } else {
      return -1;
    }
    return 0;
  }

 private:
  static Integers checked(const Integers& dims) {
    int left = 0;
    for (const std::int64_t size : dims) {
      if (size < -1) throw Invalid("attribute 'dims' has " + std::to_string(size));
      if (size == -1) ++left;
    }
    if (left > 1) throw Invalid("attribute 'dims' has more than one -1");
    return dims;
  }

  const kernels::Table& kernels_;
  bool given_;  // as an input
  bool zeros_ = false;
  Integers dims_;
};

}  // namespace

std::unique_ptr<Op> make_reshape(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Reshape>(attributes, kernels);
}

}  // namespace graphopt
