// add: the sum of two inputs of codes; attributes as in combine.cc.

#include "ops/combine.h"

namespace graphopt {

std::unique_ptr<Op> make_add(const Attributes& attributes, const kernels::Table& kernels) {
  return make_combine(attributes, kernels.add_codes, kernels.add_integers, kernels.lookup);
}

}  // namespace graphopt
