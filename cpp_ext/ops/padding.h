// What pad adds to each axis, and where that comes from.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "ops/codes.h"
#include "ops/op.h"

namespace graphopt {

class Padding {
 public:
  explicit Padding(const Attributes& attributes) : pads_(attributes.integers("pads")) {
    const std::string mode = attributes.text("mode", "constant");
    if (mode != "constant" && mode != "edge" && mode != "reflect") throw Invalid("attribute 'mode' is unknown: '" + mode + "'");
    mode_ = mode[0];
    for (const std::int64_t each : pads_) {
      if (each > kMaxElements || each < -kMaxElements) throw Invalid("attribute 'pads' has " + std::to_string(each));
    }
    if (!attributes.has("value")) return;
    if (std::holds_alternative<Integers>(attributes.all().at("value"))) {
      code_ = attributes.integer_in("value", -(1 << 24), 1 << 24);
      number_ = static_cast<float>(code_);
    } else {
      number_ = attributes.number("value");
      whole_ = false;
    }
  }

  Dims result(const Dims& x) const {
    if (pads_.size() != 2 * static_cast<std::size_t>(x.rank())) throw Invalid("attribute 'pads' is not two for each axis");
    std::vector<std::int64_t> sizes;
    for (int axis = 0; axis < x.rank(); ++axis) {
      const std::int64_t more[] = {pads_[static_cast<std::size_t>(axis)], pads_[static_cast<std::size_t>(axis + x.rank())]};
      const std::int64_t most = mode_ == 'r' ? x[axis] - 1 : mode_ == 'e' && x[axis] == 0 ? 0 : kMaxElements;
      if (more[0] > most || more[1] > most) throw Invalid(x.text() + " has too few elements to pad by them");
      sizes.push_back(x[axis] + more[0] + more[1]);
    }
    return Dims(sizes);
  }

  // The element of an axis of the input that element `i` of the output's is; -1 where it is the value.
  std::int64_t source(int axis, std::int64_t i, const Dims& x) const {
    const std::int64_t size = x[axis];
    const std::int64_t at = i - pads_[static_cast<std::size_t>(axis)];
    if (at >= 0 && at < size) return at;
    if (mode_ == 'c') return -1;
    if (mode_ == 'e') return at < 0 ? 0 : size - 1;
    return at < 0 ? -at : 2 * (size - 1) - at;
  }

  // The bytes of the value. Throws Invalid if it is none of that type.
  std::array<unsigned char, 4> value(Type type) const {
    std::array<unsigned char, 4> bytes{};
    if (type == Type::kF32) {
      std::memcpy(bytes.data(), &number_, 4);
      return bytes;
    }
    const CodeRange range = range_of(type);
    if (!whole_ || code_ < range.low || code_ > range.high) {
      throw Invalid(std::string("attribute 'value' is no ") + name_of(type));
    }
    bytes[0] = static_cast<unsigned char>(code_);
    return bytes;
  }

 private:
  Integers pads_;
  char mode_ = 'c';
  bool whole_ = true;
  std::int64_t code_ = 0;
  float number_ = 0;
};

}  // namespace graphopt
