// Codes, indices and rounding, as references write them.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "ops/op.h"

namespace graphopt::reference {

// The code or integer at an index of a dense value.
inline std::int64_t integer_at(const View& view, std::int64_t index) {
  switch (view.layout.type) {
    case Type::kU8: return static_cast<const std::uint8_t*>(view.data)[index];
    case Type::kS8: return static_cast<const std::int8_t*>(view.data)[index];
    case Type::kBool: return static_cast<const std::uint8_t*>(view.data)[index];
    case Type::kS32: return static_cast<const std::int32_t*>(view.data)[index];
    default: return static_cast<const std::int64_t*>(view.data)[index];
  }
}

inline float& float_at(const View& view, std::int64_t index) { return static_cast<float*>(view.data)[index]; }

// What a value of code units becomes: nearest, ties to even, within bounds (no number: the lower one).
class Encoder {
 public:
  Encoder(const Attributes& attributes, const std::string& prefix)
      : Encoder(attributes.type(prefix + "type"), attributes.integer(prefix + "zero")) {
    low_ = attributes.integer(prefix + "low", low_);
    high_ = attributes.integer(prefix + "high", high_);
  }
  Encoder(Type type, std::int64_t zero)
      : zero_(zero), low_(type == Type::kS8 ? -128 : 0), high_(type == Type::kS8 ? 127 : 255) {}

  std::int64_t code(float value) const {
    const auto low = static_cast<float>(low_ - zero_);
    const auto high = static_cast<float>(high_ - zero_);
    value = value > high ? high : value;
    value = value > low ? value : low;
    return static_cast<std::int64_t>(std::nearbyint(value)) + zero_;
  }

  // Of a value to which the zero point was added before.
  std::int64_t shifted_code(float value) const {
    Encoder encoder = *this;
    encoder.zero_ = 0;
    return encoder.code(value);
  }

  std::int64_t zero() const { return zero_; }

  void put(const View& view, std::int64_t index, float value) const {
    static_cast<std::uint8_t*>(view.data)[index] = static_cast<std::uint8_t>(code(value));
  }

 private:
  std::int64_t zero_;
  std::int64_t low_;
  std::int64_t high_;
};

// A code of a sum, in code units of the result.
struct Term {
  std::int64_t code;
  std::int64_t zero;
  float factor;
};

// y_zero + (a - a.zero) * a.factor + (b - b.zero) * b.factor, as QLinearAdd of onnxruntime rounds it on x86: zero points
// first, then b, then a, each step rounded once.
inline float sum_of(const Term& a, const Term& b, std::int64_t y_zero) {
  const float zeros = std::fma(a.factor, static_cast<float>(a.zero), b.factor * static_cast<float>(b.zero));
  const float start = static_cast<float>(y_zero) - zeros;
  return std::fma(static_cast<float>(a.code), a.factor, std::fma(static_cast<float>(b.code), b.factor, start));
}

// The place of an element along each axis, and the element at a place.
inline std::vector<std::int64_t> place_of(const Dims& dims, std::int64_t index) {
  std::vector<std::int64_t> place(static_cast<std::size_t>(dims.rank()));
  for (int axis = dims.rank() - 1; axis >= 0; --axis) {
    place[static_cast<std::size_t>(axis)] = index % dims[axis];
    index /= dims[axis];
  }
  return place;
}

inline std::int64_t index_of(const Dims& dims, const std::vector<std::int64_t>& place) {
  std::int64_t index = 0;
  for (int axis = 0; axis < dims.rank(); ++axis) index = index * dims[axis] + place[static_cast<std::size_t>(axis)];
  return index;
}

// The element of a broadcast operand that belongs to an element of the result.
inline std::int64_t broadcast_index(const Dims& operand, const Dims& result, std::int64_t index) {
  const std::vector<std::int64_t> place = place_of(result, index);
  std::vector<std::int64_t> own;
  for (int axis = -operand.rank(); axis < 0; ++axis) {
    own.push_back(operand[axis] == 1 ? 0 : place[static_cast<std::size_t>(result.rank() + axis)]);
  }
  return index_of(operand, own);
}

}  // namespace graphopt::reference
