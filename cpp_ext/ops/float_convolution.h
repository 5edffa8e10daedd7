// Convolutions of floats, and their transposes, as products of matrices by tiles that find the rows of their windows
// through pointers; where each channel has weights of its own, channel by channel.
//
// Attributes: those of ops/windows.h, `weights` being f32; `bias` f32 [O]; `low` and `high`, to which the result is
// clamped.
//
// Products are added up as onnxruntime does it on x86, in parts, each from 0: sum = fma(x, weight, sum). Of a convolution,
// a part has all taps of the window, line by line, of 16 channels (of windows of one tap 128, of fewer than 16 channels
// one), or, if each channel has weights of its own, all. Of a transpose, it has one tap of 128 channels. The parts are
// added in order, the bias last; pixels outside of the image are zeros.
#pragma once

#include <memory>

#include "ops/float_panels.h"
#include "ops/windows.h"

namespace graphopt {

FloatParts float_parts(const Windows& all);

std::unique_ptr<Op> make_float_convolution(const Attributes& attributes, const kernels::Table& kernels,
                                           bool transposed);

}  // namespace graphopt
