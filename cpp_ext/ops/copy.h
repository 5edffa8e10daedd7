// Elements copied from one place to another, however they lie: what concat, slice, transpose and others do.
#pragma once

#include "ops/broadcast.h"

namespace graphopt {

class StridedCopy {
 public:
  // Loops with distances in the source and the target, outermost first; elements of so many bytes.
  StridedCopy(const kernels::Table& kernels, const std::vector<Loop>& loops, std::size_t size);

  // In parallel. Addresses are those of the first element. Bytes go through `table` unless it is null.
  void run(ThreadPool& pool, const void* from, void* to, const unsigned char* table = nullptr) const;

 private:
  void copy(const unsigned char* from, unsigned char* to, const unsigned char* table) const;

  const kernels::Table& kernels_;
  std::size_t size_;
  std::vector<Loop> outer_;
  // The innermost: lines whose elements are one after the other in both, or a plane that is transposed, or a line with
  // gaps.
  Loop row_;
  Loop column_;
  std::int64_t units_ = 1;
  std::int64_t block_ = 1;
};

}  // namespace graphopt
