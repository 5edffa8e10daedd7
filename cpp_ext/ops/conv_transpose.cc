// conv_transpose: each pixel adds its window to the result. Attributes: ops/convolution.h and ops/epilogue.h.

#include "ops/disjoint_transpose.h"
#include "ops/epilogue.h"
#include "ops/tiled_convolution.h"

namespace graphopt {

std::unique_ptr<Op> make_conv_transpose(const Attributes& attributes, const kernels::Table& kernels) {
  attributes.only({"output_padding"}, Convolution::names(), Epilogue::names());
  Convolution convolution(attributes, true);
  if (is_disjoint(convolution, kernels.gemm)) {
    return make_disjoint_transpose(attributes, kernels, std::move(convolution));
  }
  return make_tiled_convolution(attributes, kernels, std::move(convolution));
}

}  // namespace graphopt
