// One-pass placement: each item, in a given order, at the lowest or the tightest gap that is left for it.
#pragma once

#include <cstdint>
#include <vector>

#include "core/clock.h"
#include "core/memory/problem.h"

namespace graphopt {

enum class Fit { kFirst, kBest };

// Places items in an order; those with a fixed offset come first whatever the order says. Time and memory grow
// with the number of pairs that are live together; past the deadline each remaining item goes on top of
// whatever it overlaps, which takes logarithmic time. Returns offsets in units, by item.
std::vector<std::int64_t> place_greedily(const Problem& problem, const std::vector<int>& order, Fit fit,
                                         Clock::time_point deadline);

}  // namespace graphopt
