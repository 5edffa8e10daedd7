// Which matrices of two values are multiplied.
#pragma once

#include "ops/tensor.h"

namespace graphopt::reference {

// The matrix of a broadcast value `own` that matrix `batch` of the result `dims` is made from.
inline std::int64_t matrix_of(const Dims& own, const Dims& dims, std::int64_t batch) {
  std::int64_t matrix = 0;
  std::int64_t step = 1;
  for (int axis = 3; axis <= dims.rank(); ++axis) {
    const std::int64_t index = batch % dims[-axis];
    batch /= dims[-axis];
    if (axis > own.rank()) continue;
    matrix += (own[-axis] == 1 ? 0 : index) * step;
    step *= own[-axis];
  }
  return matrix;
}

}  // namespace graphopt::reference
