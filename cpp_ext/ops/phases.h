// The outputs of convolutions that use the same taps. A convolution is one phase: each output sums over all taps of its
// window. A transpose with strides has a phase for each remainder of the places of outputs by the strides, with those
// taps that reach them.
#pragma once

#include <vector>

#include "ops/segments.h"
#include "ops/windows.h"

namespace graphopt {

// A place of the window, as a pixel of the input.
struct Tap {
  // Seen from where the window of output 0 begins.
  std::int64_t offset[2];
  // First of its weights, in those of a column.
  std::int64_t weight;
};

// Images whose pixels are to be found.
struct Pixels {
  const unsigned char* data;
  Dims dims;           // N, H, W, C
  std::int64_t pitch;  // bytes from one to the next
  const unsigned char* blank;  // stands for those outside
};

// Outputs of a phase along the sides; those of all images and lines are numbered one after the other.
struct Counts {
  std::int64_t of[2];

  std::int64_t column(std::int64_t output) const { return output % of[1]; }
  std::int64_t line(std::int64_t output) const { return output / of[1] % of[0]; }
  std::int64_t image(std::int64_t output) const { return output / of[1] / of[0]; }
};

struct Phase {
  std::int64_t first[2];    // its first output
  std::int64_t step[2];     // from one output to the next
  std::int64_t advance[2];  // from one window to the next
  std::vector<Tap> taps;

  // All outputs are of this phase.
  bool whole() const { return step[0] == 1 && step[1] == 1; }
  // Of a result N, H, W, C.
  Counts counts(const Dims& y) const;
  // The pixel of the result that an output is.
  std::int64_t place(const Counts& counts, const Dims& y, std::int64_t output) const;
  Segments all_taps() const { return {0, static_cast<std::int64_t>(taps.size())}; }
  // pointers[tap * rows + row]: the pixels of each of some taps, for `rows` outputs from `begin` on.
  void find(const Pixels& x, const Counts& counts, std::int64_t begin, std::int64_t rows, const Segments& some,
            const unsigned char** pointers) const;
};

// Each tap of a convolution stands for `span` pixels, one behind the other in a line.
std::vector<Phase> phases_of(const Windows& windows, std::int64_t span);

}  // namespace graphopt
