// conv: images of codes by constant weights, [N, H, W, I] to [N, H', W', O]. Attributes: ops/convolution.h and
// ops/epilogue.h.

#include "ops/epilogue.h"
#include "ops/tiled_convolution.h"

namespace graphopt {

std::unique_ptr<Op> make_conv(const Attributes& attributes, const kernels::Table& kernels) {
  attributes.only({}, Convolution::names(), Epilogue::names());
  return make_tiled_convolution(attributes, kernels, Convolution(attributes, false));
}

}  // namespace graphopt
