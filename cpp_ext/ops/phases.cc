#include "ops/phases.h"

#include <algorithm>

namespace graphopt {

namespace {

std::int64_t floor_divide(std::int64_t a, std::int64_t by) { return a >= 0 ? a / by : -((-a + by - 1) / by); }
std::int64_t ceil_divide(std::int64_t a, std::int64_t by) { return -floor_divide(-a, by); }

}  // namespace

Counts Phase::counts(const Dims& y) const {
  Counts counts{};
  for (int side = 0; side < 2; ++side) {
    counts.of[side] = std::max<std::int64_t>(0, ceil_divide(y[side + 1] - first[side], step[side]));
  }
  return counts;
}

std::int64_t Phase::place(const Counts& counts, const Dims& y, std::int64_t output) const {
  const std::int64_t line = counts.image(output) * y[1] + first[0] + counts.line(output) * step[0];
  return line * y[2] + first[1] + counts.column(output) * step[1];
}

void Phase::find(const Pixels& x, const Counts& counts, std::int64_t begin, std::int64_t rows, const Segments& some,
                 const unsigned char** pointers) const {
  const std::int64_t distance = advance[1] * x.pitch;
  for (std::int64_t row = 0; row < rows;) {
    const std::int64_t left = counts.column(begin + row);
    const std::int64_t right = std::min(left + rows - row, counts.of[1]);
    const std::int64_t line = counts.line(begin + row) * advance[0];
    const std::int64_t image = counts.image(begin + row);
    const unsigned char** to = pointers + row;
    for (std::int64_t i = some.first; i < some.last; ++i) {
      const Tap& tap = taps[static_cast<std::size_t>(i)];
      const std::int64_t input_line = line + tap.offset[0];
      if (input_line < 0 || input_line >= x.dims[1]) {
        for (std::int64_t i = 0; i < right - left; ++i) to[i] = x.blank;
        to += rows;
        continue;
      }
      const std::int64_t offset = tap.offset[1];
      // Outputs from `inside` up to `outside` read where the input lies.
      const std::int64_t inside = std::clamp(ceil_divide(-offset, advance[1]), left, right);
      const std::int64_t all = floor_divide(x.dims[2] - 1 - offset, advance[1]) + 1;
      const std::int64_t outside = std::clamp(all, inside, right);
      const unsigned char* pixel = x.data + (image * x.dims[1] + input_line) * x.dims[2] * x.pitch;
      pixel += (inside * advance[1] + offset) * x.pitch;
      for (std::int64_t column = left; column < inside; ++column) to[column - left] = x.blank;
      for (std::int64_t column = inside; column < outside; ++column, pixel += distance) to[column - left] = pixel;
      for (std::int64_t column = outside; column < right; ++column) to[column - left] = x.blank;
      to += rows;
    }
    row += right - left;
  }
}

std::vector<Phase> phases_of(const Windows& windows, std::int64_t span) {
  std::vector<Phase> phases;
  if (!windows.transposed) {
    Phase phase{{0, 0}, {1, 1}, {windows.strides[0], windows.strides[1]}, {}};
    for (std::int64_t tap = 0; tap < windows.taps(); tap += span) {
      phase.taps.push_back({{tap / windows.kernel[1] * windows.dilations[0] - windows.pads[0],
                             tap % windows.kernel[1] * windows.dilations[1] - windows.pads[1]},
                            tap * windows.depth});
    }
    phases.push_back(std::move(phase));
    return phases;
  }
  for (std::int64_t remainder = 0; remainder < windows.strides[0] * windows.strides[1]; ++remainder) {
    Phase phase{{remainder / windows.strides[1], remainder % windows.strides[1]},
                {windows.strides[0], windows.strides[1]},
                {1, 1},
                {}};
    for (std::int64_t tap = 0; tap < windows.taps(); ++tap) {
      const std::int64_t places[2] = {tap / windows.kernel[1], tap % windows.kernel[1]};
      Tap one{{0, 0}, tap * windows.depth};
      bool reaches = true;
      for (int side = 0; side < 2; ++side) {
        const std::int64_t from = phase.first[side] + windows.pads[side] - places[side] * windows.dilations[side];
        one.offset[side] = floor_divide(from, windows.strides[side]);
        reaches = reaches && one.offset[side] * windows.strides[side] == from;
      }
      if (reaches) phase.taps.push_back(one);
    }
    phases.push_back(std::move(phase));
  }
  return phases;
}

}  // namespace graphopt
