#include "ops/convolution.h"

#include <algorithm>

#include "ops/codes.h"

namespace graphopt {

const std::vector<const char*>& Convolution::names() {
  static const std::vector<const char*> all = [] {
    std::vector<const char*> names = Windows::names();
    names.insert(names.end(), {"x_scale", "weight_scale", "weight_zero", "bias", "x_zero"});
    return names;
  }();
  return all;
}

Convolution::Convolution(const Attributes& attributes, bool is_transposed)
    : Windows(attributes, Type::kS8, is_transposed) {
  x_zero = attributes.integer_in("x_zero", -128, 255);
  const float x_scale = scale_of(attributes, "x_scale");
  scales = scales_by_column(attributes, "weight_scale", columns);
  for (float& scale : scales) scale = x_scale * scale;
  zeros = integers_by_column(attributes, "weight_zero", columns);
  bias = integers_by_column(attributes, "bias", columns);
  const Array& given = attributes.array("weights", Type::kS8);
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
  return Windows::result(x.dims);
}

std::int32_t Convolution::folded_bias(std::int64_t column, Type type, std::int32_t sum, std::int64_t count) const {
  const auto at = static_cast<std::size_t>(column);
  const auto zero = static_cast<std::uint32_t>(x_zero + (type == Type::kS8 ? 128 : 0));
  const std::uint32_t both = static_cast<std::uint32_t>(count) * zero * static_cast<std::uint32_t>(zeros[at]);
  const std::uint32_t less = zero * static_cast<std::uint32_t>(sum);
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(bias[at]) - less + both);
}

}  // namespace graphopt
