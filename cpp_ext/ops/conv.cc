// conv: images of codes by constant weights, [N, H, W, I] to [N, H', W', O]. Attributes: ops/convolution.h and
// ops/epilogue.h.

#include "ops/depthwise.h"
#include "ops/epilogue.h"
#include "ops/tiled_convolution.h"

namespace graphopt {

std::unique_ptr<Op> make_conv(const Attributes& attributes, const kernels::Table& kernels) {
  attributes.only({}, Convolution::names(), Epilogue::names());
  Convolution convolution(attributes, false);
  if (is_depthwise(convolution, kernels.depthwise)) return make_depthwise(attributes, kernels, std::move(convolution));
  return make_tiled_convolution(attributes, kernels, std::move(convolution));
}

}  // namespace graphopt
