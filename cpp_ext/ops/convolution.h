// What convolutions of codes and their transposes are made from: attributes, read and checked.
//
// Attributes: those of ops/windows.h, `weights` being s8; `weight_scale` f32 [O] or [1], `weight_zero` s32 [O] or [1],
// `bias` s32 [O], `x_scale`, `x_zero`.
#pragma once

#include "ops/windows.h"

namespace graphopt {

struct Convolution : Windows {
  Convolution(const Attributes& attributes, bool is_transposed);

  static const std::vector<const char*>& names();

  // As that of `Windows`. Throws Invalid if `x` is of a type that does not have the zero point, too.
  Dims result(const Layout& x) const;
  // Bias, and all that zero points make of it, for `count` inputs that are read as u8 and weights of this sum: acc =
  // folded + sum(code as read * weight) - zero of weights * sum(code as read). Modulo 2^32.
  std::int32_t folded_bias(std::int64_t column, Type type, std::int32_t sum, std::int64_t count) const;

  std::int64_t x_zero;
  // Zero points are taken from the weights themselves where s8 has room for that; else some of `zeros` are not 0.
  std::vector<std::int8_t> weights;
  std::vector<float> scales;  // x_scale * weight_scale
  std::vector<std::int32_t> zeros;
  std::vector<std::int32_t> bias;
  bool asymmetric = false;
};

}  // namespace graphopt
