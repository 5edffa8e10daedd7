// shape: sizes of axes of the input, s64. Attribute `axes`. Of the elements it reads nothing.

#include "ops/op.h"

namespace graphopt {

namespace {

class BoundShape final : public Bound {
 public:
  explicit BoundShape(std::vector<std::int64_t> sizes) : sizes_(std::move(sizes)) {}

  void run(const Run& run) const override {
    std::copy(sizes_.begin(), sizes_.end(), static_cast<std::int64_t*>(run.outputs[0]));
  }

 private:
  std::vector<std::int64_t> sizes_;
};

class Shape final : public Op {
 public:
  explicit Shape(const Attributes& attributes) : axes_(attributes.integers("axes")) { attributes.only({"axes"}); }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    const Dims& x = inputs[0].dims;
    for (const std::int64_t axis : axes_) {
      if (axis < 0 || axis >= x.rank()) throw Invalid("attribute 'axes' has one that " + x.text() + " has not");
    }
    return {Layout(Type::kS64, Dims({static_cast<std::int64_t>(axes_.size())}))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    std::vector<std::int64_t> sizes;
    for (const std::int64_t axis : axes_) sizes.push_back(inputs[0].dims[static_cast<int>(axis)]);
    return std::make_unique<BoundShape>(std::move(sizes));
  }

  bool of_sizes() const override { return true; }
  bool pitched() const override { return true; }

 private:
  Integers axes_;
};

}  // namespace

std::unique_ptr<Op> make_shape(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Shape>(attributes);
}

}  // namespace graphopt
