// Sums of codes without floats: codes of both operands have few pairs, so that integers which give the same codes as
// float32 do can be searched for, and tried with all of them.
#pragma once

#include <optional>

#include "kernels/table.h"

namespace graphopt {

// For the kernel add_integers, what gives the very codes that add_codes gives of `pair`; none where nothing does, as
// where halves are rounded to even.
std::optional<kernels::IntegerSum> integer_sum(const kernels::CodesPair& pair, kernels::BinaryCodes add_codes,
                                               kernels::AddIntegers add_integers);

}  // namespace graphopt
