// Parts of the columns of a matrix: of a convolution, one for each tap of the window.
#pragma once

#include <cstdint>

namespace graphopt {

// Those from `first` up to `last`.
struct Segments {
  std::int64_t first;
  std::int64_t last;

  std::int64_t count() const { return last - first; }
  friend bool operator==(const Segments& a, const Segments& b) { return a.first == b.first && a.last == b.last; }
  friend bool operator!=(const Segments& a, const Segments& b) { return !(a == b); }
};

}  // namespace graphopt
