// Windows of transposed convolutions that lie side by side in the result, neither overlapping nor leaving gaps.
#pragma once

#include "ops/windows.h"

namespace graphopt {

bool are_disjoint(const Windows& all);

// Puts line `row` of `count` windows, [count, kh, kw, O], which belong to neighbours of one line of inputs, where it
// begins in the result, whose layout is `y`.
void place_windows(const Windows& all, const unsigned char* windows, std::int64_t row, std::int64_t count,
                   const Layout& y, unsigned char* to);

}  // namespace graphopt
