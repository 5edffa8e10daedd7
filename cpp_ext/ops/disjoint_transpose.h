// Transposed convolutions whose windows neither overlap nor leave gaps: one product, whose columns are all elements of
// the window, and each row of it goes to a window of the result.
#pragma once

#include <memory>

#include "ops/convolution.h"
#include "ops/op.h"

namespace graphopt {

// Whether the windows lie side by side, and a product of all their elements is better than one for each.
bool is_disjoint(const Convolution& all, const kernels::Gemm& kernel);

std::unique_ptr<Op> make_disjoint_transpose(const Attributes& attributes, const kernels::Table& kernels,
                                            Convolution convolution);

}  // namespace graphopt
