// Zero points and bounds in their unsigned form.

#include "ops/coding.h"

#include <cmath>

namespace graphopt {

namespace {

std::uint8_t flip_of(Type type) { return type == Type::kS8 ? 0x80 : 0; }

}  // namespace

int input_zero_of(const Attributes& attributes, const std::string& name) {
  return static_cast<int>(attributes.integer_in(name, -128, 255));
}

kernels::CodesIn codes_in(Type type, int zero) {
  const CodeRange range = range_of(type);
  if (zero < range.low || zero > range.high) {
    throw Invalid("a zero point is " + std::to_string(zero) + ", which is no " + name_of(type));
  }
  return {flip_of(type), static_cast<float>(zero - range.low)};
}

Coding::Coding(const Attributes& attributes, const std::string& prefix)
    : type(code_type(attributes, prefix + "type")),
      scale(scale_of(attributes, prefix + "scale")),
      zero(zero_of(attributes, prefix + "zero", type)),
      bounds(bounds_of(attributes, prefix + "low", prefix + "high", type)) {}

kernels::CodesOut Coding::kernel() const {
  return {flip_of(type), zero - static_cast<int>(range_of(type).low), static_cast<float>(bounds.low - zero),
          static_cast<float>(bounds.high - zero)};
}

kernels::CodesOut Coding::shifted() const {
  return {flip_of(type), -static_cast<int>(range_of(type).low), static_cast<float>(bounds.low),
          static_cast<float>(bounds.high)};
}

kernels::CodesPair sum_of_codes(const Summand& a, const Summand& b, const Coding& y, bool a_first) {
  kernels::CodesPair pair{};
  pair.a_factor = a.scale / y.scale;
  pair.b_factor = b.scale / y.scale;
  const auto a_zero = static_cast<float>(a.zero);
  const auto b_zero = static_cast<float>(b.zero);
  const float zeros = a_first ? std::fma(pair.b_factor, b_zero, pair.a_factor * a_zero)
                              : std::fma(pair.a_factor, a_zero, pair.b_factor * b_zero);
  pair.start = static_cast<float>(y.zero) - zeros;
  pair.a_first = a_first;
  pair.y = y.shifted();
  return pair;
}

}  // namespace graphopt
