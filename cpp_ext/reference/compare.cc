// What compare computes: the relation of relations.h by that name.

#include "ops/relations.h"
#include "reference/numbers.h"

namespace graphopt {

void reference_compare(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const std::string op = attributes.text("op");
  const Dims& y = outputs[0].layout.dims;
  for (std::int64_t i = 0; i < y.count(); ++i) {
    const std::int64_t a = reference::broadcast_index(inputs[0].layout.dims, y, i);
    const std::int64_t b = reference::broadcast_index(inputs[1].layout.dims, y, i);
    const bool floats = inputs[0].layout.type == Type::kF32;
    bool holds = false;
#define RELATION(name, mirrored, value) \
  if (op == #name) { \
    holds = floats ? relations::name::holds(reference::float_at(inputs[0], a), reference::float_at(inputs[1], b)) \
                   : relations::name::holds(reference::integer_at(inputs[0], a), reference::integer_at(inputs[1], b)); \
  }
    GRAPHOPT_RELATIONS(RELATION)
#undef RELATION
    static_cast<std::uint8_t*>(outputs[0].data)[i] = holds ? 1 : 0;
  }
}

}  // namespace graphopt
