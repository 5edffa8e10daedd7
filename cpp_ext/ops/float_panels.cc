#include "ops/float_panels.h"

#include <algorithm>

namespace graphopt {

namespace {

constexpr std::int64_t kPadding = 64;
// More leave room for too few rows.
constexpr std::int64_t kVectorsOfColours = 2;
// Products that are worth a block of their own.
constexpr std::int64_t kWorthwhile = 1 << 16;
constexpr std::int64_t kBlocksWanted = 16;
constexpr std::int64_t kRowsOfTiles = 24;

std::int64_t ceil_divide(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

}  // namespace

FloatPanelShape::FloatPanelShape(const kernels::FloatProducts& kernels, std::int64_t columns, std::int64_t segments,
                                 std::int64_t depth, FloatParts parts)
    : kernels_(&kernels),
      columns_(columns),
      segments_(segments),
      depth_(depth),
      parts_(parts),
      vector_(static_cast<std::int64_t>(kernels.vector)),
      width_(vector_ * (colours() ? kVectorsOfColours : static_cast<std::int64_t>(kernels.vectors))) {
  static_cast<void>(Dims({columns + width_, segments, depth}));
}

std::int64_t FloatPanelShape::columns_of(std::int64_t panel) const {
  return std::min(width_, columns_ - first_column(panel));
}

std::int64_t FloatPanelShape::padded_columns_of(std::int64_t panel) const {
  return ceil_divide(columns_of(panel), vector_) * vector_;
}

std::int64_t FloatPanelShape::padded_columns() const { return ceil_divide(columns_, vector_) * vector_; }

Aligned<float> FloatPanelShape::padded(const float* numbers) const {
  Aligned<float> all(padded_columns());
  std::copy_n(numbers, columns_, all.data());
  return all;
}

void FloatPanelShape::multiply(kernels::FloatTile tile, const float* packed, std::int64_t first, std::int64_t last,
                               std::int64_t rows, bool last_bias) const {
  tile.count = rows;
  const float* bias = tile.bias;
  float* to = tile.to;
  for (std::int64_t panel = first; panel < last; ++panel) {
    tile.weights = packed + offset(panel);
    tile.bias = bias == nullptr ? nullptr : bias + first_column(panel);
    tile.to = to + first_column(panel);
    tile.columns = static_cast<std::size_t>(columns_of(panel));
    multiply_panel(tile, last_bias);
  }
}

void FloatPanelShape::multiply_panel(kernels::FloatTile tile, bool last_bias) const {
  const std::int64_t width = ceil_divide(static_cast<std::int64_t>(tile.columns), vector_) * vector_;
  const kernels::FloatTile whole = tile;
  const kernels::FloatTile none{};
  each_part([&](std::int64_t segment, std::int64_t segments, std::int64_t begin, std::int64_t depth) {
    const bool first = segment == 0 && begin == 0;
    const bool last = segment + segments >= segments_ && begin + depth >= depth_;
    if (tile.rows != nullptr) tile.rows = whole.rows + segment * whole.stride;
    tile.segments = segments;
    tile.offset = begin;
    tile.depth = depth;
    tile.colours = colours();
    tile.add = whole.add || !first;
    tile.bias = (last_bias ? last : first) ? whole.bias : nullptr;
    tile.scale = last ? whole.scale : none.scale;
    tile.low = last ? whole.low : none.low;
    tile.high = last ? whole.high : none.high;
    kernels_->panel(tile);
    tile.weights += segments * depth * width;
  });
}

FloatPanels::FloatPanels(const kernels::FloatProducts& kernels, const float* weights, std::int64_t columns,
                         std::int64_t segments, std::int64_t depth, FloatParts parts)
    : shape_(kernels, columns, segments, depth, parts), packed_(shape_.floats()) {
  // Places of a column in the order of the parts.
  std::vector<std::int64_t> order;
  order.reserve(static_cast<std::size_t>(shape_.products()));
  shape_.each_part([&](std::int64_t first, std::int64_t count, std::int64_t begin, std::int64_t length) {
    for (std::int64_t segment = first; segment < first + count; ++segment) {
      for (std::int64_t k = begin; k < begin + length; ++k) order.push_back(segment * depth + k);
    }
  });
  for (std::int64_t panel = 0; panel < shape_.panels(); ++panel) {
    const std::int64_t width = shape_.padded_columns_of(panel);
    for (std::int64_t n = 0; n < shape_.columns_of(panel); ++n) {
      const float* from = weights + (shape_.first_column(panel) + n) * shape_.products();
      float* to = packed_.data() + shape_.offset(panel) + n;
      for (const std::int64_t place : order) {
        *to = from[place];
        to += width;
      }
    }
  }
}

Aligned<float> float_bias(const Attributes& attributes, std::int64_t columns) {
  Aligned<float> bias(columns + kPadding);
  if (!attributes.has("bias")) return bias;
  const Array& given = attributes.array("bias", Type::kF32);
  if (given.dims != Dims({columns})) {
    throw Invalid("attribute 'bias' is " + given.dims.text() + ", not [" + std::to_string(columns) + "]");
  }
  std::copy_n(given.as<float>(), columns, bias.data());
  return bias;
}

FloatBlocks FloatBlocks::of(std::int64_t rows, const FloatPanelShape& shape, std::int64_t row_limit,
                            std::int64_t times) {
  FloatBlocks blocks;
  if (rows == 0 || shape.columns() == 0) return blocks;
  const std::int64_t work = std::max<std::int64_t>(1, shape.products() * shape.columns());
  blocks.row_blocks = ceil_divide(rows, row_limit);
  // Fewer rows, if that makes more blocks that are worth it.
  const std::int64_t wanted = ceil_divide(kBlocksWanted, times);
  const std::int64_t worthwhile = std::max<std::int64_t>(1, rows * work / kWorthwhile);
  blocks.row_blocks = std::max(blocks.row_blocks, std::min({wanted, worthwhile, ceil_divide(rows, kRowsOfTiles)}));
  blocks.rows = ceil_divide(rows, blocks.row_blocks);
  if (blocks.rows > kRowsOfTiles) {
    blocks.rows = std::min(row_limit, ceil_divide(blocks.rows, kRowsOfTiles) * kRowsOfTiles);
  }
  blocks.row_blocks = ceil_divide(rows, blocks.rows);
  const std::int64_t most = std::max<std::int64_t>(1, blocks.rows * work / kWorthwhile);
  blocks.panel_blocks = std::min({shape.panels(), ceil_divide(wanted, blocks.row_blocks), most});
  blocks.panels = ceil_divide(shape.panels(), blocks.panel_blocks);
  blocks.panel_blocks = ceil_divide(shape.panels(), blocks.panels);
  return blocks;
}

}  // namespace graphopt
