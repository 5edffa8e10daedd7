// What reduce computes of many numbers, and in what order.
#pragma once

#include <limits>
#include <vector>

#include "ops/tensor.h"

// REDUCTION(name, start, term, both): `term` is of a number `x`, `both` of two results `a` and `b`.
#define GRAPHOPT_REDUCTIONS(REDUCTION) \
  REDUCTION(sum, 0.0F, x, a + b) \
  REDUCTION(sum_squares, 0.0F, x * x, a + b) \
  REDUCTION(max, -std::numeric_limits<float>::infinity(), x, a > b || a != a ? a : b) \
  REDUCTION(min, std::numeric_limits<float>::infinity(), x, a < b || a != a ? a : b)

namespace graphopt::reductions {

constexpr std::size_t kLanes = 16;

#define REDUCTION(name, start, term, both) \
  struct name { \
    static constexpr float kStart = start; \
    static float taken(float x) { return term; } \
    static float combined(float a, float b) { return both; } \
  };
GRAPHOPT_REDUCTIONS(REDUCTION)
#undef REDUCTION

// Each of the first half of the lanes and the one so far behind it, until one is left. The lanes are overwritten.
template <typename Reduction>
float total(float* lanes) {
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
