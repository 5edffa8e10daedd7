// Weights in the order in which the tiles of kernels read them, and products of whole blocks by those tiles.
#pragma once

#include <vector>

#include "kernels/table.h"
#include "ops/aligned.h"
#include "ops/segments.h"

namespace graphopt {

// Groups of weights, each of one vector of columns, as `GemmTile` has them where some are left out.
struct SparsePanels {
  Aligned<std::int8_t> weights;
  std::vector<std::int32_t> begins;
  std::vector<std::int32_t> places;

  bool empty() const { return begins.empty(); }
};

// Of what is done by several, from `first` up to `last` of `all`.
struct Share {
  std::int64_t first;
  std::int64_t last;
  std::int64_t all;
};

// Rows that have some of the segments only, and fetch their share of the weights that are wanted next.
struct Piece {
  std::int64_t count;
  Segments segments;
  Share share;
};

// How a matrix of `columns` columns lies in panels. Each column has `segments` parts of `depth` weights.
class PanelShape {
 public:
  // Throws Invalid if it would be too large.
  PanelShape(const kernels::Gemm& kernel, std::int64_t columns, std::int64_t segments, std::int64_t depth);

  std::int64_t columns() const { return columns_; }
  std::int64_t segments() const { return segments_; }
  std::int64_t depth() const { return depth_; }
  std::int64_t panels() const { return panels_; }
  std::int64_t first_column(std::int64_t panel) const { return first_vector(panel) * vector_; }
  int columns_of(std::int64_t panel) const;
  // Bytes from the beginning to that of a panel; of all, for `panels()`.
  std::int64_t offset(std::int64_t panel) const;
  // Of arrays that go with the columns: filled up to whole vectors.
  std::int64_t padded_columns() const { return vectors_ * vector_; }
  // The most rows that a tile of the first panel takes.
  int tile_rows() const;

  // Puts weight (column, segment, k), which is at from[column * column_step + (segment * depth + k) * step], one of the
  // steps being 1, in its place, its bits exchanged where `flip` has ones; zeros where there is none. For panels `first`
  // to `last`. Sums of the weights of each column are added to those of its segment in `sums`, [segments][columns,
  // padded], unless it is null.
  void pack(const std::int8_t* from, std::int64_t column_step, std::int64_t step, std::uint8_t flip, std::int64_t first,
            std::int64_t last, std::int8_t* to, std::int32_t* sums) const;

  // Those of packed panels that are not all 0; none where the kernel would gain nothing by leaving the others out.
  SparsePanels without_zeros(const std::int8_t* packed) const;

  // The products of `rows` rows, any number, and panels `first` to `last`, by the tiles of the kernel. In `tile`,
  // `bias`, `zeros`, `out` and `to` begin at column 0; `count`, `weights`, `columns`, `segments` and `depth` need not
  // be set. It is not kept as it is. `bias`, `sums`, `to` and `other` begin at the first row of a piece.
  void multiply(kernels::GemmTile& tile, const std::int8_t* packed, std::int64_t first, std::int64_t last,
                std::int64_t rows) const;
  void multiply(kernels::GemmTile& tile, const std::int8_t* packed, std::int64_t first, std::int64_t last,
                const Piece& piece) const;
  void multiply(kernels::GemmTile& tile, const SparsePanels& packed, std::int64_t first, std::int64_t last,
                const Piece& piece) const;

  // As one piece.
  Piece whole(std::int64_t rows) const { return {rows, {0, segments_}, {0, 1, 1}}; }
  // Panels that the kernel multiplies by at a time.
  std::int64_t at_a_time() const { return kernel_->panels; }

 private:
  template <typename Each>
  void each(kernels::GemmTile& tile, std::int64_t at_a_time, std::int64_t first, std::int64_t last, const Piece& piece,
            const Each& multiply_from) const;

  // Panels are as wide as may be, but the last one is no single vector if the one before can spare another: for each
  // sum of such a panel, codes would have to be read.
  std::int64_t first_vector(std::int64_t panel) const;

  const kernels::Gemm* kernel_;
  std::int64_t columns_;
  std::int64_t segments_;
  std::int64_t depth_;
  std::int64_t vector_;
  std::int64_t vectors_;
  std::int64_t panels_;
  std::int64_t group_;   // weights of a column that lie together
  std::int64_t groups_;  // in a column
};

// Constant weights: a matrix [columns, segments * depth] in panels, and the sums of its columns' segments.
class Panels {
 public:
  // `dense`: none are left out, though they be 0.
  Panels(const kernels::Gemm& kernel, const std::int8_t* weights, std::int64_t columns, std::int64_t segments,
         std::int64_t depth, bool dense = false);

  const PanelShape& shape() const { return shape_; }
  // As `PanelShape` has it.
  void multiply(kernels::GemmTile& tile, std::int64_t first, std::int64_t last, std::int64_t rows) const;
  void multiply(kernels::GemmTile& tile, std::int64_t first, std::int64_t last, const Piece& piece) const;
  // Of the weights of a column, modulo 2^32.
  std::int32_t sum(std::int64_t column) const { return sum(column, {0, shape_.segments()}); }
  std::int32_t sum(std::int64_t column, const Segments& segments) const;

 private:
  PanelShape shape_;
  Aligned<std::int8_t> packed_;  // none where there are sparse ones
  SparsePanels sparse_;
  Aligned<std::int32_t> sums_;  // [segments][columns], padded
};

// Rows of codes that are multiplied by panels.
struct RowsOfCodes {
  std::int64_t count;
  std::int64_t bytes;  // of one that no other has
  std::int64_t limit;  // of a block
};

// How the rows and panels of a product are split into blocks.
struct Blocks {
  std::int64_t rows;          // of a block, but the last
  std::int64_t panels;        // likewise
  std::int64_t row_blocks;
  std::int64_t panel_blocks;
  // Blocks that follow each other share panels, not rows: there are more bytes of weights than of codes, and these are
  // read again and again.
  bool by_panels;

  // Blocks for one thread `alone` need only fit into a cache; those for several are to be some for each.
  static Blocks of(const RowsOfCodes& rows, const PanelShape& shape, bool alone);
  std::int64_t count() const { return row_blocks * panel_blocks; }
  std::int64_t row_block(std::int64_t block) const { return by_panels ? block % row_blocks : block / panel_blocks; }
  std::int64_t panel_block(std::int64_t block) const { return by_panels ? block / row_blocks : block % panel_blocks; }
};

}  // namespace graphopt
