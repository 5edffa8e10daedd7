// Constant weights of codes: their attributes read and checked, packed in panels, and what of zero points and bias is
// known before any input is.
//
// Attributes: `weights` s8, `weight_scale` f32 [N] or [1], `weight_zero` s32 [N] or [1], `bias` s32 [N], `x_scale`,
// `x_zero`.
#pragma once

#include "ops/panels.h"

namespace graphopt {

// The matrix that weights are: [columns, segments * depth], row by row.
struct WeightShape {
  std::int64_t columns;
  std::int64_t segments;
  std::int64_t depth;
};

// What tiles need to know of inputs of one type.
struct Folded {
  // The codes are s8, and read as u8 that are greater by 128.
  bool flip;
  // acc = bias + sum(code as read * weight) - zero * sum(code as read); padded.
  Aligned<std::int32_t> bias;
};

class Weights {
 public:
  // Columns `begin` to `begin + shape.columns` of those given, which `total` are (for convolutions in groups).
  Weights(const Attributes& attributes, const kernels::Gemm& kernel, WeightShape shape, std::int64_t begin,
          std::int64_t total);
  Weights(const Attributes& attributes, const kernels::Gemm& kernel, WeightShape shape)
      : Weights(attributes, kernel, shape, 0, shape.columns) {}

  static const std::vector<const char*>& names();

  const Panels& panels() const { return panels_; }
  // x_scale * weight_scale, by column.
  const std::vector<float>& scales() const { return scales_; }
  // Some zero point of weights is not 0.
  bool asymmetric() const { return asymmetric_; }
  // Padded.
  const std::int32_t* zeros() const { return zeros_.data(); }
  // Throws Invalid unless inputs of this type have the zero point.
  void expect_codes(Type type) const;
  std::int64_t x_zero() const { return x_zero_; }
  Folded fold(Type type) const;

 private:
  Panels panels_;
  std::int64_t x_zero_;
  std::vector<float> scales_;
  Aligned<std::int32_t> zeros_;
  Aligned<std::int32_t> bias_;
  bool asymmetric_ = false;
};

}  // namespace graphopt
