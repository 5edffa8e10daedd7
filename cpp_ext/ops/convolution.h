// What convolutions and their transposes are made from: attributes, read and checked.
//
// Attributes: `weights` s8 [O, kh, kw, I / groups], `strides` [2], `pads` [4] (top, left, bottom, right), `dilations`
// [2], `groups`, and of transposes `output_padding` [2]; `weight_scale` f32 [O] or [1], `weight_zero` s32 [O] or [1],
// `bias` s32 [O], `x_scale`, `x_zero`. Images are N, H, W, C.
#pragma once

#include <vector>

#include "ops/attributes.h"

namespace graphopt {

struct Convolution {
  Convolution(const Attributes& attributes, bool is_transposed);

  static const std::vector<const char*>& names();

  // One side of the window, 0 for height and 1 for width: inputs it spans.
  std::int64_t extent(int side) const { return (kernel[side] - 1) * dilations[side] + 1; }
  // N, H, W, O of the result. Throws Invalid if `x` is no image of so many channels, or is smaller than the window.
  Dims result(const Layout& x) const;
  // Weights that go with one of the columns.
  std::int64_t products() const { return kernel[0] * kernel[1] * depth; }
  std::int64_t channels() const { return depth * groups; }
  // Bias, and all that zero points make of it, for `count` inputs that are read as u8 and weights of this sum: acc =
  // folded + sum(code as read * weight) - zero of weights * sum(code as read). Modulo 2^32.
  std::int32_t folded_bias(std::int64_t column, Type type, std::int32_t sum, std::int64_t count) const;

  bool transposed;
  std::int64_t columns;
  std::int64_t kernel[2];
  std::int64_t depth;
  std::int64_t strides[2];
  std::int64_t pads[4];
  std::int64_t dilations[2];
  std::int64_t groups;
  std::int64_t output_padding[2] = {0, 0};
  std::int64_t x_zero;
  // Zero points are taken from the weights themselves where s8 has room for that; else some of `zeros` are not 0.
  std::vector<std::int8_t> weights;
  std::vector<float> scales;  // x_scale * weight_scale
  std::vector<std::int32_t> zeros;
  std::vector<std::int32_t> bias;
  bool asymmetric = false;
};

}  // namespace graphopt
