// What mul computes: clamp(nearest_even((a - a_zero) * (b - b_zero) * (a_scale * b_scale / y_scale) + y_zero)), the product
// and the sum each rounded, as QLinearMul of onnxruntime does.

#include "reference/combine.h"

namespace graphopt {

void reference_mul(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const float factor = attributes.number("a_scale") * attributes.number("b_scale") / attributes.number("y_scale");
  reference::combine(attributes, inputs, outputs, [&](std::int64_t a, std::int64_t b) {
    const std::int64_t product = (a - attributes.integer("a_zero")) * (b - attributes.integer("b_zero"));
    const float scaled = static_cast<float>(product) * factor;
    return scaled + static_cast<float>(attributes.integer("y_zero"));
  });
}

}  // namespace graphopt
