#include "ops/window_rows.h"

#include <algorithm>
#include <cstring>

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 96;
// Where segments are several pixels of few channels, rows take little room.
constexpr std::int64_t kRowsOfStrips = 192;

std::int64_t ceil_divide(std::int64_t a, std::int64_t by) { return (a + by - 1) / by; }

}  // namespace

WindowRows::WindowRows(const Convolution& all, const Form& form, const Layout& x)
    : form_(form),
      x_(x),
      line_step_(all.dilations[0] * x.dims[2] * x.pitch),
      blank_(static_cast<std::size_t>(std::max(all.channels(), form.read)), static_cast<unsigned char>(all.x_zero)) {
  const bool padded = all.pads[0] + all.pads[1] + all.pads[2] + all.pads[3] != 0;
  const bool ones = all.taps() == 1 && all.strides[0] * all.strides[1] == 1;
  matrix_ = !all.transposed && ones && !padded && form.parts == 1 && !form.reads_beyond();
  whole_ = form.strips() && !padded && x.pitch == form.depth && !form.reads_beyond();
}

// Of what `outputs` neighbouring outputs read of a line.
std::int64_t WindowRows::strip_bytes(const Phase& phase, std::int64_t outputs) const {
  return ((outputs - 1) * phase.advance[1] + form_.span) * form_.depth + form_.read - form_.length;
}

std::int64_t WindowRows::step(const Phase& phase, const Counts& counts, std::int64_t rows) const {
  if (!form_.strips()) return 0;
  return whole_ ? line_step_ : strip_bytes(phase, std::min(rows, counts.of[1]));
}

std::int64_t WindowRows::most(const Phase& phase, const Counts& counts) const {
  if (matrix_) return kMost;
  const auto taps = std::max<std::int64_t>(1, phase.all_taps().count());
  if (!form_.strips()) {
    const std::int64_t copied = form_.reads_beyond() ? kCopiedBytes / (taps * form_.read) : kRowsOfBlock;
    return std::max<std::int64_t>(1, std::min({kRowsOfBlock, Room::kPointers / taps, copied}));
  }
  std::int64_t most = kRowsOfStrips;
  const auto bytes = [&](std::int64_t rows) {
    const std::int64_t lines = ceil_divide(rows - 1, counts.of[1]) + 1;
    return lines * taps * step(phase, counts, rows);
  };
  while (!whole_ && most > 1 && bytes(most) > kCopiedBytes) --most;
  return most;
}

WindowRows::Found WindowRows::find(const std::uint8_t* x, const Phase& phase, const Counts& counts, std::int64_t begin,
                                   std::int64_t count, const Segments& taps, std::int64_t step, Room& room) const {
  if (matrix_) return {nullptr, 0};
  const std::uint8_t* const* rows = room.end;
  if (form_.strips()) {
    find_strips(x, phase, counts, begin, count, taps, step, room);
    return {rows, 0};
  }
  find_each(x, phase, counts, begin, count, taps, room);
  return {rows, count};
}

// Where the segment of each tap begins; in the copies, if tiles would read beyond all of the input from there.
void WindowRows::find_each(const std::uint8_t* x, const Phase& phase, const Counts& counts, std::int64_t begin,
                           std::int64_t count, const Segments& taps, Room& room) const {
  const std::uint8_t** pointer = room.end;
  room.end += taps.count() * count;
  phase.find({x, x_.dims, x_.pitch, blank_.data()}, counts, begin, count, taps, pointer);
  const std::uint8_t* last = x + x_.bytes() - form_.read;
  for (; form_.reads_beyond() && pointer != room.end; ++pointer) {
    if (*pointer == blank_.data() || *pointer <= last) continue;
    std::memcpy(room.free, *pointer, static_cast<std::size_t>(form_.length));
    std::memset(room.free + form_.length, 0, static_cast<std::size_t>(form_.read - form_.length));
    *pointer = room.free;
    room.free += form_.read;
  }
}

// Where the segment of the first tap begins. Strips of each line of the window are copied for each line of outputs,
// unless they can be read where they lie.
void WindowRows::find_strips(const std::uint8_t* x, const Phase& phase, const Counts& counts, std::int64_t begin,
                             std::int64_t count, const Segments& taps, std::int64_t step, Room& room) const {
  for (std::int64_t row = 0; row < count;) {
    const std::int64_t first = counts.column(begin + row);
    const std::int64_t last = std::min(first + count - row, counts.of[1]);
    const std::int64_t line = counts.line(begin + row);
    const std::int64_t image = counts.image(begin + row);
    const std::int64_t first_line = image * x_.dims[1] + line * phase.advance[0];
    const std::uint8_t* place = room.free;
    if (whole_) place = x + (first_line * x_.dims[2] + first * phase.advance[1]) * x_.pitch;
    for (std::int64_t column = first; column < last; ++column, ++row) {
      *room.end++ = place;
      place += phase.advance[1] * form_.depth;
    }
    if (whole_) continue;
    for (std::int64_t i = taps.first; i < taps.last; ++i) {
      const Tap& tap = phase.taps[static_cast<std::size_t>(i)];
      const std::int64_t input_line = line * phase.advance[0] + tap.offset[0];
      const bool inside = input_line >= 0 && input_line < x_.dims[1];
      const std::int64_t left = first * phase.advance[1] + tap.offset[1];
      const std::int64_t right = (last - 1) * phase.advance[1] + tap.offset[1] + form_.span;
      copy_strip(x + (inside ? (image * x_.dims[1] + input_line) * x_.dims[2] * x_.pitch : 0), left, right,
                 inside ? x_.dims[2] : 0, room.free);
      room.free += step;
    }
  }
}

// Pixels `left` to `right` of a line of `width`, without gaps, and what tiles read behind them.
void WindowRows::copy_strip(const std::uint8_t* from, std::int64_t left, std::int64_t right, std::int64_t width,
                            std::uint8_t* to) const {
  const std::int64_t first = std::clamp<std::int64_t>(0, left, right);
  const std::int64_t last = std::clamp(width, first, right);
  const auto blank = [&](std::int64_t bytes) {
    std::memset(to, blank_[0], static_cast<std::size_t>(bytes));
    to += bytes;
  };
  blank((first - left) * form_.depth);
  const std::int64_t pixels = x_.pitch == form_.depth ? last - first : 1;
  for (std::int64_t pixel = first; pixel < last; pixel += pixels, to += pixels * form_.depth) {
    std::memcpy(to, from + pixel * x_.pitch, static_cast<std::size_t>(pixels * form_.depth));
  }
  blank((right - last) * form_.depth + form_.read - form_.length);
  // Of a line, the strip of the next block is most often the next one.
  const std::int64_t wanted = std::min((last - first) * x_.pitch, (width - last) * x_.pitch);
  for (std::int64_t i = 0; i < wanted; i += 64) __builtin_prefetch(from + last * x_.pitch + i);
}

}  // namespace graphopt
