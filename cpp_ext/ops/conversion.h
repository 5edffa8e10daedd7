// One element of one type as one of another: what cast computes.
#pragma once

#include <limits>
#include <type_traits>

namespace graphopt {

// Integers wrap. Numbers lose their fraction, and those that do not fit become the nearest that does; what is no number
// becomes 0.
template <typename To, typename From>
To converted(From x) {
  if constexpr (std::is_same_v<From, float> && std::is_integral_v<To>) {
    // 2 to the power of the bits: as a float it is exact, which the largest integer may not be.
    constexpr float kEnd = 2.0F * static_cast<float>(std::numeric_limits<To>::max() / 2 + 1);
    if (x != x) return 0;
    if (x >= kEnd) return std::numeric_limits<To>::max();
    if (x <= static_cast<float>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

// What is not 0 is true.
template <typename From>
unsigned char is_true(From x) {
  return x != From{0} ? 1 : 0;
}

}  // namespace graphopt
