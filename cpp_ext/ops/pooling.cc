// Sizes of pooled images, as ONNX defines them.

#include "ops/pooling.h"

namespace graphopt {

namespace {

constexpr std::int64_t kMostSteps = 1 << 20;

void copy_checked(const Integers& from, std::int64_t low, const char* name, std::int64_t* to) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (from[i] < low || from[i] > kMostSteps) {
      throw Invalid(std::string("attribute '") + name + "' has " + std::to_string(from[i]));
    }
    to[i] = from[i];
  }
}

}  // namespace

Pooling::Pooling(const Attributes& attributes, bool dilated) {
  copy_checked(attributes.integers("kernel", 2), 1, "kernel", kernel_);
  copy_checked(attributes.integers("strides", 2), 1, "strides", strides_);
  copy_checked(attributes.integers("pads", 4), 0, "pads", pads_);
  copy_checked(dilated ? attributes.integers("dilations", 2, {1, 1}) : Integers{1, 1}, 1, "dilations", dilations_);
  ceil_ = attributes.has("ceil") && attributes.integer_in("ceil", 0, 1) == 1;
  for (int side = 0; side < 2; ++side) {
    if (pads_[side] >= extent(side) || pads_[side + 2] >= extent(side)) {
      throw Invalid("attribute 'pads' holds whole windows");
    }
  }
}

Dims Pooling::result(const Dims& x) const {
  if (x.rank() != 4) throw Invalid("an image has axes N, H, W, C; " + x.text() + " has not");
  std::vector<std::int64_t> sizes = {x[0], 0, 0, x[3]};
  for (int side = 0; side < 2; ++side) {
    const std::int64_t size = x[1 + side];
    const std::int64_t room = size + pads_[side] + pads_[side + 2] - extent(side);
    // A window that is larger than the image by less than a stride has a place: onnxruntime rounds to 0.
    std::int64_t steps = room / strides_[side];
    if (size == 0 || steps < -1) throw Invalid("the window is larger than the image " + x.text());
    // The last window may go beyond the padding, but must not begin there.
    if (ceil_ && room > 0 && room % strides_[side] != 0 && (steps + 1) * strides_[side] < size + pads_[side]) ++steps;
    sizes[static_cast<std::size_t>(1 + side)] = steps + 1;
  }
  return Dims(sizes);
}

Pooling::Span Pooling::span(int side, std::int64_t position, std::int64_t size) const {
  const std::int64_t dilation = dilations_[side];
  const std::int64_t begin = position * strides_[side] - pads_[side];
  const auto places_below = [&](std::int64_t limit) {
    return std::clamp<std::int64_t>((limit - begin + dilation - 1) / dilation, 0, kernel_[side]);
  };
  const std::int64_t before = begin < 0 ? std::min((-begin + dilation - 1) / dilation, kernel_[side]) : 0;
  const std::int64_t taps = begin < size ? std::max<std::int64_t>(places_below(size) - before, 0) : 0;
  // Where no place is in the image, nothing is read.
  return {taps == 0 ? 0 : begin + before * dilation, taps, places_below(size + pads_[side + 2])};
}

}  // namespace graphopt
