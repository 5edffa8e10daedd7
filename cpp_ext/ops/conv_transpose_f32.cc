// conv_transpose_f32: each pixel, of floats, adds its window to the result. Attributes: ops/float_convolution.h.

#include "ops/float_convolution.h"
#include "ops/float_disjoint_transpose.h"

namespace graphopt {

std::unique_ptr<Op> make_conv_transpose_f32(const Attributes& attributes, const kernels::Table& kernels) {
  attributes.only({"output_padding", "bias", "low", "high"}, Windows::names());
  if (is_float_disjoint(Windows(attributes, Type::kF32, true), kernels.float_products)) {
    return make_float_disjoint_transpose(attributes, kernels);
  }
  return make_float_convolution(attributes, kernels, true);
}

}  // namespace graphopt
