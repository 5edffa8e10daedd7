// What binary computes: the function of functions.h by that name.

#include "ops/functions.h"
#include "reference/numbers.h"

namespace graphopt {

void reference_binary(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const std::string op = attributes.text("op");
  const Dims& y = outputs[0].layout.dims;
  for (std::int64_t i = 0; i < y.count(); ++i) {
    const float a = reference::float_at(inputs[0], reference::broadcast_index(inputs[0].layout.dims, y, i));
    const float b = reference::float_at(inputs[1], reference::broadcast_index(inputs[1].layout.dims, y, i));
#define BINARY(name, value) \
  if (op == #name) reference::float_at(outputs[0], i) = functions::binary_##name(a, b);
    GRAPHOPT_BINARY(BINARY)
#undef BINARY
  }
}

}  // namespace graphopt
