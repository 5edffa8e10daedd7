// Where the windows of convolutions and their transposes lie: attributes, read and checked.
//
// Attributes: `weights` [O, kh, kw, I / groups], `strides` [2], `pads` [4] (top, left, bottom, right), `dilations` [2],
// `groups`, and of transposes `output_padding` [2]. Images are N, H, W, C.
#pragma once

#include <vector>

#include "ops/attributes.h"

namespace graphopt {

struct Windows {
  Windows(const Attributes& attributes, Type weights, bool is_transposed);

  // Of its attributes, but for `output_padding`.
  static const std::vector<const char*>& names();

  // One side of the window, 0 for height and 1 for width: inputs it spans.
  std::int64_t extent(int side) const { return (kernel[side] - 1) * dilations[side] + 1; }
  // N, H, W, O of the result. Throws Invalid if `x` is no image of so many channels, or is smaller than the window.
  Dims result(const Dims& x) const;
  std::int64_t taps() const { return kernel[0] * kernel[1]; }
  // Weights that go with one of the columns.
  std::int64_t products() const { return taps() * depth; }
  std::int64_t channels() const { return depth * groups; }

  bool transposed;
  std::int64_t columns;
  std::int64_t kernel[2];
  std::int64_t depth;
  std::int64_t strides[2];
  std::int64_t pads[4];
  std::int64_t dilations[2];
  std::int64_t groups;
  std::int64_t output_padding[2] = {0, 0};
};

}  // namespace graphopt
