// What conv computes.

#include "ops/codes.h"
#include "reference/epilogue.h"

namespace graphopt {

void reference_conv(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Array& weights = attributes.array("weights", Type::kS8);
  const Integers& strides = attributes.integers("strides", 2);
  const Integers& pads = attributes.integers("pads", 4);
  const Integers& dilations = attributes.integers("dilations", 2);
  const Dims& x = inputs[0].layout.dims;
  const Dims& y = outputs[0].layout.dims;
  const std::int64_t depth = weights.dims[3];
  const std::int64_t columns_of_group = y[3] / attributes.integer("groups");
  const float x_scale = attributes.number("x_scale");
  std::vector<float> scales = scales_by_column(attributes, "weight_scale", y[3]);
  for (float& scale : scales) scale = x_scale * scale;
  const ReferenceEpilogue epilogue(attributes, scales);
  const auto zeros = integers_by_column(attributes, "weight_zero", y[3]);
  const auto bias = integers_by_column(attributes, "bias", y[3]);
  const std::int64_t x_zero = attributes.integer("x_zero");
  for (std::int64_t at = 0; at < y.count(); ++at) {
    const std::int64_t n = at % y[3];
    const std::int64_t first = n / columns_of_group * depth;
    std::int64_t acc = bias[static_cast<std::size_t>(n)];
    for (std::int64_t tap = 0; tap < weights.dims[1] * weights.dims[2]; ++tap) {
      const std::int64_t row = at / y[3] / y[2] % y[1] * strides[0] - pads[0] + tap / weights.dims[2] * dilations[0];
      const std::int64_t column = at / y[3] % y[2] * strides[1] - pads[1] + tap % weights.dims[2] * dilations[1];
      if (row < 0 || row >= x[1] || column < 0 || column >= x[2]) continue;
      const std::int64_t pixel = (at / y[3] / y[2] / y[1] * x[1] + row) * x[2] + column;
      for (std::int64_t k = 0; k < depth; ++k) {
        acc += (static_cast<std::int64_t>(read(inputs[0], pixel * x[3] + first + k)) - x_zero) *
               (std::int64_t{weights.as<std::int8_t>()[(n * weights.dims[1] * weights.dims[2] + tap) * depth + k]} -
                zeros[static_cast<std::size_t>(n)]);
      }
    }
    const double residual = inputs.size() > 1 ? read(inputs[1], at) : 0;
    write(outputs[0], at, epilogue.value(static_cast<std::int32_t>(acc), n, residual));
  }
}

}  // namespace graphopt
