// Where the pixels of a resized image lie in its source, in float32, as ONNX's Resize defines it.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/attributes.h"

namespace graphopt {

// Attributes: `coordinates` (half_pixel, pytorch_half_pixel, half_pixel_symmetric, asymmetric or align_corners),
// `nearest_mode` (round_prefer_floor, round_prefer_ceil, floor or ceil), and either `sizes` [2] or `scales` [2].
class Coordinates {
 public:
  explicit Coordinates(const Attributes& attributes);

  // Height (0) or width (1) of the result.
  std::int64_t result(int side, std::int64_t size) const;

  // The pixel of the source nearest to pixel `position` of the result.
  std::int64_t nearest(int side, std::int64_t position, std::int64_t size) const;

  // Between which pixels of the source it lies, and how far from the first to the second.
  struct Between {
    std::int64_t first;
    std::int64_t second;
    float weight;
  };
  Between between(int side, std::int64_t position, std::int64_t size) const;

 private:
  float source(int side, std::int64_t position, std::int64_t size) const;

  enum class Mode { kHalfPixel, kPytorchHalfPixel, kHalfPixelSymmetric, kAsymmetric, kAlignCorners };
  enum class Nearest { kPreferFloor, kPreferCeil, kFloor, kCeil };

  Mode mode_;
  Nearest nearest_;
  Integers sizes_;
  Numbers scales_;
};

}  // namespace graphopt
