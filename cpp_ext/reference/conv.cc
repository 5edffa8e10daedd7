// What conv computes: each output sums over its window.

#include "reference/products.h"

namespace graphopt {

void reference_conv(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const ReferenceProducts products(attributes, inputs, outputs);
  const Dims& weights = attributes.array("weights", Type::kS8).dims;
  const Integers& strides = attributes.integers("strides", 2);
  const Integers& pads = attributes.integers("pads", 4);
  const Integers& dilations = attributes.integers("dilations", 2);
  const Dims& x = inputs[0].layout.dims;
  const Dims& y = outputs[0].layout.dims;
  const std::int64_t columns_of_group = y[3] / attributes.integer("groups");
  for (std::int64_t at = 0; at < y.count(); ++at) {
    const std::int64_t n = at % y[3];
    std::int64_t sum = 0;
    for (std::int64_t tap = 0; tap < weights[1] * weights[2]; ++tap) {
      const std::int64_t row = at / y[3] / y[2] % y[1] * strides[0] - pads[0] + tap / weights[2] * dilations[0];
      const std::int64_t column = at / y[3] % y[2] * strides[1] - pads[1] + tap % weights[2] * dilations[1];
      if (row < 0 || row >= x[1] || column < 0 || column >= x[2]) continue;
      const std::int64_t pixel = (at / y[3] / y[2] / y[1] * x[1] + row) * x[2] + column;
      sum += products.sum(pixel * x[3] + n / columns_of_group * products.depth(), n, tap);
    }
    products.put(at, n, sum);
  }
}

}  // namespace graphopt
