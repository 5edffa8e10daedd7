// conv_transpose_f32: each pixel, of floats, adds its window to the result. Attributes: ops/float_convolution.h.

#include "ops/float_convolution.h"

namespace graphopt {

std::unique_ptr<Op> make_conv_transpose_f32(const Attributes& attributes, const kernels::Table& kernels) {
  return make_float_convolution(attributes, kernels, true);
}

}  // namespace graphopt
