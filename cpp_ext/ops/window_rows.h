// Where the windows of a convolution's outputs lie in an image, as tiles of kernels read them: row by row.
#pragma once

#include <vector>

#include "ops/convolution_form.h"
#include "ops/op.h"

namespace graphopt {

class WindowRows {
 public:
  // The most rows of a block, whatever the form.
  static constexpr std::int64_t kMost = 384;

  // On the stack of a block: what was found, and what had to be copied for it.
  struct Room {
    static constexpr std::int64_t kPointers = 4096;

    // To other channels.
    void move(std::int64_t bytes) {
      for (const std::uint8_t** pointer = pointers; bytes != 0 && pointer != end; ++pointer) *pointer += bytes;
    }

    const std::uint8_t* pointers[kPointers];
    std::uint8_t copies[kCopiedBytes];
    const std::uint8_t** end = pointers;
    std::uint8_t* free = copies;
  };

  // As `GemmTile` has it.
  struct Found {
    const std::uint8_t* const* rows;
    std::int64_t stride;
  };

  WindowRows(const Convolution& all, const Form& form, const Layout& x);

  // Windows are single pixels, each behind the one before: rows of a matrix, which need not be found.
  bool matrix() const { return matrix_; }
  // The most rows of a block that there is room for.
  std::int64_t most(const Phase& phase, const Counts& counts) const;
  // Bytes from the segment of a tap to that of the next one, in a block of `rows`, where pointers are to the first.
  std::int64_t step(const Phase& phase, const Counts& counts, std::int64_t rows) const;
  // The rows of `count` outputs of the phase from `begin` on, with some of the taps.
  Found find(const std::uint8_t* x, const Phase& phase, const Counts& counts, std::int64_t begin, std::int64_t count,
             const Segments& taps, std::int64_t step, Room& room) const;

 private:
  void find_each(const std::uint8_t* x, const Phase& phase, const Counts& counts, std::int64_t begin,
                 std::int64_t count, const Segments& taps, Room& room) const;
  void find_strips(const std::uint8_t* x, const Phase& phase, const Counts& counts, std::int64_t begin,
                   std::int64_t count, const Segments& taps, std::int64_t step, Room& room) const;
  void copy_strip(const std::uint8_t* from, std::int64_t left, std::int64_t right, std::int64_t width,
                  std::uint8_t* to) const;
  std::int64_t strip_bytes(const Phase& phase, std::int64_t outputs) const;

  const Form& form_;
  Layout x_;
  bool matrix_;
  // Strips can be read where they lie: all windows are inside, and pixels follow each other.
  bool whole_;
  std::int64_t line_step_;  // bytes from a line of the window to the next one
  std::vector<std::uint8_t> blank_;
};

}  // namespace graphopt
