// Convolutions of any form as products of matrices, by tiles that find the rows of their windows through pointers.
#pragma once

#include <memory>

#include "ops/convolution.h"
#include "ops/op.h"

namespace graphopt {

std::unique_ptr<Op> make_tiled_convolution(const Attributes& attributes, const kernels::Table& kernels,
                                           Convolution convolution);

}  // namespace graphopt
