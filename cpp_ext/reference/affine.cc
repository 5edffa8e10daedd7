// What affine computes: the codes that dequantize, a product and a sum by column, and quantize give one after the other.

#include "reference/numbers.h"

namespace graphopt {

void reference_affine(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const reference::Encoder encoder(attributes, "y_");
  const View& x = inputs[0];
  const View& y = outputs[0];
  const auto* scale = attributes.array("scale", Type::kF32).as<float>();
  const auto* shift = attributes.array("shift", Type::kF32).as<float>();
  for (std::int64_t i = 0; i < x.layout.dims.count(); ++i) {
    const std::int64_t column = i % x.layout.dims.columns();
    const auto steps = static_cast<float>(reference::integer_at(x, i) - attributes.integer("x_zero"));
    const float number = steps * attributes.number("x_scale");
    const float scaled = number * scale[column];
    const float shifted = scaled + shift[column];
    encoder.put(y, i, shifted / attributes.number("y_scale"));
    auto& code = static_cast<std::uint8_t*>(y.data)[i];
    if (attributes.has("table")) code = attributes.array("table", Type::kU8).as<std::uint8_t>()[code];
  }
}

}  // namespace graphopt
