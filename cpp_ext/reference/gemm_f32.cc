// What gemm_f32 computes.

#include "reference/float_products.h"

namespace graphopt {

void reference_gemm_f32(const Attributes& attributes, const std::vector<View>& inputs,
                        const std::vector<View>& outputs) {
  const ReferenceFloatProducts products(attributes);
  const std::int64_t columns = outputs[0].layout.dims.columns();
  const std::int64_t depth = inputs[0].layout.dims.columns();
  for (std::int64_t i = 0; i < outputs[0].layout.dims.count(); ++i) {
    const float sum = matrix_product(
        depth, products.bias(i % columns),
        [&](std::int64_t k) { return reference::float_at(inputs[0], i / columns * depth + k); },
        [&](std::int64_t k) { return products.weight(i % columns * depth + k); });
    reference::float_at(outputs[0], i) = products.clamped(sum);
  }
}

}  // namespace graphopt
