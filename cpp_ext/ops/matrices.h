// Products of matrices that are both computed: [.., M, K] by [.., K, N]; axes before the last two broadcast.
#pragma once

#include <vector>

#include "ops/tensor.h"

namespace graphopt {

struct MatrixSizes {
  // Of a and b; `transpose`: b is [.., N, K]. Throws Invalid if they do not fit.
  static MatrixSizes of(const Dims& a, const Dims& b, bool transpose);
  Dims result() const;

  Dims batch;
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t depth;
};

// Which matrix of `dims` belongs to each of the batch.
std::vector<std::int64_t> matrices_of(const Dims& dims, const Dims& batch);

}  // namespace graphopt
