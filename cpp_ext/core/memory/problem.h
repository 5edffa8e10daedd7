// An instance of static memory allocation in the form that the searches work on: sections instead of times,
// units instead of bytes.
#pragma once

#include <cstdint>
#include <vector>

namespace graphopt {

// What there is to place, as the caller states it: parallel arrays, one entry per buffer. Live ranges are half
// open, sizes and offsets in bytes. Sizes are positive, alignments at least 1, and `fixed` is -1 where the
// offset is free. Sums of padded sizes fit in 63 bits.
struct Buffers {
  std::vector<std::int64_t> lower, upper, size, alignment, fixed;

  std::size_t count() const { return size.size(); }
};

// One buffer of a Problem. It lives in the sections [first, last).
struct Item {
  int first, last;
  std::int64_t size;       // units, padded to the alignment that all offsets share
  std::int64_t bytes;      // as given
  std::int64_t alignment;  // units
  std::int64_t fixed;      // units, or -1
};

// A section is a maximal set of buffers that are live together: two buffers overlap in time exactly where they
// share a section, and the live ranges are intervals of sections. A unit is the largest number of bytes that
// divides every padded size and fixed offset and keeps alignments whole: some best plan has no other offsets.
struct Problem {
  explicit Problem(const Buffers& buffers);

  std::vector<Item> items;
  int sections = 0;
  std::int64_t unit = 1;
  bool uniform = true;  // no fixed offset, and every multiple of the unit is aligned
};

}  // namespace graphopt
