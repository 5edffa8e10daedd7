// Images with their channels last, as programs have them, or first, as models have them.
#pragma once

#include <string>

#include "ops/op.h"

namespace graphopt {

// N, C, spatial... -> N, spatial..., C. Throws Invalid if there are no two axes; so does the other.
Dims channels_last(const Dims& dims);
// N, spatial..., C -> N, C, spatial...
Dims channels_first(const Dims& dims);

}  // namespace graphopt
