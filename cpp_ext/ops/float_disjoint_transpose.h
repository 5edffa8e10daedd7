// Transposed convolutions of floats whose windows lie side by side: one product, whose columns are all elements of the
// window, and each row of it goes to a window of the result. Attributes: ops/float_convolution.h.
#pragma once

#include <memory>

#include "ops/op.h"
#include "ops/windows.h"

namespace graphopt {

// Whether the windows lie so, and a product of all their elements is better than one for each.
bool is_float_disjoint(const Windows& all, const kernels::FloatProducts& kernels);

std::unique_ptr<Op> make_float_disjoint_transpose(const Attributes& attributes, const kernels::Table& kernels);

}  // namespace graphopt
