// What add and mul of codes share: all but the kernel and its factors.
#pragma once

#include "ops/op.h"

namespace graphopt {

// A sum if there are `integers`, a product if that is null.
std::unique_ptr<Op> make_combine(const Attributes& attributes, kernels::BinaryCodes kernel,
                                 kernels::AddIntegers integers, kernels::Lookup lookup);

}  // namespace graphopt
