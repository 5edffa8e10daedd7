#include "ops/float_panels.h"

#include <algorithm>

namespace graphopt {

namespace {

// Of a panel; those of so many products of each column stay in the nearest cache while all rows are multiplied by them.
constexpr std::int64_t kProductsOfPart = 128;
constexpr std::int64_t kPadding = 64;
// Products that are worth a block of their own.
constexpr std::int64_t kWorthwhile = 1 << 16;
constexpr std::int64_t kBlocksWanted = 16;
constexpr std::int64_t kRowsOfTiles = 24;

std::int64_t ceil_divide(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

}  // namespace

FloatPanelShape::FloatPanelShape(const kernels::FloatProducts& kernels, std::int64_t columns, std::int64_t segments,
                                 std::int64_t depth)
    : kernels_(&kernels),
      columns_(columns),
      segments_(segments),
      depth_(depth),
      vector_(static_cast<std::int64_t>(kernels.vector)),
      width_(vector_ * static_cast<std::int64_t>(kernels.vectors)) {
  static_cast<void>(Dims({columns + width_, segments, depth}));
}

std::int64_t FloatPanelShape::columns_of(std::int64_t panel) const {
  return std::min(width_, columns_ - first_column(panel));
}

std::int64_t FloatPanelShape::padded_columns_of(std::int64_t panel) const {
  return ceil_divide(columns_of(panel), vector_) * vector_;
}

std::int64_t FloatPanelShape::padded_columns() const { return ceil_divide(columns_, vector_) * vector_; }

void FloatPanelShape::multiply(kernels::FloatTile tile, const float* packed, std::int64_t first, std::int64_t last,
                               std::int64_t rows) const {
  tile.count = rows;
  const float* bias = tile.bias;
  float* to = tile.to;
  for (std::int64_t panel = first; panel < last; ++panel) {
    tile.weights = packed + offset(panel);
    tile.bias = bias == nullptr ? nullptr : bias + first_column(panel);
    tile.to = to + first_column(panel);
    tile.columns = static_cast<std::size_t>(columns_of(panel));
    multiply_panel(tile);
  }
}

// Part by part: of segments, some at a time, or of one, some of its depth.
void FloatPanelShape::multiply_panel(kernels::FloatTile tile) const {
  const std::int64_t vectors = ceil_divide(static_cast<std::int64_t>(tile.columns), vector_);
  const std::int64_t depths = ceil_divide(std::max<std::int64_t>(1, depth_), kProductsOfPart);
  const std::int64_t depth = ceil_divide(depth_, depths);
  const std::int64_t segments = std::max<std::int64_t>(1, kProductsOfPart / std::max<std::int64_t>(1, depth_));
  const kernels::FloatTile whole = tile;
  const kernels::FloatTile none{};
  std::int64_t segment = 0;
  std::int64_t begin = 0;
  bool more = true;
  while (more) {
    tile.segments = std::min(segments, segments_ - segment);
    tile.offset = begin;
    tile.depth = std::min(depth, depth_ - begin);
    const std::int64_t done = tile.segments * tile.depth;
    begin += tile.depth;
    if (begin == depth_) {
      segment += tile.segments;
      begin = 0;
    }
    more = segment < segments_;
    tile.scale = more ? none.scale : whole.scale;
    tile.low = more ? none.low : whole.low;
    tile.high = more ? none.high : whole.high;
    kernels_->panel(tile);
    tile.weights += done * vectors * vector_;
    tile.bias = nullptr;
    if (begin == 0 && tile.rows != nullptr) tile.rows += tile.segments * tile.stride;
  }
}

FloatPanels::FloatPanels(const kernels::FloatProducts& kernels, const float* weights, std::int64_t columns,
                         std::int64_t segments, std::int64_t depth)
    : shape_(kernels, columns, segments, depth), packed_(shape_.floats()) {
  for (std::int64_t panel = 0; panel < shape_.panels(); ++panel) {
    const std::int64_t width = shape_.padded_columns_of(panel);
    for (std::int64_t n = 0; n < shape_.columns_of(panel); ++n) {
      const float* from = weights + (shape_.first_column(panel) + n) * shape_.products();
      float* to = packed_.data() + shape_.offset(panel) + n;
      for (std::int64_t i = 0; i < shape_.products(); ++i) to[i * width] = from[i];
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
