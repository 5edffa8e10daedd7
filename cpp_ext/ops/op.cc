// The table of operators.

#include "ops/op.h"

namespace graphopt {

#define OP(name) \
  std::unique_ptr<Op> make_##name(const Attributes& attributes, const kernels::Table& kernels); \
  void reference_##name(const Attributes& attributes, const std::vector<View>& inputs, \
                        const std::vector<View>& outputs);
#include "ops/ops.inc"
#undef OP

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = {
#define OP(name) Kind{#name, &make_##name, &reference_##name},
#include "ops/ops.inc"
#undef OP
  };
  return all;
}

const Kind& kind_named(const std::string& name) {
  for (const Kind& kind : kinds()) {
    if (name == kind.name) return kind;
  }
  throw Invalid("no operator is named '" + name + "'");
}

void expect_inputs(const Layouts& inputs, std::size_t count) {
  if (inputs.size() != count) {
    throw Invalid("takes " + std::to_string(count) + " inputs, not " + std::to_string(inputs.size()));
  }
}

}  // namespace graphopt
