// add: the sum of two inputs of codes; attributes as in combine.cc.

#include "ops/combine.h"

namespace graphopt {

std::unique_ptr<Op> make_add(const Attributes& attributes, const kernels::Table& kernels) {
  return make_combine(attributes, kernels.add_codes, kernels.add_integers, kernels.lookup,
                      [](float a_scale, float b_scale, float y_scale, kernels::CodesPair& pair) {
                        pair.a_factor = a_scale / y_scale;
                        pair.b_factor = b_scale / y_scale;
                      });
}

}  // namespace graphopt
