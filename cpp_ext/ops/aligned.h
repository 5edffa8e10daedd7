// Memory that vectors may be read from whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/op.h"

namespace graphopt {

// Zeros at first, aligned to kAlignment.
template <typename T>
class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(std::int64_t count) : bytes_(static_cast<std::size_t>(count) * sizeof(T) + kAlignment) {}

  T* data() { return reinterpret_cast<T*>(aligned()); }
  const T* data() const { return reinterpret_cast<const T*>(aligned()); }
  T& operator[](std::int64_t i) { return data()[i]; }
  const T& operator[](std::int64_t i) const { return data()[i]; }
  bool empty() const { return bytes_.empty(); }

 private:
  std::uintptr_t aligned() const {
    return (reinterpret_cast<std::uintptr_t>(bytes_.data()) + kAlignment - 1) / kAlignment * kAlignment;
  }

  std::vector<unsigned char> bytes_;
};

}  // namespace graphopt
