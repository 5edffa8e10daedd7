// Convolutions of floats, and their transposes, as products of matrices by tiles that find the rows of their windows
// through pointers; where each channel has weights of its own, channel by channel.
//
// Attributes: those of ops/windows.h, `weights` being f32; `bias` f32 [O]; `low` and `high`, to which the result is
// clamped.
//
// y = bias; then y = fma(x, weight, y) for each tap of the window, line by line, and each channel in order; pixels
// outside of the image are zeros.
#pragma once

#include <memory>

#include "ops/op.h"

namespace graphopt {

std::unique_ptr<Op> make_float_convolution(const Attributes& attributes, const kernels::Table& kernels,
                                           bool transposed);

}  // namespace graphopt
