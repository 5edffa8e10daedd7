#include "ops/disjoint_windows.h"

#include <cstring>

namespace graphopt {

namespace {

// Copies `count` pieces of so many bytes.
template <std::size_t Bytes>
void copy_pieces(const unsigned char* from, std::int64_t from_step, unsigned char* to, std::int64_t to_step,
                 std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, Bytes);
}

void copy_pieces(const unsigned char* from, std::int64_t from_step, unsigned char* to, std::int64_t to_step,
                 std::int64_t count, std::int64_t bytes) {
  switch (bytes) {
    case 1: return copy_pieces<1>(from, from_step, to, to_step, count);
    case 2: return copy_pieces<2>(from, from_step, to, to_step, count);
    case 4: return copy_pieces<4>(from, from_step, to, to_step, count);
    case 8: return copy_pieces<8>(from, from_step, to, to_step, count);
    case 16: return copy_pieces<16>(from, from_step, to, to_step, count);
    default: break;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * to_step, from + i * from_step, static_cast<std::size_t>(bytes));
  }
}

}  // namespace

bool are_disjoint(const Windows& all) {
  bool disjoint = all.transposed && all.groups == 1;
  for (int side = 0; side < 2; ++side) {
    disjoint = disjoint && all.kernel[side] == all.strides[side] && all.extent(side) == all.kernel[side] &&
               all.pads[side] == 0 && all.pads[side + 2] == 0 && all.output_padding[side] == 0;
  }
  return disjoint;
}

void place_windows(const Windows& all, const unsigned char* windows, std::int64_t row, std::int64_t count,
                   const Layout& y, unsigned char* to) {
  const auto size = static_cast<std::int64_t>(size_of(y.type));
  const std::int64_t width = all.kernel[1];
  // A line of a window is one piece, or, where there are gaps in the result, several.
  const std::int64_t pieces = y.pitch == all.columns ? 1 : width;
  const std::int64_t bytes = width / pieces * all.columns * size;
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    copy_pieces(windows + (row * pieces + piece) * bytes, all.taps() * all.columns * size, to + piece * y.pitch * size,
                width * y.pitch * size, count, bytes);
  }
}

}  // namespace graphopt
