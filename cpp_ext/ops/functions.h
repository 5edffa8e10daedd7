// Functions of one and of two numbers, in float32: what unary and binary compute, element by element, but for the
// functions of kernels/functions.h that reference/functions.h defines.
//
// Where they are no single operation they are of C's mathematical library, which no tier does without.
#pragma once

#include <cmath>
#include <string>
#include <type_traits>

#include "ops/attributes.h"

namespace graphopt::functions {

// Numbers that some functions are told by.
struct Parameters {
  float alpha = 0;
  float beta = 0;
};

// UNARY(name, value): `x` is the number, `p` the parameters; clip's ends are alpha and beta.
#define GRAPHOPT_UNARY(UNARY) \
  UNARY(relu, x < 0 ? 0 : x) \
  UNARY(sqrt, std::sqrt(x)) \
  UNARY(neg, -x) \
  UNARY(abs, std::fabs(x)) \
  UNARY(reciprocal, 1 / x) \
  UNARY(hard_swish, x * unit(x * (1.0F / 6) + 0.5F)) \
  UNARY(hard_sigmoid, unit(x * p.alpha + p.beta)) \
  UNARY(leaky_relu, x >= 0 ? x : x * p.alpha) \
  UNARY(elu, x >= 0 ? x : static_cast<float>(p.alpha * std::expm1(static_cast<double>(x)))) \
  UNARY(clip, within(x, p.alpha, p.beta)) \
  UNARY(floor, std::floor(x)) \
  UNARY(ceil, std::ceil(x)) \
  UNARY(round, std::nearbyint(x)) \
  UNARY(sin, std::sin(x)) \
  UNARY(cos, std::cos(x)) \
  UNARY(softsign, x / (1 + std::fabs(x))) \
  UNARY(replace_nan, x != x ? p.alpha : x)

// BINARY(name, value) of `a` and `b`. No number is neither the lesser nor the greater of two: it is the result.
#define GRAPHOPT_BINARY(BINARY) \
  BINARY(add, a + b) \
  BINARY(sub, a - b) \
  BINARY(mul, a * b) \
  BINARY(div, a / b) \
  BINARY(min, a < b || a != a ? a : b) \
  BINARY(max, a > b || a != a ? a : b) \
  BINARY(pow, std::pow(a, b))

// INTEGER_BINARY(name, value) of `a` and `b`, s32 or s64. Sums and products wrap; what is divided by 0 is 0.
#define GRAPHOPT_INTEGER_BINARY(BINARY) \
  BINARY(add, wrapped<Integer>(bits(a) + bits(b))) \
  BINARY(sub, wrapped<Integer>(bits(a) - bits(b))) \
  BINARY(mul, wrapped<Integer>(bits(a) * bits(b))) \
  BINARY(div, b == 0 ? 0 : b == -1 ? wrapped<Integer>(0 - bits(a)) : a / b) \
  BINARY(min, a < b ? a : b) \
  BINARY(max, a > b ? a : b)

// An integer as one without a sign, and back: what is computed of such never overflows.
template <typename Integer>
constexpr std::make_unsigned_t<Integer> bits(Integer x) {
  return static_cast<std::make_unsigned_t<Integer>>(x);
}
template <typename Integer>
constexpr Integer wrapped(std::make_unsigned_t<Integer> x) {
  return static_cast<Integer>(x);
}

// The upper end where they are crossed; what is no number stays so.
inline float within(float x, float low, float high) {
  const float raised = x < low ? low : x;
  return raised > high ? high : raised;
}
inline float unit(float x) { return within(x, 0, 1); }

#define UNARY(name, value) \
  inline float unary_##name(float x, [[maybe_unused]] const Parameters& p) { return value; }
GRAPHOPT_UNARY(UNARY)
#undef UNARY

#define BINARY(name, value) \
  inline float binary_##name(float a, float b) { return value; }
GRAPHOPT_BINARY(BINARY)
#undef BINARY

#define BINARY(name, value) \
  template <typename Integer> \
  Integer binary_##name(Integer a, Integer b) { \
    return value; \
  }
GRAPHOPT_INTEGER_BINARY(BINARY)
#undef BINARY

// The parameters of a unary function: clip's `low` and `high`, the `value` of replace_nan, or `alpha` and `beta` where it
// has them. Throws Invalid for others.
inline Parameters parameters_of(const Attributes& attributes) {
  const std::string op = attributes.text("op");
  if (op == "clip") {
    attributes.only({"op", "low", "high"});
    return {attributes.number("low"), attributes.number("high")};
  }
  if (op == "hard_sigmoid") {
    attributes.only({"op", "alpha", "beta"});
    return {attributes.number("alpha"), attributes.number("beta")};
  }
  if (op == "replace_nan") {
    attributes.only({"op", "value"});
    return {attributes.number("value"), 0};
  }
  if (op == "leaky_relu" || op == "elu") {
    attributes.only({"op", "alpha"});
    return {attributes.number("alpha"), 0};
  }
  attributes.only({"op"});
  return {};
}

}  // namespace graphopt::functions
