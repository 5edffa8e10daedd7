// What conv_transpose computes: each input adds to all outputs of its window.

#include "ops/codes.h"
#include "reference/epilogue.h"

namespace graphopt {

void reference_conv_transpose(const Attributes& attributes, const std::vector<View>& inputs,
                              const std::vector<View>& outputs) {
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
  std::vector<std::int64_t> sums(static_cast<std::size_t>(y.count()));
  for (std::int64_t pixel = 0; pixel < x.rows(); ++pixel) {
    for (std::int64_t tap = 0; tap < weights.dims[1] * weights.dims[2]; ++tap) {
      const std::int64_t row = pixel / x[2] % x[1] * strides[0] - pads[0] + tap / weights.dims[2] * dilations[0];
      const std::int64_t column = pixel % x[2] * strides[1] - pads[1] + tap % weights.dims[2] * dilations[1];
      if (row < 0 || row >= y[1] || column < 0 || column >= y[2]) continue;
      for (std::int64_t n = 0; n < y[3]; ++n) {
        const std::int64_t place = (pixel / x[2] / x[1] * y[1] + row) * y[2] + column;
        std::int64_t& sum = sums[static_cast<std::size_t>(place * y[3] + n)];
        for (std::int64_t k = 0; k < depth; ++k) {
          const auto code = static_cast<std::int64_t>(read(inputs[0], pixel * x[3] + n / columns_of_group * depth + k));
          sum += (code - x_zero) *
                 (std::int64_t{weights.as<std::int8_t>()[(n * weights.dims[1] * weights.dims[2] + tap) * depth + k]} -
                  zeros[static_cast<std::size_t>(n)]);
        }
      }
    }
  }
  for (std::int64_t at = 0; at < y.count(); ++at) {
    const std::int64_t n = at % y[3];
    const auto acc = static_cast<std::int32_t>(sums[static_cast<std::size_t>(at)] + bias[static_cast<std::size_t>(n)]);
    write(outputs[0], at, epilogue.value(acc, n, inputs.size() > 1 ? read(inputs[1], at) : 0));
  }
}

}  // namespace graphopt
