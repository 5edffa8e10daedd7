// conv_f32: images of floats by constant weights, [N, H, W, I] to [N, H', W', O]. Attributes: ops/float_convolution.h.

#include "ops/float_convolution.h"
#include "ops/windows.h"

namespace graphopt {

std::unique_ptr<Op> make_conv_f32(const Attributes& attributes, const kernels::Table& kernels) {
  attributes.only({"bias", "low", "high"}, Windows::names());
  return make_float_convolution(attributes, kernels, false);
}

}  // namespace graphopt
