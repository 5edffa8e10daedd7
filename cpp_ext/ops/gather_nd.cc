// gather_nd: parts of the first input; the last axis of the second has the indices of each, along as many axes behind the
// first `batch` ones, which both inputs have; of any type, by s32 or s64. Negative indices count from the end; any other
// outside of its axis is an error of the run, Invalid.

#include <cstring>

#include "ops/indices.h"

namespace graphopt {

namespace {

class BoundGatherNd final : public Bound {
 public:
  BoundGatherNd(const Layout& x, const Layout& indices, int batch) : type_(indices.type), count_(indices.dims.rows()) {
    const std::int64_t depth = indices.dims[-1];
    for (int axis = 0; axis < batch; ++axis) batches_ *= x.dims[axis];
    for (int axis = batch; axis < x.dims.rank(); ++axis) {
      if (axis < batch + depth) {
        sizes_.push_back(x.dims[axis]);
        parts_ *= x.dims[axis];
      } else {
        bytes_ *= x.dims[axis];
      }
    }
    bytes_ *= static_cast<std::int64_t>(size_of(x.type));
  }

  void run(const Run& run) const override {
    const auto depth = static_cast<std::int64_t>(sizes_.size());
    for (std::int64_t i = 0; i < count_ * depth; ++i) {
      expect_index(index_at(type_, run.inputs[1], i), sizes_[static_cast<std::size_t>(i % depth)]);
    }
    if (bytes_ == 0 || count_ == 0) return;
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<unsigned char*>(run.outputs[0]);
    const std::int64_t own = count_ / batches_;
    run.pool.run(batches_, [&](std::int64_t batch) {
      for (std::int64_t i = batch * own; i < (batch + 1) * own; ++i) {
        std::int64_t part = 0;
        for (std::int64_t axis = 0; axis < depth; ++axis) {
          const std::int64_t size = sizes_[static_cast<std::size_t>(axis)];
          const std::int64_t index = index_at(type_, run.inputs[1], i * depth + axis);
          part = part * size + (index < 0 ? index + size : index);
        }
        std::memcpy(to + i * bytes_, from + (batch * parts_ + part) * bytes_, static_cast<std::size_t>(bytes_));
      }
    });
  }

 private:
  Type type_;
  std::int64_t count_;
  std::vector<std::int64_t> sizes_;  // of the axes of indices
  std::int64_t batches_ = 1;
  std::int64_t parts_ = 1;  // of a batch
  std::int64_t bytes_ = 1;  // of a part
};

class GatherNd final : public Op {
 public:
  explicit GatherNd(const Attributes& attributes)
      : batch_(static_cast<int>(attributes.integer_in("batch", 0, kMaxRank - 1))) {
    attributes.only({"batch"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 2);
    const Dims& x = inputs[0].dims;
    const Dims& indices = inputs[1].dims;
    expect_indices(inputs[1]);
    bool fits = indices.rank() > batch_ && x.rank() >= batch_ && indices[-1] <= x.rank() - batch_;
    for (int axis = 0; fits && axis < batch_; ++axis) fits = indices[axis] == x[axis];
    if (!fits) throw Invalid("indices " + indices.text() + " do not fit " + x.text());
    std::vector<std::int64_t> sizes;
    for (int axis = 0; axis + 1 < indices.rank(); ++axis) sizes.push_back(indices[axis]);
    for (int axis = batch_ + static_cast<int>(indices[-1]); axis < x.rank(); ++axis) sizes.push_back(x[axis]);
    return {Layout(inputs[0].type, Dims(sizes))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    return std::make_unique<BoundGatherNd>(inputs[0], inputs[1], batch_);
  }

 private:
  int batch_;
};

}  // namespace

std::unique_ptr<Op> make_gather_nd(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<GatherNd>(attributes);
}

}  // namespace graphopt
