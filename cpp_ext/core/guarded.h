// Memory whose neighbours may not be touched: for tests of what runs beyond its buffers.
#pragma once

#include <cstddef>

namespace graphopt {

// `size` bytes with an inaccessible page right behind them, or, if `at_start`, right before them, as near as an
// alignment of `alignment` lets them lie.
class Guarded {
 public:
  Guarded(std::size_t size, std::size_t alignment, bool at_start);
  ~Guarded();
  Guarded(Guarded&& other) noexcept;
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  void* data() const { return data_; }

 private:
  void* pages_;
  std::size_t length_;
  void* data_;
};

}  // namespace graphopt
