// slice: a part of some axes, of any type.
//
// Attributes `starts`, `ends`, `steps`, `axes`, as ONNX's Slice has them. Without `starts` and `ends` these are two more
// inputs, s32 or s64, and known before the program runs.

#include <algorithm>

#include "ops/copy.h"
#include "ops/elements.h"

namespace graphopt {

namespace {

class BoundSlice final : public Bound {
 public:
  BoundSlice(StridedCopy copy, std::int64_t begin) : copy_(std::move(copy)), begin_(begin) {}

  void run(const Run& run) const override {
    copy_.run(run.pool, static_cast<const unsigned char*>(run.inputs[0]) + begin_, run.outputs[0]);
  }

 private:
  StridedCopy copy_;
  std::int64_t begin_;  // bytes
};

// What is taken of one axis.
struct Part {
  std::int64_t start;
  std::int64_t step;
  std::int64_t size;
};

class Slice final : public Op {
 public:
  Slice(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        axes_(attributes.integers("axes")),
        given_(!attributes.has("starts") && !attributes.has("ends")),
        starts_(given_ ? Integers() : attributes.integers("starts", axes_.size())),
        ends_(given_ ? Integers() : attributes.integers("ends", axes_.size())),
        steps_(attributes.integers("steps", axes_.size(), Integers(axes_.size(), 1))) {
    attributes.only({"starts", "ends", "steps", "axes"});
    for (const std::int64_t step : steps_) {
      if (step == 0 || step > kMaxElements || step < -kMaxElements) {
        throw Invalid("attribute 'steps' has " + std::to_string(step));
      }
    }
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, given_ ? 3 : 1);
    std::vector<std::int64_t> sizes;
    for (const Part& part : parts(inputs)) sizes.push_back(part.size);
    return {Layout(inputs[0].type, Dims(sizes))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    const std::vector<std::int64_t> from = strides_of(inputs[0]);
    const std::vector<std::int64_t> to = strides_of(outputs[0]);
    const std::vector<Part> taken = parts(inputs);
    std::vector<Loop> loops;
    std::int64_t begin = 0;
    for (std::size_t axis = 0; axis < taken.size(); ++axis) {
      loops.push_back({taken[axis].size, {from[axis] * taken[axis].step, to[axis]}});
      begin += taken[axis].start * from[axis];
    }
    const std::size_t size = size_of(inputs[0].type);
    return std::make_unique<BoundSlice>(StridedCopy(kernels_, loops, size), begin * static_cast<std::int64_t>(size));
  }

  std::int64_t view(const Layouts& inputs, Layout& output) const override {
    const Layout& input = inputs[0];
    const std::vector<std::int64_t> strides = strides_of(input);
    std::int64_t begin = 0;
    bool outermost = true;
    int axis = 0;
    for (const Part& part : parts(inputs)) {
      const bool whole = part.size == input.dims[axis];
      // Rows that are left out between images would leave the others unevenly apart.
      if (part.size == 0 || (part.step != 1 && !(whole && part.size == 1))) return -1;
      if (!whole && !outermost && axis + 1 < input.dims.rank()) return -1;
      begin += part.start * strides[static_cast<std::size_t>(axis)];
      outermost = outermost && part.size == 1;
      ++axis;
    }
    output.pitch = input.pitch;
    return begin;
  }

  bool pitched() const override { return true; }

 private:
  // The starts (1) or ends (2) among the inputs.
  Integers bounds(const Layouts& inputs, std::size_t index) const {
    Integers elements = elements_of(inputs[index], index == 1 ? "starts" : "ends");
    if (elements.size() != axes_.size()) throw Invalid("starts and ends are as many as 'axes'");
    return elements;
  }

  std::vector<Part> parts(const Layouts& inputs) const {
    const Dims& dims = inputs[0].dims;
    const Integers starts = given_ ? bounds(inputs, 1) : starts_;
    const Integers ends = given_ ? bounds(inputs, 2) : ends_;
    std::vector<Part> all;
    for (int axis = 0; axis < dims.rank(); ++axis) all.push_back({0, 1, dims[axis]});
    std::vector<bool> taken(all.size());
    for (std::size_t i = 0; i < axes_.size(); ++i) {
      const std::int64_t axis = axes_[i] < 0 ? axes_[i] + dims.rank() : axes_[i];
      if (axis < 0 || axis >= dims.rank() || taken[static_cast<std::size_t>(axis)]) {
        throw Invalid("attribute 'axes' does not fit " + dims.text());
      }
      taken[static_cast<std::size_t>(axis)] = true;
      const std::int64_t size = dims[static_cast<int>(axis)];
      const std::int64_t step = steps_[i];
      const std::int64_t lowest = step > 0 ? 0 : -1;
      const std::int64_t highest = step > 0 ? size : size - 1;
      const auto bound = [&](std::int64_t place) {
        return std::clamp(place < 0 ? std::max(place, -2 * kMaxElements) + size : place, lowest, highest);
      };
      // A start below the first element is the first one, whatever the direction.
      const std::int64_t start = std::max<std::int64_t>(bound(starts[i]), 0);
      const std::int64_t room = step > 0 ? bound(ends[i]) - start : start - bound(ends[i]);
      const std::int64_t length = step > 0 ? step : -step;
      all[static_cast<std::size_t>(axis)] = {start, step, size == 0 || room <= 0 ? 0 : (room + length - 1) / length};
    }
    return all;
  }

  const kernels::Table& kernels_;
  Integers axes_;
  bool given_;  // as inputs
  Integers starts_;
  Integers ends_;
  Integers steps_;
};

}  // namespace

std::unique_ptr<Op> make_slice(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Slice>(attributes, kernels);
}

}  // namespace graphopt
