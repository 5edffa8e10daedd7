// What gemm, conv and conv_transpose share: products of codes with constant weights, and what becomes of their sums.
#pragma once

#include "reference/epilogue.h"

namespace graphopt {

class ReferenceProducts {
 public:
  // Weights are [columns, taps.., depth].
  ReferenceProducts(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs);

  std::int64_t depth() const { return depth_; }

  // The products of the `depth` codes from element `first` of the input on with the weights of column n at a tap.
  std::int64_t sum(std::int64_t first, std::int64_t n, std::int64_t tap) const;

  // Element `at` of the output, of column n, from the sum of all its products.
  void put(std::int64_t at, std::int64_t n, std::int64_t sum) const;

 private:
  const std::vector<View>& inputs_;
  const View& output_;
  const Array& weights_;
  std::int64_t columns_;
  std::int64_t depth_;
  std::int64_t x_zero_;
  std::vector<std::int32_t> zeros_;
  std::vector<std::int32_t> bias_;
  ReferenceEpilogue epilogue_;
};

}  // namespace graphopt
