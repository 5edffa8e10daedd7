// What all products of floats by constant weights begin and end with.
#pragma once

#include <algorithm>
#include <limits>

#include "reference/numbers.h"

namespace graphopt {

// A sum of products in parts, each from 0; they are added up in order.
class PartSum {
 public:
  void add(float x, float weight) { own_ = std::fma(x, weight, own_); }
  void end_part() {
    total_ = parts_++ == 0 ? own_ : total_ + own_;
    own_ = 0;
  }
  // To the parts so far.
  void add_whole(float value) { total_ = total_ + value; }
  int parts() const { return parts_; }
  float total() const { return total_; }

 private:
  float own_ = 0;
  float total_ = 0;
  int parts_ = 0;
};

// A product of matrices: x(k) by weight(k), the bias added to the first part.
template <typename X, typename Weight>
float matrix_product(std::int64_t depth, float bias, const X& x, const Weight& weight) {
  PartSum sum;
  for (std::int64_t begin = 0; begin == 0 || begin < depth; begin += 256) {
    for (std::int64_t k = begin; k < std::min<std::int64_t>(begin + 256, depth); ++k) sum.add(x(k), weight(k));
    sum.end_part();
    if (sum.parts() == 1) sum.add_whole(bias);
  }
  return sum.total();
}

class ReferenceFloatProducts {
 public:
  explicit ReferenceFloatProducts(const Attributes& attributes)
      : attributes_(attributes),
        low_(attributes.number("low", -std::numeric_limits<float>::infinity())),
        high_(attributes.number("high", std::numeric_limits<float>::infinity())) {}

  float weight(std::int64_t index) const { return attributes_.array("weights", Type::kF32).as<float>()[index]; }
  float bias(std::int64_t column) const {
    return attributes_.has("bias") ? attributes_.array("bias", Type::kF32).as<float>()[column] : 0;
  }
  // No number stays what it is.
  float clamped(float value) const {
    value = value < low_ ? low_ : value;
    return value > high_ ? high_ : value;
  }

 private:
  const Attributes& attributes_;
  float low_;
  float high_;
};

}  // namespace graphopt
