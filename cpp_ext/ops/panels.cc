// Packing, and loops over tiles: panels outside, so that a panel stays in cache while the rows of a block go by.

#include "ops/panels.h"

#include <algorithm>

namespace graphopt {

namespace {

// Products (of codes and weights) that are worth a block of their own, where rows or where panels are split: each block
// of rows begins and ends with a tile that nothing is computed beside.
constexpr std::int64_t kWorthwhileRows = 1 << 19;
constexpr std::int64_t kWorthwhile = 1 << 18;
constexpr std::int64_t kBlocksWanted = 16;
// Of the rows of a block: with a panel of weights, they stay in the second cache.
constexpr std::int64_t kBytesOfBlock = 192 * 1024;
// Times of sparse tiles, in groups of dense ones: of a group, of what stands at the end of a vector's, and at that of a
// segment's.
constexpr double kSparseGroup = 1.2;
constexpr double kSparseEnd = 14;
constexpr double kSparseSegment = 3;
constexpr std::int64_t kLine = 64;
constexpr std::int64_t kMostGroups = std::int64_t{1} << 24;

std::int64_t ceil_divide(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

}  // namespace

PanelShape::PanelShape(const kernels::Gemm& kernel, std::int64_t columns, std::int64_t segments, std::int64_t depth)
    : kernel_(&kernel),
      columns_(columns),
      segments_(segments),
      depth_(depth),
      vector_(kernel.vector),
      vectors_(ceil_divide(columns, kernel.vector)),
      panels_(ceil_divide(vectors_, kernel.vectors)),
      group_(kernel.group),
      groups_(segments * ceil_divide(depth, kernel.group)) {
  if (columns < 1) throw Invalid("weights of no columns");
  static_cast<void>(Dims({vectors_ * vector_, segments, ceil_divide(depth, group_), group_}));
}

std::int64_t PanelShape::first_vector(std::int64_t panel) const {
  const std::int64_t first = std::min(panel * kernel_->vectors, vectors_);
  const bool single = kernel_->vectors > 2 && vectors_ % kernel_->vectors == 1;
  return single && panel > 0 && panel == panels_ - 1 ? first - 1 : first;
}

int PanelShape::columns_of(std::int64_t panel) const {
  return static_cast<int>(std::min(first_column(panel + 1), columns_) - first_column(panel));
}

std::int64_t PanelShape::offset(std::int64_t panel) const { return first_column(panel) * groups_ * group_; }

int PanelShape::tile_rows() const { return kernel_->rows[first_vector(1)]; }

void PanelShape::pack(const std::int8_t* from, std::int64_t column_step, std::int64_t step, std::uint8_t flip,
                      std::int64_t first, std::int64_t last, std::int8_t* to, std::int32_t* sums) const {
  for (std::int64_t panel = first; panel < last; ++panel) {
    const std::int64_t begin = first_column(panel);
    kernels::Packing packing{};
    packing.column_step = column_step;
    packing.step = step;
    packing.depth = depth_;
    packing.columns = columns_of(panel);
    packing.padded = ceil_divide(packing.columns, vector_) * vector_;
    packing.flip = flip;
    packing.to = to + offset(panel);
    for (std::int64_t segment = 0; segment < segments_; ++segment) {
      packing.sums = sums == nullptr ? nullptr : sums + segment * padded_columns() + begin;
      packing.from = from + begin * column_step + segment * depth_ * step;
      kernel_->pack(packing);
      packing.to += ceil_divide(depth_, group_) * group_ * packing.padded;
    }
  }
}

SparsePanels PanelShape::without_zeros(const std::int8_t* packed) const {
  SparsePanels found;
  const std::int64_t all = groups_ * vectors_;
  if (kernel_->sparse == nullptr || all > kMostGroups) return found;
  const std::int64_t bytes = vector_ * group_;
  const std::int64_t groups = ceil_divide(depth_, group_);
  const auto is_zero = [&](const std::int8_t* at) { return std::all_of(at, at + bytes, [](auto w) { return w == 0; }); };
  std::int64_t zeros = 0;
  for (std::int64_t i = 0; i < all; ++i) zeros += is_zero(packed + i * bytes) ? 1 : 0;
  const double ends = static_cast<double>(vectors_) * (kSparseEnd + kSparseSegment * static_cast<double>(segments_));
  if (kSparseGroup * static_cast<double>(all - zeros) + ends >= static_cast<double>(all)) return found;
  found.weights = Aligned<std::int8_t>((all - zeros) * bytes);
  std::int8_t* to = found.weights.data();
  for (std::int64_t panel = 0; panel < panels_; ++panel) {
    const std::int64_t vectors = first_vector(panel + 1) - first_vector(panel);
    for (std::int64_t v = 0; v < vectors; ++v) {
      const std::int8_t* from = packed + offset(panel) + v * bytes;
      for (std::int64_t i = 0; i < groups_; ++i, from += vectors * bytes) {
        if (i % groups == 0) found.begins.push_back(static_cast<std::int32_t>(found.places.size()));
        if (is_zero(from)) continue;
        found.places.push_back(static_cast<std::int32_t>(i % groups * group_));
        to = std::copy(from, from + bytes, to);
      }
    }
  }
  found.begins.push_back(static_cast<std::int32_t>(found.places.size()));
  return found;
}

void PanelShape::multiply(kernels::GemmTile& tile, const std::int8_t* packed, std::int64_t first, std::int64_t last,
                          std::int64_t rows) const {
  multiply(tile, packed, first, last, whole(rows));
}

void PanelShape::multiply(kernels::GemmTile& tile, const std::int8_t* packed, std::int64_t first, std::int64_t last,
                          const Piece& piece) const {
  each(tile, kernel_->panels, first, last, piece, [&](std::int64_t panel) {
    const std::int64_t column_bytes = piece.segments.first * ceil_divide(depth_, group_) * group_;
    tile.weights = packed + offset(panel) + column_bytes * (first_column(panel + 1) - first_column(panel));
    const std::int64_t next = std::min(panel + kernel_->panels, panels_);
    const std::int64_t lines = (offset(std::min(next + kernel_->panels, panels_)) - offset(next)) / kLine;
    const std::int64_t skipped = lines * piece.share.first / piece.share.all * kLine;
    tile.next = next < panels_ ? packed + offset(next) + skipped : nullptr;
    tile.next_bytes = lines * piece.share.last / piece.share.all * kLine - skipped;
    (tile.group_columns > 0 ? kernel_->grouped : kernel_->multiply)(tile);
  });
}

void PanelShape::multiply(kernels::GemmTile& tile, const SparsePanels& packed, std::int64_t first, std::int64_t last,
                          const Piece& piece) const {
  tile.weights = packed.weights.data();
  tile.places = packed.places.data();
  each(tile, 1, first, last, piece, [&](std::int64_t panel) {
    tile.begins = packed.begins.data() + first_column(panel) / vector_ * segments_ + piece.segments.first;
    kernel_->sparse(tile);
  });
}

template <typename Each>
void PanelShape::each(kernels::GemmTile& tile, std::int64_t at_a_time, std::int64_t first, std::int64_t last,
                      const Piece& piece, const Each& multiply_from) const {
  const auto* all_bias = tile.bias;
  const auto* all_zeros = tile.zeros;
  const auto* all_scales = tile.out.scale;
  const auto* all_shifts = tile.out.shift;
  const auto* all_other = tile.other;
  auto* all_to = static_cast<unsigned char*>(tile.to);
  const auto size = static_cast<std::int64_t>(size_of(tile.out.type));
  tile.segments = piece.segments.count();
  tile.first_segment = piece.segments.first;
  tile.panel_segments = segments_;
  tile.count = static_cast<int>(piece.count);
  tile.depth = depth_;
  for (std::int64_t panel = first; panel < last; panel += at_a_time) {
    const std::int64_t column = first_column(panel);
    const std::int64_t end = std::min(first_column(std::min(panel + at_a_time, last)), columns_);
    tile.columns = static_cast<int>(end - column);
    tile.bias = all_bias + column;
    tile.zeros = all_zeros == nullptr ? nullptr : all_zeros + column;
    tile.out.scale = all_scales + column;
    tile.out.shift = all_shifts == nullptr ? nullptr : all_shifts + column;
    tile.other = all_other == nullptr ? nullptr : all_other + column;
    tile.to = all_to + column * size;
    multiply_from(panel);
  }
}

Panels::Panels(const kernels::Gemm& kernel, const std::int8_t* weights, std::int64_t columns, std::int64_t segments,
               std::int64_t depth, bool dense)
    : shape_(kernel, columns, segments, depth),
      packed_(shape_.offset(shape_.panels())),
      sums_(segments * shape_.padded_columns()) {
  shape_.pack(weights, segments * depth, 1, 0, 0, shape_.panels(), packed_.data(), sums_.data());
  if (!dense) sparse_ = shape_.without_zeros(packed_.data());
  if (!sparse_.empty()) packed_ = {};
}

void Panels::multiply(kernels::GemmTile& tile, std::int64_t first, std::int64_t last, std::int64_t rows) const {
  multiply(tile, first, last, shape_.whole(rows));
}

void Panels::multiply(kernels::GemmTile& tile, std::int64_t first, std::int64_t last, const Piece& piece) const {
  if (sparse_.empty()) {
    shape_.multiply(tile, packed_.data(), first, last, piece);
  } else {
    shape_.multiply(tile, sparse_, first, last, piece);
  }
}

std::int32_t Panels::sum(std::int64_t column, const Segments& segments) const {
  std::uint32_t sum = 0;
  for (std::int64_t segment = segments.first; segment < segments.last; ++segment) {
    sum += static_cast<std::uint32_t>(sums_[segment * shape_.padded_columns() + column]);
  }
  return static_cast<std::int32_t>(sum);
}

Blocks Blocks::of(const RowsOfCodes& all, const PanelShape& shape, bool alone) {
  const std::int64_t unit = shape.tile_rows();
  const std::int64_t wanted = alone ? 1 : kBlocksWanted;
  const std::int64_t some = std::max<std::int64_t>(1, all.count);
  const std::int64_t cached = std::max(4 * unit, kBytesOfBlock / std::max<std::int64_t>(1, all.bytes));
  Blocks blocks{};
  blocks.by_panels = shape.offset(shape.panels()) > some * all.bytes;
  // Fewer rows than may be, if that makes enough blocks for some threads.
  blocks.rows = std::max(unit, std::min(all.limit, cached) / unit * unit);
  const std::int64_t panels = blocks.by_panels ? shape.panels() : 1;
  const std::int64_t depth = std::max<std::int64_t>(1, shape.segments() * shape.depth());
  const std::int64_t products_of_row = depth * shape.columns();
  while (blocks.rows > 8 * unit && ceil_divide(all.count, blocks.rows) * panels < wanted &&
         blocks.rows / 2 * products_of_row >= kWorthwhileRows) {
    blocks.rows /= 2;
  }
  blocks.rows = ceil_divide(ceil_divide(some, ceil_divide(some, blocks.rows)), unit) * unit;
  blocks.row_blocks = ceil_divide(all.count, blocks.rows);
  blocks.panels = shape.panels();
  const std::int64_t products = depth * std::min(blocks.rows, some) * (shape.columns() / shape.panels());
  while (blocks.panels > 1 && blocks.row_blocks * ceil_divide(shape.panels(), blocks.panels) < wanted &&
         products * (blocks.panels / 2) >= kWorthwhile) {
    blocks.panels = ceil_divide(blocks.panels, 2);
  }
  if (blocks.by_panels && blocks.row_blocks > 1) blocks.panels = std::min(blocks.panels, shape.at_a_time());
  blocks.panel_blocks = ceil_divide(shape.panels(), blocks.panels);
  return blocks;
}

}  // namespace graphopt
