// What gemm computes.

#include "ops/codes.h"
#include "reference/epilogue.h"

namespace graphopt {

void reference_gemm(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Array& weights = attributes.array("weights", Type::kS8);
  const std::int64_t columns = weights.dims[0];
  const std::int64_t depth = weights.dims[1];
  const float x_scale = attributes.number("x_scale");
  std::vector<float> scales = scales_by_column(attributes, "weight_scale", columns);
  for (float& scale : scales) scale = x_scale * scale;
  const ReferenceEpilogue epilogue(attributes, scales);
  const auto zeros = integers_by_column(attributes, "weight_zero", columns);
  const auto bias = integers_by_column(attributes, "bias", columns);
  const std::int64_t x_zero = attributes.integer("x_zero");
  for (std::int64_t row = 0; row < outputs[0].layout.dims.rows(); ++row) {
    for (std::int64_t n = 0; n < columns; ++n) {
      std::int64_t acc = bias[static_cast<std::size_t>(n)];
      for (std::int64_t k = 0; k < depth; ++k) {
        acc += (static_cast<std::int64_t>(read(inputs[0], row * depth + k)) - x_zero) *
               (std::int64_t{weights.as<std::int8_t>()[n * depth + k]} - zeros[static_cast<std::size_t>(n)]);
      }
      const std::int64_t at = row * columns + n;
      const double residual = inputs.size() > 1 ? read(inputs[1], at) : 0;
      write(outputs[0], at, epilogue.value(static_cast<std::int32_t>(acc), n, residual));
    }
  }
}

}  // namespace graphopt
