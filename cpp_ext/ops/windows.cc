// Bounds keep all sums and products of sizes far from overflow.

#include "ops/windows.h"

namespace graphopt {

namespace {

constexpr std::int64_t kMaxStep = 1 << 20;
constexpr std::int64_t kMaxTaps = 4096;

void read(const Attributes& attributes, const char* name, std::size_t count, std::int64_t low, std::int64_t* to) {
  const Integers& values = attributes.integers(name, count);
  for (std::size_t i = 0; i < count; ++i) {
    if (values[i] < low || values[i] > kMaxStep) {
      throw Invalid("attribute '" + std::string(name) + "' has " + std::to_string(values[i]) + ", outside " +
                    std::to_string(low) + ".." + std::to_string(kMaxStep));
    }
    to[i] = values[i];
  }
}

}  // namespace

const std::vector<const char*>& Windows::names() {
  static const std::vector<const char*> all = {"weights", "strides", "pads", "dilations", "groups"};
  return all;
}

Windows::Windows(const Attributes& attributes, Type weights, bool is_transposed) : transposed(is_transposed) {
  const Array& given = attributes.array("weights", weights);
  if (given.dims.rank() != 4) {
    throw Invalid("attribute 'weights' is " + given.dims.text() + ", not [O, kh, kw, I / groups]");
  }
  columns = given.dims[0];
  kernel[0] = given.dims[1];
  kernel[1] = given.dims[2];
  depth = given.dims[3];
  if (given.dims.count() == 0) throw Invalid("attribute 'weights' is empty");
  if (kernel[0] * kernel[1] > kMaxTaps) {
    throw Invalid("a window of more than " + std::to_string(kMaxTaps) + " elements: " + given.dims.text());
  }
  read(attributes, "strides", 2, 1, strides);
  read(attributes, "pads", 4, 0, pads);
  read(attributes, "dilations", 2, 1, dilations);
  if (transposed) read(attributes, "output_padding", 2, 0, output_padding);
  if (transposed && strides[0] * strides[1] > kMaxTaps) {
    throw Invalid("strides of " + std::to_string(strides[0]) + " and " + std::to_string(strides[1]));
  }
  groups = attributes.integer_in("groups", 1, columns);
  if (columns % groups != 0) {
    throw Invalid(std::to_string(columns) + " channels in " + std::to_string(groups) + " groups");
  }
  static_cast<void>(Dims({depth, groups, kernel[0] * kernel[1]}));
}

Dims Windows::result(const Dims& x) const {
  if (x.rank() != 4 || x[3] != channels()) {
    throw Invalid("takes images [N, H, W, " + std::to_string(channels()) + "], not " + x.text());
  }
  std::int64_t sizes[2];
  for (int side = 0; side < 2; ++side) {
    const std::int64_t padding = pads[side] + pads[side + 2];
    std::int64_t size = 0;
    if (transposed) {
      size = (x[side + 1] - 1) * strides[side] - padding + extent(side) + output_padding[side];
    } else {
      const std::int64_t room = x[side + 1] + padding - extent(side);
      size = room < 0 ? 0 : room / strides[side] + 1;
    }
    if (size < 1) throw Invalid("nothing is left of " + x.text());
    sizes[side] = size;
  }
  return {x[0], sizes[0], sizes[1], columns};
}

}  // namespace graphopt
