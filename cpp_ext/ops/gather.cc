// gather: the parts of the first input, along `axis`, that the second names; of any type, by s32 or s64. Negative
// indices count from the end; any other outside of the axis is an error of the run, Invalid.

#include <cstring>

#include "ops/indices.h"

namespace graphopt {

namespace {

class BoundGather final : public Bound {
 public:
  BoundGather(const Layout& x, const Layout& indices, int axis)
      : size_(x.dims[axis]), type_(indices.type), count_(indices.dims.count()) {
    for (int i = 0; i < axis; ++i) outer_ *= x.dims[i];
    for (int i = axis + 1; i < x.dims.rank(); ++i) inner_ *= x.dims[i];
    inner_ *= static_cast<std::int64_t>(size_of(x.type));
  }

  void run(const Run& run) const override {
    for (std::int64_t i = 0; i < count_; ++i) expect_index(index_at(type_, run.inputs[1], i), size_);
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<unsigned char*>(run.outputs[0]);
    if (inner_ == 0) return;
    run.pool.run(outer_, [&](std::int64_t outer) {
      for (std::int64_t i = 0; i < count_; ++i) {
        const std::int64_t index = index_at(type_, run.inputs[1], i);
        std::memcpy(to + (outer * count_ + i) * inner_,
                    from + (outer * size_ + (index < 0 ? index + size_ : index)) * inner_,
                    static_cast<std::size_t>(inner_));
      }
    });
  }

 private:
  std::int64_t size_;
  Type type_;
  std::int64_t count_;
  std::int64_t outer_ = 1;
  std::int64_t inner_ = 1;  // bytes
};

class Gather final : public Op {
 public:
  explicit Gather(const Attributes& attributes)
      : axis_(static_cast<int>(attributes.integer_in("axis", -kMaxRank, kMaxRank - 1))) {
    attributes.only({"axis"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 2);
    const Dims& x = inputs[0].dims;
    const Dims& indices = inputs[1].dims;
    expect_indices(inputs[1]);
    const int axis = axis_of(x);
    std::vector<std::int64_t> sizes;
    for (int i = 0; i < axis; ++i) sizes.push_back(x[i]);
    for (int i = 0; i < indices.rank(); ++i) sizes.push_back(indices[i]);
    for (int i = axis + 1; i < x.rank(); ++i) sizes.push_back(x[i]);
    return {Layout(inputs[0].type, Dims(sizes))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    return std::make_unique<BoundGather>(inputs[0], inputs[1], axis_of(inputs[0].dims));
  }

 private:
  int axis_of(const Dims& dims) const {
    const int axis = axis_ < 0 ? axis_ + dims.rank() : axis_;
    if (axis < 0 || axis >= dims.rank()) throw Invalid("attribute 'axis' is none of " + dims.text());
    return axis;
  }

  int axis_;
};

}  // namespace

std::unique_ptr<Op> make_gather(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Gather>(attributes);
}

}  // namespace graphopt
