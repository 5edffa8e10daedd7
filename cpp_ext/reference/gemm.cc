// What gemm computes.

#include "reference/products.h"

namespace graphopt {

void reference_gemm(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const ReferenceProducts products(attributes, inputs, outputs);
  const std::int64_t columns = outputs[0].layout.dims.columns();
  for (std::int64_t at = 0; at < outputs[0].layout.dims.count(); ++at) {
    products.put(at, at % columns, products.sum(at / columns * products.depth(), at % columns, 0));
  }
}

}  // namespace graphopt
