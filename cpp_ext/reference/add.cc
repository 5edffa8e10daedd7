// What add computes: clamp(nearest_even(y_zero + (a - a_zero) * (a_scale / y_scale) + (b - b_zero) * (b_scale / y_scale))),
// summed up as `sum_of` does.

#include "reference/combine.h"

namespace graphopt {

void reference_add(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const float y_scale = attributes.number("y_scale");
  reference::combine(attributes, inputs, outputs, [&](std::int64_t a, std::int64_t b) {
    return reference::sum_of({a, attributes.integer("a_zero"), attributes.number("a_scale") / y_scale},
                             {b, attributes.integer("b_zero"), attributes.number("b_scale") / y_scale},
                             attributes.integer("y_zero"));
  });
}

}  // namespace graphopt
