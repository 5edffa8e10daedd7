// Where each value of a program lies, for inputs of given shapes.
#pragma once

#include <cstddef>
#include <vector>

#include "ops/op.h"

namespace graphopt {

enum class Memory : unsigned char { kInput, kConstant, kOutput, kArena };

struct Place {
  Memory memory = Memory::kArena;
  int index = 0;           // of the input, constant or output
  std::size_t offset = 0;  // bytes
};

// A step as planning sees it: values by number.
struct PlannedStep {
  const Op* op = nullptr;
  std::vector<int> inputs;
  std::vector<int> outputs;
};

struct Values {
  int inputs = 0;              // values 0 ...
  int constants = 0;           // ... the next ones
  std::vector<int> outputs;    // which value each output is
  Layouts layouts;             // dense
};

struct Plan {
  Layouts layouts;            // of the values; in memory that they share, rows may have gaps
  std::vector<Place> places;  // of the values
  std::vector<bool> runs;     // of the steps: whether there is anything to do
  std::vector<int> copies;    // outputs whose value lies elsewhere, and is copied in the end
  std::vector<bool> in_place; // of the steps: whether output 0 overwrites an input
};

// Memory is shared by what only looks at a value in another shape, by the parts of what is joined from them, and by an
// output that may overwrite an input. All offsets within the arena are still those within the piece of memory
// (`pieces`) that a value belongs to.
struct Pieces {
  Plan plan;
  std::vector<int> piece;  // of each value in the arena; -1 of the others
  struct Range {
    std::int64_t first, last;  // steps, both included
    std::int64_t bytes;
  };
  std::vector<Range> ranges;
};

Pieces share(const std::vector<PlannedStep>& steps, const Values& values);

// Offsets of pieces in an arena, and its size in bytes; all are multiples of kAlignment.
struct Arena {
  std::vector<std::size_t> offsets;
  std::size_t bytes = 0;
};

// Throws Invalid if the bytes are too many to count.
Arena place(const std::vector<Pieces::Range>& ranges);

}  // namespace graphopt
