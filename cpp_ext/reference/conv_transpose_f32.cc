// What conv_transpose_f32 computes: each output sums over those taps through which a pixel adds to it, in parts of one
// tap; outside of the image there are zeros.

#include "reference/float_products.h"

namespace graphopt {

void reference_conv_transpose_f32(const Attributes& attributes, const std::vector<View>& inputs,
                                  const std::vector<View>& outputs) {
  const ReferenceFloatProducts products(attributes);
  const Dims& weights = attributes.array("weights", Type::kF32).dims;
  const Integers& strides = attributes.integers("strides", 2);
  const Integers& pads = attributes.integers("pads", 4);
  const Integers& dilations = attributes.integers("dilations", 2);
  const Dims& x = inputs[0].layout.dims;
  const Dims& y = outputs[0].layout.dims;
  const std::int64_t columns_of_group = y[3] / attributes.integer("groups");
  // Of each channel: their products are one part.
  const std::int64_t groups = attributes.integer("groups");
  const bool own_weights = weights[3] == 1 && groups == y[3] && groups > 1;
  for (std::int64_t at = 0; at < y.count(); ++at) {
    const std::int64_t n = at % y[3];
    PartSum sum;
    for (std::int64_t tap = 0; tap < weights[1] * weights[2]; ++tap) {
      const std::int64_t row = at / y[3] / y[2] % y[1] + pads[0] - tap / weights[2] * dilations[0];
      const std::int64_t column = at / y[3] % y[2] + pads[1] - tap % weights[2] * dilations[1];
      if (row % strides[0] != 0 || column % strides[1] != 0) continue;
      const std::int64_t line = row / strides[0];
      const std::int64_t place = column / strides[1];
      const bool inside = line >= 0 && line < x[1] && place >= 0 && place < x[2];
      const std::int64_t pixel = (at / y[3] / y[2] / y[1] * x[1] + line) * x[2] + place;
      const std::int64_t first = pixel * x[3] + n / columns_of_group * weights[3];
      for (std::int64_t k = 0; k < weights[3]; ++k) {
        const float number = inside ? reference::float_at(inputs[0], first + k) : 0;
        sum.add(number, products.weight((n * weights[1] * weights[2] + tap) * weights[3] + k));
        if (!own_weights && (k + 1 == weights[3] || (k + 1) % 128 == 0)) sum.end_part();
      }
    }
    if (own_weights) sum.end_part();
    sum.add_whole(products.bias(n));
    reference::float_at(outputs[0], at) = products.clamped(sum.total());
  }
}

}  // namespace graphopt
