// What all products of floats by constant weights begin and end with.
#pragma once

#include <limits>

#include "reference/numbers.h"

namespace graphopt {

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
