// gather_elements: for each element of the second input, that of the first which lies where it does but for its place along
// `axis`, which the element is; of any type, by s32 or s64. Negative indices count from the end; any other outside of the
// axis is an error of the run, Invalid.

#include <algorithm>
#include <cstring>

#include "ops/broadcast.h"
#include "ops/indices.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlock = 1 << 13;

class BoundGatherElements final : public Bound {
 public:
  BoundGatherElements(const Layout& x, const Layout& indices, int axis)
      : element_(size_of(x.type)), type_(indices.type), size_(x.dims[axis]), count_(indices.dims.count()) {
    const std::vector<std::int64_t> strides = strides_of(x);
    step_ = strides[static_cast<std::size_t>(axis)];
    for (int i = 0; i < x.dims.rank(); ++i) {
      loops_.push_back({indices.dims[i], {i == axis ? 0 : strides[static_cast<std::size_t>(i)]}});
    }
  }

  void run(const Run& run) const override {
    for (std::int64_t i = 0; i < count_; ++i) expect_index(index_at(type_, run.inputs[1], i), size_);
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<unsigned char*>(run.outputs[0]);
    run.pool.run((count_ + kBlock - 1) / kBlock, [&](std::int64_t block) {
      for (std::int64_t i = block * kBlock; i < std::min((block + 1) * kBlock, count_); ++i) {
        const std::int64_t index = index_at(type_, run.inputs[1], i);
        std::int64_t at[] = {(index < 0 ? index + size_ : index) * step_};
        advance(loops_, i, at);
        std::memcpy(to + static_cast<std::size_t>(i) * element_, from + static_cast<std::size_t>(at[0]) * element_, element_);
      }
    });
  }

 private:
  std::size_t element_;
  Type type_;
  std::int64_t size_;
  std::int64_t step_ = 1;
  std::int64_t count_;
  std::vector<Loop> loops_;  // over the indices: distances in the first input
};

class GatherElements final : public Op {
 public:
  explicit GatherElements(const Attributes& attributes)
      : axis_(static_cast<int>(attributes.integer_in("axis", 0, kMaxRank - 1))) {
    attributes.only({"axis"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 2);
    const Dims& x = inputs[0].dims;
    const Dims& indices = inputs[1].dims;
    expect_indices(inputs[1]);
    bool fits = indices.rank() == x.rank() && axis_ < x.rank();
    for (int axis = 0; fits && axis < x.rank(); ++axis) fits = axis == axis_ || indices[axis] <= x[axis];
    if (!fits) throw Invalid("indices " + indices.text() + " do not fit " + x.text());
    return {Layout(inputs[0].type, indices)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    return std::make_unique<BoundGatherElements>(inputs[0], inputs[1], axis_);
  }

 private:
  int axis_;
};

}  // namespace

std::unique_ptr<Op> make_gather_elements(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<GatherElements>(attributes);
}

}  // namespace graphopt
