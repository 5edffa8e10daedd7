// When time is over, on a clock that is never set.
#pragma once

#include <algorithm>
#include <chrono>

namespace graphopt {

using Clock = std::chrono::steady_clock;

// The moment some seconds from now; what is no number counts as none, and no time is longer than thirty years,
// which keeps within what the clock can count.
inline Clock::time_point after(double seconds) {
  constexpr double kLongest = 1e9;
  const double bounded = seconds > 0.0 ? std::min(seconds, kLongest) : 0.0;
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(bounded));
}

}  // namespace graphopt
