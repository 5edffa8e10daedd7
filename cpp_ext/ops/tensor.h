// How a value lies in memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/types.h"

namespace graphopt {

// An operator's attributes, or the shapes of its inputs, are not what it takes.
class Invalid : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

constexpr int kMaxRank = 8;
// Elements of any tensor, and bytes of any buffer, stay below this: sums and products of sizes never overflow.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

std::size_t size_of(Type type);
const char* name_of(Type type);
Type type_named(const std::string& name);

class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<std::int64_t> sizes);
  // Throws Invalid if there are too many, one is negative, or the elements are too many.
  explicit Dims(const std::vector<std::int64_t>& sizes);

  int rank() const { return rank_; }
  // Negative axes count from the end.
  std::int64_t operator[](int axis) const { return at_[static_cast<std::size_t>(axis < 0 ? axis + rank_ : axis)]; }
  std::int64_t count() const;
  // Product of all but the last; 1 for a scalar.
  std::int64_t rows() const;
  // The last; 1 for a scalar.
  std::int64_t columns() const { return rank_ == 0 ? 1 : at_[static_cast<std::size_t>(rank_ - 1)]; }
  // The same with another last axis; the rank is 1 at least. Throws Invalid as a new one does.
  Dims with_columns(std::int64_t columns) const;
  bool operator==(const Dims& other) const;
  bool operator!=(const Dims& other) const { return !(*this == other); }
  std::string text() const;

 private:
  void check() const;

  int rank_ = 0;
  std::array<std::int64_t, kMaxRank> at_{};
};

// Rows of `dims.columns()` elements, `pitch` elements from one to the next; images are N, H, W, C.
struct Layout {
  Type type = Type::kF32;
  Dims dims;
  std::int64_t pitch = 0;
  // Those of a value that is known before the program runs, dense: a constant, or what depends on nothing but the sizes
  // of inputs. Null of others. Operators look at them as they infer and bind, no longer.
  const void* elements = nullptr;

  Layout() = default;
  // Dense.
  Layout(Type type_, const Dims& dims_) : type(type_), dims(dims_), pitch(dims_.columns()) {}

  bool dense() const { return pitch == dims.columns() || dims.rows() <= 1; }
  // From the first byte to behind the last.
  std::size_t bytes() const;
};

// A value with its data.
struct View {
  Layout layout;
  void* data = nullptr;
};

}  // namespace graphopt
