// What reduce computes of many numbers, and in what order.
#pragma once

#include <limits>
#include <vector>

#include "ops/functions.h"
#include "ops/tensor.h"

// REDUCTION(name, start, term, both): `term` is of a number `x`, `both` of two results `a` and `b`. Integers wrap.
#define GRAPHOPT_REDUCTIONS(REDUCTION) \
  REDUCTION(sum, 0, x, plus(a, b)) \
  REDUCTION(sum_squares, 0, times(x, x), plus(a, b)) \
  REDUCTION(max, least<Number>(), x, a > b || a != a ? a : b) \
  REDUCTION(min, greatest<Number>(), x, a < b || a != a ? a : b)

namespace graphopt::reductions {

constexpr std::size_t kLanes = 16;

inline float plus(float a, float b) { return a + b; }
inline float times(float a, float b) { return a * b; }
template <typename Integer>
Integer plus(Integer a, Integer b) {
  return functions::binary_add(a, b);
}
template <typename Integer>
Integer times(Integer a, Integer b) {
  return functions::binary_mul(a, b);
}

template <typename Number>
constexpr Number least() {
  using Limits = std::numeric_limits<Number>;
  return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
}
template <typename Number>
constexpr Number greatest() {
  using Limits = std::numeric_limits<Number>;
  return Limits::has_infinity ? Limits::infinity() : Limits::max();
}

#define REDUCTION(name, start, term, both) \
  template <typename Number> \
  struct name { \
    static constexpr Number kStart = start; \
    static Number taken(Number x) { return term; } \
    static Number combined(Number a, Number b) { return both; } \
  };
GRAPHOPT_REDUCTIONS(REDUCTION)
#undef REDUCTION

// Each of the first half of the lanes and the one so far behind it, until one is left. The lanes are overwritten.
template <typename Reduction, typename Number>
Number total(Number* lanes) {
  for (std::size_t half = kLanes / 2; half != 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] = Reduction::combined(lanes[lane], lanes[lane + half]);
  }
  return lanes[0];
}

// Whether the numbers of the innermost axis that has several are taken: then they are in lanes.
inline bool is_along(const Dims& x, const std::vector<bool>& taken) {
  int axis = x.rank() - 1;
  while (axis >= 0 && x[axis] == 1) --axis;
  return axis < 0 || taken[static_cast<std::size_t>(axis)];
}

}  // namespace graphopt::reductions
