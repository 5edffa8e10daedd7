// ONNX's formulas, with the names it has for them.

#include "ops/coordinates.h"

#include <algorithm>
#include <cmath>

namespace graphopt {

namespace {

// The place of a text among those known.
int choice(const Attributes& attributes, const std::string& name, const char* fallback,
           std::initializer_list<const char*> known) {
  const std::string text = attributes.text(name, fallback);
  int place = 0;
  for (const char* each : known) {
    if (text == each) return place;
    ++place;
  }
  throw Invalid("attribute '" + name + "' is unknown: '" + text + "'");
}

}  // namespace

Coordinates::Coordinates(const Attributes& attributes)
    : mode_(static_cast<Mode>(choice(
          attributes, "coordinates", "half_pixel",
          {"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric", "asymmetric", "align_corners"}))),
      nearest_(static_cast<Nearest>(choice(attributes, "nearest_mode", "round_prefer_floor",
                                           {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"}))) {
  if (attributes.has("sizes") == attributes.has("scales")) throw Invalid("takes either 'sizes' or 'scales'");
  if (attributes.has("sizes")) {
    sizes_ = attributes.integers("sizes", 2);
    for (const std::int64_t size : sizes_) {
      if (size < 1 || size >= kMaxElements) throw Invalid("attribute 'sizes' has " + std::to_string(size));
    }
  } else {
    scales_ = attributes.numbers("scales");
    if (scales_.size() != 2) throw Invalid("attribute 'scales' is not two numbers");
    for (const float scale : scales_) {
      if (!(scale > 0) || scale > 65536) throw Invalid("attribute 'scales' has one that is not above 0 and at most 65536");
    }
  }
}

std::int64_t Coordinates::result(int side, std::int64_t size) const {
  if (!sizes_.empty()) return sizes_[static_cast<std::size_t>(side)];
  const float scaled = static_cast<float>(size) * scales_[static_cast<std::size_t>(side)];
  if (scaled >= static_cast<float>(kMaxElements)) throw Invalid("attribute 'scales' gives too large an image");
  return static_cast<std::int64_t>(std::floor(scaled));
}

float Coordinates::source(int side, std::int64_t position, std::int64_t size) const {
  const std::int64_t length = result(side, size);
  const auto from = static_cast<float>(size);
  const auto to = static_cast<float>(length);
  const auto at = static_cast<float>(position);
  const float scale = sizes_.empty() ? scales_[static_cast<std::size_t>(side)] : to / from;
  switch (mode_) {
    case Mode::kPytorchHalfPixel:
      if (length == 1) return 0;
      [[fallthrough]];
    case Mode::kHalfPixel: return (at + 0.5F) / scale - 0.5F;
    case Mode::kHalfPixelSymmetric: {
      const float offset = from / 2 * (1 - to / (scale * from));
      return offset + (at + 0.5F) / scale - 0.5F;
    }
    case Mode::kAsymmetric: return at / scale;
    case Mode::kAlignCorners: return length == 1 ? 0 : at * (from - 1) / (to - 1);
  }
  return 0;
}

std::int64_t Coordinates::nearest(int side, std::int64_t position, std::int64_t size) const {
  const float at = source(side, position, size);
  float pixel = 0;
  switch (nearest_) {
    case Nearest::kPreferFloor: pixel = std::ceil(at - 0.5F); break;
    case Nearest::kPreferCeil: pixel = std::floor(at + 0.5F); break;
    case Nearest::kFloor: pixel = std::floor(at); break;
    case Nearest::kCeil: pixel = std::ceil(at); break;
  }
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(pixel), 0, size - 1);
}

Coordinates::Between Coordinates::between(int side, std::int64_t position, std::int64_t size) const {
  const float at = std::clamp(source(side, position, size), 0.0F, static_cast<float>(size - 1));
  const auto first = std::min(static_cast<std::int64_t>(at), size - 1);
  return {first, std::min(first + 1, size - 1), at - static_cast<float>(first)};
}

}  // namespace graphopt
