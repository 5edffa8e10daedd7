// What unary computes: the function of functions.h by that name, or of reference/functions.h.

#include "kernels/functions.h"
#include "ops/functions.h"
#include "reference/functions.h"
#include "reference/numbers.h"

namespace graphopt {

void reference_unary(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const std::string op = attributes.text("op");
  const functions::Parameters parameters = functions::parameters_of(attributes);
  for (std::int64_t i = 0; i < inputs[0].layout.dims.count(); ++i) {
    const float x = reference::float_at(inputs[0], i);
#define UNARY(name, value) \
  if (op == #name) reference::float_at(outputs[0], i) = functions::unary_##name(x, parameters);
    GRAPHOPT_UNARY(UNARY)
#undef UNARY
#define FUNCTION(name) \
  if (op == #name) reference::float_at(outputs[0], i) = reference::name(x);
    GRAPHOPT_FLOAT_FUNCTIONS(FUNCTION)
#undef FUNCTION
  }
}

}  // namespace graphopt
