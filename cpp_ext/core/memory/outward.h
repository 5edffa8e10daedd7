// Placement outwards from the moment at which the most bytes are live.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory/problem.h"

namespace graphopt {

// Which of the items that are live at the peak lie lowest.
enum class Stacking { kReach, kArea, kDuration, kSize };

// What is live at the peak is stacked without a gap, that of the largest duration, area or size or of the furthest
// reach to both sides at the bottom. The rest comes in the order of time, to both sides, each at the tightest gap that those
// which died leave: gaps begin to open where memory begins to be left. Takes n log n time for n items. Offsets in
// units, by item; the problem must be uniform.
std::vector<std::int64_t> place_outward(const Problem& problem, Stacking stacking);

}  // namespace graphopt
