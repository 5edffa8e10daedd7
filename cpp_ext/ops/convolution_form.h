// How channels and windows of a convolution become rows of a matrix, and its weights panels.
#pragma once

#include <vector>

#include "ops/convolution.h"
#include "ops/panels.h"
#include "ops/phases.h"

namespace graphopt {

// What a block may copy of its rows, on the stack.
constexpr std::int64_t kCopiedBytes = 1 << 15;

struct Form {
  static Form of(const Convolution& all, const kernels::Gemm& kernel);
  // Segments are several pixels: strips of a line.
  bool strips() const { return span > 1; }
  // Tiles read more than a segment.
  bool reads_beyond() const { return read > length; }

  // Parts of the channels, each with columns of its own: groups, some of them as one with zeros for weights.
  std::int64_t parts;
  std::int64_t columns;
  // Inputs of a part in a pixel.
  std::int64_t depth;
  // Columns of each of the groups of a part whose lanes read codes of their own; 0: all columns read all codes.
  std::int64_t group_columns;
  // Neighbouring pixels that are one segment.
  std::int64_t span;
  // Codes of a segment, and those that tiles read of it.
  std::int64_t length;
  std::int64_t read;
};

// A phase, with the weights of its taps.
struct Packed : Phase {
  Packed(Phase phase, const Convolution& all, const Form& form, const kernels::Gemm& kernel);

  std::vector<Panels> panels;  // of each part of the channels
};

}  // namespace graphopt
