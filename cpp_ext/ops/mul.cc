// mul: the product of two inputs of codes; attributes as in combine.cc.

#include "ops/combine.h"

namespace graphopt {

std::unique_ptr<Op> make_mul(const Attributes& attributes, const kernels::Table& kernels) {
  return make_combine(attributes, kernels.mul_codes, nullptr, kernels.lookup);
}

}  // namespace graphopt
