// Lines of outputs whose windows reach the same lines of the input: their other taps would multiply padding, which is
// known beforehand.
#pragma once

#include <vector>

#include "ops/panels.h"
#include "ops/phases.h"

namespace graphopt {

struct Band {
  // The line behind it.
  std::int64_t last;
  // From the first to the last that reaches a line of the input.
  Segments taps;
};

// The lines of one image, of `height` lines, from the first on. A tap of one output multiplies `groups` groups of
// codes; what would save few of these has all taps.
std::vector<Band> bands_of(const Phase& phase, const Counts& counts, std::int64_t height, std::int64_t groups);

}  // namespace graphopt
