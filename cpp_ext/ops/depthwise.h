// Convolutions of each channel by itself.
#pragma once

#include <memory>

#include "ops/convolution.h"
#include "ops/op.h"

namespace graphopt {

// Whether the kernel takes this convolution.
bool is_depthwise(const Convolution& all, const kernels::Depthwise& kernel);

std::unique_ptr<Op> make_depthwise(const Attributes& attributes, const kernels::Table& kernels,
                                   Convolution convolution);

}  // namespace graphopt
