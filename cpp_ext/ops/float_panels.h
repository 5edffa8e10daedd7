// Matrices of floats in the order in which kernels read them, and products of whole blocks of rows by them.
#pragma once

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

// How a matrix of `columns` columns lies in panels. Each column has `segments` parts of `depth` weights.
class FloatPanelShape {
 public:
  // Throws Invalid if it would be too large.
  FloatPanelShape(const kernels::FloatProducts& kernels, std::int64_t columns, std::int64_t segments,
                  std::int64_t depth);

  std::int64_t columns() const { return columns_; }
  std::int64_t products() const { return segments_ * depth_; }
  std::int64_t panels() const { return (columns_ + width_ - 1) / width_; }
  std::int64_t first_column(std::int64_t panel) const { return panel * width_; }
  std::int64_t columns_of(std::int64_t panel) const;
  // Those of a panel, filled up to whole vectors.
  std::int64_t padded_columns_of(std::int64_t panel) const;
  // Of all, filled up to a whole vector: of arrays that go with the columns, too.
  std::int64_t padded_columns() const;
  // Floats from the beginning to that of a panel.
  std::int64_t offset(std::int64_t panel) const { return first_column(panel) * products(); }
  std::int64_t floats() const { return padded_columns() * products(); }

  // The products of `rows` rows, any number, and panels `first` to `last` of `packed`. In `tile`, `bias`, unless it is
  // null, and `to` begin at column 0, and `scale`, `low` and `high` are those of the results; `offset`, `count`,
  // `segments`, `depth`, `weights`
  // and `columns` need not be set.
  void multiply(kernels::FloatTile tile, const float* packed, std::int64_t first, std::int64_t last,
                std::int64_t rows) const;

 private:
  void multiply_panel(kernels::FloatTile tile) const;

  const kernels::FloatProducts* kernels_;
  std::int64_t columns_;
  std::int64_t segments_;
  std::int64_t depth_;
  std::int64_t vector_;
  std::int64_t width_;
};

// Constant weights: a matrix [columns, segments * depth] in panels.
class FloatPanels {
 public:
  FloatPanels(const kernels::FloatProducts& kernels, const float* weights, std::int64_t columns, std::int64_t segments,
              std::int64_t depth);

  const FloatPanelShape& shape() const { return shape_; }
  void multiply(const kernels::FloatTile& tile, std::int64_t first, std::int64_t last, std::int64_t rows) const {
    shape_.multiply(tile, packed_.data(), first, last, rows);
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
