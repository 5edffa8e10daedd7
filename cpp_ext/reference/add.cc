// What add computes: clamp(nearest_even((a - a_zero) * (a_scale / y_scale) + (b - b_zero) * (b_scale / y_scale))) + y_zero.

#include "reference/combine.h"

namespace graphopt {

void reference_add(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const float a_factor = attributes.number("a_scale") / attributes.number("y_scale");
  const float b_factor = attributes.number("b_scale") / attributes.number("y_scale");
  reference::combine(attributes, inputs, outputs, [&](std::int64_t a, std::int64_t b) {
    const float left = static_cast<float>(a) * a_factor;
    const float right = static_cast<float>(b) * b_factor;
    return left + right;
  });
}

}  // namespace graphopt
