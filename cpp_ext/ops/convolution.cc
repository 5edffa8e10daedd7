// Bounds keep all sums and products of sizes far from overflow.

#include "ops/convolution.h"

#include <algorithm>

#include "ops/codes.h"

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

const std::vector<const char*>& Convolution::names() {
  static const std::vector<const char*> all = {"weights", "strides",      "pads",        "dilations", "groups",
                                               "x_scale", "weight_scale", "weight_zero", "bias",      "x_zero"};
  return all;
}

Convolution::Convolution(const Attributes& attributes, bool is_transposed) : transposed(is_transposed) {
  const Array& given = attributes.array("weights", Type::kS8);
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
  x_zero = attributes.integer_in("x_zero", -128, 255);
  const float x_scale = scale_of(attributes, "x_scale");
  scales = scales_by_column(attributes, "weight_scale", columns);
  for (float& scale : scales) scale = x_scale * scale;
  zeros = integers_by_column(attributes, "weight_zero", columns);
  bias = integers_by_column(attributes, "bias", columns);
  weights.assign(given.as<std::int8_t>(), given.as<std::int8_t>() + given.dims.count());
  for (std::int64_t n = 0; n < columns; ++n) {
    std::int32_t& zero = zeros[static_cast<std::size_t>(n)];
    if (zero == 0) continue;
    const auto begin = weights.begin() + n * products();
    const auto end = begin + products();
    const auto [low, high] = std::minmax_element(begin, end);
    const auto whole = static_cast<std::int64_t>(zero);
    if (*low - whole < -128 || *high - whole > 127) {
      asymmetric = true;
      continue;
    }
    std::for_each(begin, end, [&](std::int8_t& weight) { weight = static_cast<std::int8_t>(weight - zero); });
    zero = 0;
  }
}

Dims Convolution::result(const Layout& x) const {
  const CodeRange range = range_of(x.type);
  if (x_zero < range.low || x_zero > range.high) {
    throw Invalid("attribute 'x_zero' is " + std::to_string(x_zero) + ", no code of " + name_of(x.type));
  }
  if (x.dims.rank() != 4 || x.dims[3] != channels()) {
    throw Invalid("takes images [N, H, W, " + std::to_string(channels()) + "], not " + x.dims.text());
  }
  std::int64_t sizes[2];
  for (int side = 0; side < 2; ++side) {
    const std::int64_t padding = pads[side] + pads[side + 2];
    std::int64_t size = 0;
    if (transposed) {
      size = (x.dims[side + 1] - 1) * strides[side] - padding + extent(side) + output_padding[side];
    } else {
      const std::int64_t room = x.dims[side + 1] + padding - extent(side);
      size = room < 0 ? 0 : room / strides[side] + 1;
    }
    if (size < 1) throw Invalid("nothing is left of " + x.dims.text());
    sizes[side] = size;
  }
  return {x.dims[0], sizes[0], sizes[1], columns};
}

std::int32_t Convolution::folded_bias(std::int64_t column, Type type, std::int32_t sum, std::int64_t count) const {
  const auto at = static_cast<std::size_t>(column);
  const auto zero = static_cast<std::uint32_t>(x_zero + (type == Type::kS8 ? 128 : 0));
  const std::uint32_t both = static_cast<std::uint32_t>(count) * zero * static_cast<std::uint32_t>(zeros[at]);
  const std::uint32_t less = zero * static_cast<std::uint32_t>(sum);
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(bias[at]) - less + both);
}

}  // namespace graphopt
