// What conv_f32 computes: each output sums over its window, in parts of channels; outside of the image there are zeros.

#include "reference/float_products.h"

namespace graphopt {

void reference_conv_f32(const Attributes& attributes, const std::vector<View>& inputs,
                        const std::vector<View>& outputs) {
  const ReferenceFloatProducts products(attributes);
  const Dims& weights = attributes.array("weights", Type::kF32).dims;
  const Integers& strides = attributes.integers("strides", 2);
  const Integers& pads = attributes.integers("pads", 4);
  const Integers& dilations = attributes.integers("dilations", 2);
  const Dims& x = inputs[0].layout.dims;
  const Dims& y = outputs[0].layout.dims;
  const std::int64_t columns_of_group = y[3] / attributes.integer("groups");
  const std::int64_t taps = weights[1] * weights[2];
  const std::int64_t depth = weights[3];
  const std::int64_t part = depth < 16 ? 1 : taps == 1 ? 128 : 16;
  for (std::int64_t at = 0; at < y.count(); ++at) {
    const std::int64_t n = at % y[3];
    PartSum sum;
    for (std::int64_t begin = 0; begin < depth; begin += part) {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        const std::int64_t row = at / y[3] / y[2] % y[1] * strides[0] - pads[0] + tap / weights[2] * dilations[0];
        const std::int64_t column = at / y[3] % y[2] * strides[1] - pads[1] + tap % weights[2] * dilations[1];
        const bool inside = row >= 0 && row < x[1] && column >= 0 && column < x[2];
        const std::int64_t pixel = (at / y[3] / y[2] / y[1] * x[1] + row) * x[2] + column;
        const std::int64_t first = pixel * x[3] + n / columns_of_group * depth;
        for (std::int64_t k = begin; k < std::min(begin + part, depth); ++k) {
          sum.add(inside ? reference::float_at(inputs[0], first + k) : 0, products.weight((n * taps + tap) * depth + k));
        }
      }
      sum.end_part();
    }
    sum.add_whole(products.bias(n));
    reference::float_at(outputs[0], at) = products.clamped(sum.total());
  }
}

}  // namespace graphopt
