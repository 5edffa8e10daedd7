#include "ops/matrices.h"

#include <algorithm>

namespace graphopt {

MatrixSizes MatrixSizes::of(const Dims& a, const Dims& b, bool transpose) {
  const auto refuse = [&] { throw Invalid("multiplies " + a.text() + " by " + b.text() + (transpose ? ", transposed" : "")); };
  if (a.rank() < 2 || b.rank() < 2 || a[-1] != b[transpose ? -1 : -2]) refuse();
  std::vector<std::int64_t> batch;
  for (int axis = std::max(a.rank(), b.rank()); axis > 2; --axis) {
    const std::int64_t left = axis <= a.rank() ? a[-axis] : 1;
    const std::int64_t right = axis <= b.rank() ? b[-axis] : 1;
    if (left != right && left != 1 && right != 1) refuse();
    batch.push_back(left == 1 ? right : left);
  }
  return {Dims(batch), a[-2], b[transpose ? -2 : -1], a[-1]};
}

Dims MatrixSizes::result() const {
  std::vector<std::int64_t> dims;
  for (int axis = 0; axis < batch.rank(); ++axis) dims.push_back(batch[axis]);
  dims.push_back(rows);
  dims.push_back(columns);
  return Dims(dims);
}

std::vector<std::int64_t> matrices_of(const Dims& dims, const Dims& batch) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(batch.count()));
  for (std::size_t i = 0; i < all.size(); ++i) {
    auto left = static_cast<std::int64_t>(i);
    std::int64_t step = 1;
    for (int axis = 3; axis <= batch.rank() + 2; ++axis) {
      const std::int64_t size = batch[2 - axis];
      const std::int64_t own = axis <= dims.rank() ? dims[-axis] : 1;
      if (own != 1) all[i] += left % size * step;
      left /= size;
      step *= own;
    }
  }
  return all;
}

}  // namespace graphopt
