// What binary computes: the function of functions.h by that name.

#include "ops/functions.h"
#include "reference/numbers.h"

namespace graphopt {

namespace {

float of_two(const std::string& op, float a, float b) {
#define BINARY(name, value) \
  if (op == #name) return functions::binary_##name(a, b);
  GRAPHOPT_BINARY(BINARY)
#undef BINARY
  return 0;
}

template <typename Integer>
Integer of_two(const std::string& op, Integer a, Integer b) {
#define BINARY(name, value) \
  if (op == #name) return functions::binary_##name(a, b);
  GRAPHOPT_INTEGER_BINARY(BINARY)
#undef BINARY
  return 0;
}

template <typename Number>
void fill(const std::string& op, const View& a, const View& b, const View& y) {
  for (std::int64_t i = 0; i < y.layout.dims.count(); ++i) {
    const Number left = static_cast<const Number*>(a.data)[reference::broadcast_index(a.layout.dims, y.layout.dims, i)];
    const Number right = static_cast<const Number*>(b.data)[reference::broadcast_index(b.layout.dims, y.layout.dims, i)];
    static_cast<Number*>(y.data)[i] = of_two(op, left, right);
  }
}

}  // namespace

void reference_binary(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const std::string op = attributes.text("op");
  switch (outputs[0].layout.type) {
    case Type::kF32: return fill<float>(op, inputs[0], inputs[1], outputs[0]);
    case Type::kS32: return fill<std::int32_t>(op, inputs[0], inputs[1], outputs[0]);
    default: return fill<std::int64_t>(op, inputs[0], inputs[1], outputs[0]);
  }
}

}  // namespace graphopt
