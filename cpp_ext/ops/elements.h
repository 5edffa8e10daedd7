// Sizes that operators take as inputs: they must be known before the program runs.
#pragma once

#include "ops/op.h"

namespace graphopt {

// The elements of an s32 or s64. Throws Invalid, naming what they are, if they are of another type, not known, or too
// many to be sizes.
Integers elements_of(const Layout& layout, const char* what);

}  // namespace graphopt
