// What add and mul of codes share: all but the kernel and its factors.
#pragma once

#include "ops/op.h"

namespace graphopt {

// The scales of both inputs and the output, as the kernel of the operator takes them.
using Factors = void (*)(float a_scale, float b_scale, float y_scale, kernels::CodesPair& pair);

// `integers` may be null; otherwise the operator is a sum.
std::unique_ptr<Op> make_combine(const Attributes& attributes, kernels::BinaryCodes kernel,
                                 kernels::AddIntegers integers, kernels::Lookup lookup, Factors factors);

}  // namespace graphopt
