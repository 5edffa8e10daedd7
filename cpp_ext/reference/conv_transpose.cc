// What conv_transpose computes: each input adds to all outputs of its window.

#include "reference/products.h"

namespace graphopt {

void reference_conv_transpose(const Attributes& attributes, const std::vector<View>& inputs,
                              const std::vector<View>& outputs) {
  const ReferenceProducts products(attributes, inputs, outputs);
  const Dims& weights = attributes.array("weights", Type::kS8).dims;
  const Integers& strides = attributes.integers("strides", 2);
  const Integers& pads = attributes.integers("pads", 4);
  const Integers& dilations = attributes.integers("dilations", 2);
  const Dims& x = inputs[0].layout.dims;
  const Dims& y = outputs[0].layout.dims;
  const std::int64_t columns_of_group = y[3] / attributes.integer("groups");
  std::vector<std::int64_t> sums(static_cast<std::size_t>(y.count()));
  for (std::int64_t pixel = 0; pixel < x.rows(); ++pixel) {
    for (std::int64_t tap = 0; tap < weights[1] * weights[2]; ++tap) {
      const std::int64_t row = pixel / x[2] % x[1] * strides[0] - pads[0] + tap / weights[2] * dilations[0];
      const std::int64_t column = pixel % x[2] * strides[1] - pads[1] + tap % weights[2] * dilations[1];
      if (row < 0 || row >= y[1] || column < 0 || column >= y[2]) continue;
      const std::int64_t place = (pixel / x[2] / x[1] * y[1] + row) * y[2] + column;
      for (std::int64_t n = 0; n < y[3]; ++n) {
        const std::int64_t first = pixel * x[3] + n / columns_of_group * products.depth();
        sums[static_cast<std::size_t>(place * y[3] + n)] += products.sum(first, n, tap);
      }
    }
  }
  for (std::int64_t at = 0; at < y.count(); ++at) products.put(at, at % y[3], sums[static_cast<std::size_t>(at)]);
}

}  // namespace graphopt
