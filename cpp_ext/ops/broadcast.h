// Two operands and a result as rows of columns: numpy's broadcasting, with as few axes as it can be told by.
#pragma once

#include <initializer_list>
#include <vector>

#include "kernels/types.h"
#include "ops/op.h"

namespace graphopt {

// One loop over the elements of several values: how often, and how far from one to the next in each.
struct Loop {
  std::int64_t size = 1;
  std::vector<std::int64_t> strides;
};

// Distances in elements of a layout's axes.
std::vector<std::int64_t> strides_of(const Layout& layout);

// Loops that run as one in all values are merged, and those of size 1 left out. Innermost last, as given.
std::vector<Loop> merged(const std::vector<Loop>& loops);

// Adds to the offsets of values how far the element of this index lies behind the first one of the loops.
template <std::size_t Values>
void advance(const std::vector<Loop>& loops, std::int64_t index, std::int64_t (&at)[Values]) {
  for (auto loop = loops.rbegin(); loop != loops.rend(); ++loop) {
    const std::int64_t place = index % loop->size;
    index /= loop->size;
    for (std::size_t value = 0; value < Values; ++value) at[value] += place * loop->strides[value];
  }
}

// Loops over the axes of `y`, not merged: distances in each of the values, 0 along axes where they are repeated.
std::vector<Loop> loops_over(const Layout& y, std::initializer_list<const Layout*> values);

// The shape of both, broadcast. Throws Invalid if they do not fit.
Dims broadcast(const Dims& a, const Dims& b);

class Broadcast {
 public:
  // `y` has the shape that `broadcast` tells.
  Broadcast(const Layout& a, const Layout& b, const Layout& y);

  // The operands are better exchanged: then the second is what rows share.
  bool exchanged() const { return exchanged_; }

  // Both operands have elements of their own in each column.
  bool own_columns() const { return grid_.a_step == 1 && grid_.b_step == 1; }

  // Calls part(a, b, y, grid) for all parts, in parallel; the first three are offsets in elements.
  template <typename Part>
  void run(ThreadPool& pool, const Part& part) const {
    pool.run(outer_ * row_blocks_ * column_blocks_, [&](std::int64_t block) {
      const std::int64_t column = block % column_blocks_ * column_block_;
      const std::int64_t row = block / column_blocks_ % row_blocks_ * row_block_;
      kernels::Grid grid = grid_;
      if (grid.rows - static_cast<std::size_t>(row) > static_cast<std::size_t>(row_block_)) {
        grid.rows = static_cast<std::size_t>(row_block_);
      } else {
        grid.rows -= static_cast<std::size_t>(row);
      }
      if (grid.columns - static_cast<std::size_t>(column) > static_cast<std::size_t>(column_block_)) {
        grid.columns = static_cast<std::size_t>(column_block_);
      } else {
        grid.columns -= static_cast<std::size_t>(column);
      }
      std::int64_t at[3] = {row * static_cast<std::int64_t>(grid.a_row) + column * static_cast<std::int64_t>(grid.a_step),
                            row * static_cast<std::int64_t>(grid.b_row) + column * static_cast<std::int64_t>(grid.b_step),
                            row * static_cast<std::int64_t>(grid.y_row) + column};
      advance(loops_, block / column_blocks_ / row_blocks_, at);
      part(at[0], at[1], at[2], grid);
    });
  }

 private:
  std::vector<Loop> loops_;  // outside of rows and columns
  kernels::Grid grid_{};
  bool exchanged_ = false;
  std::int64_t outer_ = 1;
  std::int64_t row_block_ = 1;
  std::int64_t row_blocks_ = 0;
  std::int64_t column_block_ = 1;
  std::int64_t column_blocks_ = 0;
};

}  // namespace graphopt
