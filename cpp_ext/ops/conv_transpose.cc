// conv_transpose: each pixel adds its window to the result. Attributes: ops/convolution.h and ops/epilogue.h.

#include "ops/epilogue.h"
#include "ops/tiled_convolution.h"

namespace graphopt {

std::unique_ptr<Op> make_conv_transpose(const Attributes& attributes, const kernels::Table& kernels) {
  attributes.only({"output_padding"}, Convolution::names(), Epilogue::names());
  return make_tiled_convolution(attributes, kernels, Convolution(attributes, true));
}

}  // namespace graphopt
