// Matrices of floats in the order in which kernels read them, and products of whole blocks of rows by them.
#pragma once

#include <algorithm>
#include <limits>

#include "kernels/table.h"
#include "ops/aligned.h"

namespace graphopt {

// The attributes `low` and `high`, if there are any: what results are clamped to.
struct FloatEnds {
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();

  FloatEnds() = default;
  explicit FloatEnds(const Attributes& attributes)
      : low(attributes.number("low", -kInfinity)), high(attributes.number("high", kInfinity)) {}

  float low = -kInfinity;
  float high = kInfinity;
};

// Products are added up part by part, each from 0: so many places of a segment are a part, or those of all segments.
struct FloatParts {
  std::int64_t depth;
  bool across;
};

// Of products of matrices.
constexpr FloatParts kMatrixParts = {256, false};

// How a matrix of `columns` columns lies in panels. Each column has `segments` segments of `depth` weights.
class FloatPanelShape {
 public:
  // Throws Invalid if it would be too large.
  FloatPanelShape(const kernels::FloatProducts& kernels, std::int64_t columns, std::int64_t segments,
                  std::int64_t depth, FloatParts parts);

  std::int64_t columns() const { return columns_; }
  std::int64_t products() const { return segments_ * depth_; }
  std::int64_t panels() const { return (columns_ + width_ - 1) / width_; }
  std::int64_t first_column(std::int64_t panel) const { return panel * width_; }
  std::int64_t columns_of(std::int64_t panel) const;
  // Those of a panel, filled up to whole vectors.
  std::int64_t padded_columns_of(std::int64_t panel) const;
  // Of all, filled up to a whole vector: of arrays that go with the columns, too.
  std::int64_t padded_columns() const;
  // One number for each column, filled up likewise.
  Aligned<float> padded(const float* numbers) const;
  // Floats from the beginning to that of a panel.
  std::int64_t offset(std::int64_t panel) const { return first_column(panel) * products(); }
  std::int64_t floats() const { return padded_columns() * products(); }

  // The products of `rows` rows, any number, and panels `first` to `last` of `packed`. In `tile`, `bias`, unless it is
  // null, and `to` begin at column 0; `bias` is added to the first part, or, if `last_bias`, to all of them; `offset`,
  // `count`, `segments`, `depth`, `weights` and `columns` need not be set.
  void multiply(kernels::FloatTile tile, const float* packed, std::int64_t first, std::int64_t last,
                std::int64_t rows, bool last_bias = false) const;

  // The kernel tells parts of single places apart by itself.
  bool colours() const { return parts_.across && parts_.depth == 1 && depth_ == kernels::kColours; }

  // Calls each(segment, segments, begin, depth) for all parts in order, those places of so many segments: or once, where
  // the kernel tells them apart.
  template <typename Each>
  void each_part(const Each& each) const {
    const std::int64_t segments = parts_.across ? segments_ : std::min<std::int64_t>(1, segments_);
    std::int64_t segment = 0;
    do {
      std::int64_t begin = 0;
      do {
        const std::int64_t depth = colours() ? depth_ : std::min(parts_.depth, depth_ - begin);
        each(segment, segments, begin, depth);
        begin += depth;
      } while (begin < depth_);
      segment += segments;
    } while (segment < segments_);
  }

 private:
  void multiply_panel(kernels::FloatTile tile, bool last_bias) const;

  const kernels::FloatProducts* kernels_;
  std::int64_t columns_;
  std::int64_t segments_;
  std::int64_t depth_;
  FloatParts parts_;
  std::int64_t vector_;
  std::int64_t width_;
};

// Constant weights: a matrix [columns, segments * depth] in panels.
class FloatPanels {
 public:
  FloatPanels(const kernels::FloatProducts& kernels, const float* weights, std::int64_t columns, std::int64_t segments,
              std::int64_t depth, FloatParts parts);

  const FloatPanelShape& shape() const { return shape_; }
  void multiply(const kernels::FloatTile& tile, std::int64_t first, std::int64_t last, std::int64_t rows,
                bool last_bias = false) const {
    shape_.multiply(tile, packed_.data(), first, last, rows, last_bias);
  }

 private:
  FloatPanelShape shape_;
  Aligned<float> packed_;
};

// The attribute `bias`, zeros without it; filled up to whole vectors. Throws Invalid unless it is [columns].
Aligned<float> float_bias(const Attributes& attributes, std::int64_t columns);

// How the rows and panels of a product are split into blocks, by shapes alone.
struct FloatBlocks {
  std::int64_t rows = 0;    // of a block, but the last
  std::int64_t panels = 0;  // likewise
  std::int64_t row_blocks = 0;
  std::int64_t panel_blocks = 0;

  // `row_limit`: the most rows of a block; `times`: how often such a product is made, each in blocks of its own.
  static FloatBlocks of(std::int64_t rows, const FloatPanelShape& shape, std::int64_t row_limit, std::int64_t times);
  std::int64_t count() const { return row_blocks * panel_blocks; }
};

}  // namespace graphopt
