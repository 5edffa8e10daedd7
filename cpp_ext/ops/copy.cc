// Runs of elements are copied as a whole; planes whose rows become columns by a kernel where there is one.

#include "ops/copy.h"

#include <algorithm>
#include <cstring>

namespace graphopt {

namespace {

constexpr std::int64_t kBlockBytes = 1 << 15;
// Elements of a side of a block of a plane.
constexpr std::int64_t kSide = 128;

// Cuts a loop into whole parts, for the outer loops to share out. Returns false if it is short, or does not divide.
bool cut(Loop& loop, std::int64_t part, std::vector<Loop>& outer) {
  if (loop.size <= part || loop.size % part != 0) return false;
  outer.push_back({loop.size / part, {loop.strides[0] * part, loop.strides[1] * part}});
  loop.size = part;
  return true;
}

}  // namespace

StridedCopy::StridedCopy(const kernels::Table& kernels, const std::vector<Loop>& loops, std::size_t size)
    : kernels_(kernels), size_(size), outer_(merged(loops)), row_{1, {0, 0}}, column_{1, {1, 1}} {
  if (!outer_.empty()) {
    column_ = outer_.back();
    outer_.pop_back();
  }
  const auto lines = std::find_if(outer_.begin(), outer_.end(), [](const Loop& loop) { return loop.strides[0] == 1; });
  if (column_.strides[0] != 1 && lines != outer_.end()) {
    // What is one after the other in the source is so apart in the target.
    row_ = *lines;
    outer_.erase(lines);
    for (std::int64_t part = kSide; part >= kSide / 2 && !cut(row_, part, outer_);) --part;
    for (std::int64_t part = kSide; part >= kSide / 2 && !cut(column_, part, outer_);) --part;
  } else if (column_.strides[0] == 1 && column_.strides[1] == 1) {
    for (std::int64_t part = kBlockBytes; part >= kBlockBytes / 2 && !cut(column_, part, outer_);) --part;
    if (!outer_.empty()) {
      row_ = outer_.back();
      outer_.pop_back();
      for (std::int64_t part = kSide; part >= kSide / 2 && !cut(row_, part, outer_);) --part;
    }
  }
  for (const Loop& loop : outer_) units_ *= loop.size;
  const std::int64_t bytes = row_.size * column_.size * static_cast<std::int64_t>(size_);
  block_ = std::max<std::int64_t>(1, kBlockBytes / std::max<std::int64_t>(1, bytes));
}

void StridedCopy::run(ThreadPool& pool, const void* from, void* to, const unsigned char* table) const {
  if (row_.size == 0 || column_.size == 0) return;
  pool.run((units_ + block_ - 1) / block_, [&](std::int64_t block) {
    const std::int64_t end = std::min((block + 1) * block_, units_);
    for (std::int64_t unit = block * block_; unit < end; ++unit) {
      std::int64_t at[] = {0, 0};
      advance(outer_, unit, at);
      const auto size = static_cast<std::int64_t>(size_);
      copy(static_cast<const unsigned char*>(from) + at[0] * size, static_cast<unsigned char*>(to) + at[1] * size,
           table);
    }
  });
}

void StridedCopy::copy(const unsigned char* from, unsigned char* to, const unsigned char* table) const {
  const auto columns = static_cast<std::size_t>(column_.size);
  if (column_.strides[0] == 1 && column_.strides[1] == 1) {
    const auto size = static_cast<std::int64_t>(size_);
    for (std::int64_t row = 0; row < row_.size; ++row) {
      const unsigned char* at = from + row * row_.strides[0] * size;
      unsigned char* into = to + row * row_.strides[1] * size;
      if (table != nullptr) {
        kernels_.lookup(at, into, columns, table);
      } else {
        std::memcpy(into, at, columns * size_);
      }
    }
    return;
  }
  const bool plane = row_.strides[0] == 1 && column_.strides[1] == 1 && column_.strides[0] > 0 && row_.strides[1] > 0;
  if (plane && table == nullptr && size_ <= 4) {
    const auto from_row = static_cast<std::size_t>(column_.strides[0]);
    const auto to_row = static_cast<std::size_t>(row_.strides[1]);
    const auto rows = static_cast<std::size_t>(row_.size);
    if (size_ == 1) {
      kernels_.transpose_bytes(from, from_row, to, to_row, columns, rows);
    } else {
      kernels_.transpose_words(reinterpret_cast<const std::uint32_t*>(from), from_row,
                               reinterpret_cast<std::uint32_t*>(to), to_row, columns, rows);
    }
    return;
  }
  const auto size = static_cast<std::int64_t>(size_);
  for (std::int64_t row = 0; row < row_.size; ++row) {
    const unsigned char* at = from + row * row_.strides[0] * size;
    unsigned char* into = to + row * row_.strides[1] * size;
    for (std::int64_t i = 0; i < column_.size; ++i, at += column_.strides[0] * size, into += column_.strides[1] * size) {
      switch (size_) {
        case 1: *into = table != nullptr ? table[*at] : *at; break;
        case 4: std::memcpy(into, at, 4); break;
        default: std::memcpy(into, at, 8); break;
      }
    }
  }
}

}  // namespace graphopt
