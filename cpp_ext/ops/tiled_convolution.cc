#include "ops/tiled_convolution.h"

#include <algorithm>

#include "ops/bands.h"
#include "ops/epilogue.h"
#include "ops/window_rows.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlocksWanted = 16;
constexpr std::int64_t kPadding = 64;
// Of a piece of a block, unless the block has fewer.
constexpr std::int64_t kFewestRows = 4;
constexpr std::size_t kMostPieces = static_cast<std::size_t>(WindowRows::kMost / kFewestRows);

std::int64_t ceil_divide(std::int64_t a, std::int64_t by) { return (a + by - 1) / by; }

struct Shared {
  Epilogue epilogue;
  Convolution all;
  kernels::RowSum row_sum;
  Form form;
  std::vector<Packed> phases;
  Aligned<std::int32_t> zeros;
};

class BoundTiles final : public Bound {
 public:
  BoundTiles(const Shared& shared, const Layouts& inputs, const Layout& y)
      : shared_(shared),
        x_(inputs[0]),
        y_(y),
        r_(inputs.back()),
        flip_(x_.type == Type::kS8),
        windows_(shared.all, shared.form, x_),
        addition_(shared.epilogue.addition(r_.type, y.dims.count(), true)) {
    for (const Packed& phase : shared.phases) plan(phase);
  }

  void run(const Run& run) const override {
    const bool alone = run.pool.alone();
    std::int64_t all = 0;
    for (const Plan& plan : plans_) all += plan.split(alone).blocks;
    run.pool.run(all, [&](std::int64_t block) {
      std::size_t phase = 0;
      while (block >= plans_[phase].split(alone).blocks) block -= plans_[phase++].split(alone).blocks;
      run_block(run, area_of(shared_.phases[phase], plans_[phase], plans_[phase].split(alone), block));
    });
  }

 private:
  // For one thread or for several.
  struct Split {
    Blocks of_line;
    std::int64_t parts;  // in a block
    std::int64_t blocks = 0;
  };

  struct Plan {
    const Split& split(bool is_alone) const { return is_alone ? alone : several; }

    Counts counts;
    std::int64_t lines;  // of outputs whose places in memory are equally far from each other
    std::int64_t rows;   // of a line
    Split alone;
    Split several;
    std::vector<Band> bands;
    std::vector<Aligned<std::int32_t>> bias;  // of each band, and of all taps
  };

  // What a block computes: outputs of a line, from `begin` on, for some parts and panels.
  struct Area {
    const Packed& phase;
    const Plan& plan;
    std::int64_t begin;
    std::int64_t rows;
    std::int64_t first_part;
    std::int64_t last_part;
    std::int64_t first_panel;
    std::int64_t last_panel;
    // Of the weights that are wanted next.
    Share share;
  };

  // Rows of an area that have the same taps, and where these were found.
  struct Rows : Piece {
    std::int64_t first;
    const std::int32_t* bias;
    WindowRows::Found found;
  };

  void plan(const Packed& phase) {
    Plan plan{};
    plan.counts = phase.counts(y_.dims);
    plan.bands = bands_of(phase, plan.counts, x_.dims[1], ceil_divide(shared_.form.read, 4));
    for (const Band& band : plan.bands) plan.bias.push_back(bias_of(phase, band.taps));
    plan.bias.push_back(bias_of(phase, phase.all_taps()));
    const std::int64_t count = y_.dims[0] * plan.counts.of[0] * plan.counts.of[1];
    plan.lines = phase.whole() ? 1 : y_.dims[0] * plan.counts.of[0];
    plan.rows = phase.whole() ? count : plan.counts.of[1];
    if (count > 0) {
      plan.alone = split(phase, plan, true);
      plan.several = split(phase, plan, false);
    }
    plans_.push_back(std::move(plan));
  }

  Aligned<std::int32_t> bias_of(const Packed& phase, const Segments& taps) const {
    const Convolution& all = shared_.all;
    Aligned<std::int32_t> bias(all.columns + kPadding);
    for (std::int64_t n = 0; n < all.columns; ++n) {
      const Panels& panels = phase.panels[static_cast<std::size_t>(n / shared_.form.columns)];
      const std::int32_t sum = panels.sum(n % shared_.form.columns, taps);
      bias[n] = all.folded_bias(n, x_.type, sum, taps.count() * shared_.form.span * all.depth);
    }
    return bias;
  }

  Split split(const Packed& phase, const Plan& plan, bool alone) const {
    const Form& form = shared_.form;
    const std::int64_t limit = windows_.most(phase, plan.counts);
    // Windows overlap.
    const std::int64_t taps = std::max<std::int64_t>(1, phase.all_taps().count());
    const std::int64_t bytes = std::min(taps * form.read, phase.advance[0] * phase.advance[1] * form.depth);
    Split split{Blocks::of({plan.rows, bytes, limit}, phase.panels[0].shape(), alone), form.parts};
    Blocks& blocks = split.of_line;
    blocks.rows = std::min(blocks.rows, limit);
    blocks.row_blocks = ceil_divide(plan.rows, blocks.rows);
    const std::int64_t row_blocks = plan.lines * blocks.row_blocks;
    if (!alone) split.parts = ceil_divide(split.parts, std::max<std::int64_t>(1, kBlocksWanted / row_blocks));
    split.blocks = row_blocks * blocks.panel_blocks * ceil_divide(form.parts, split.parts);
    return split;
  }

  Area area_of(const Packed& phase, const Plan& plan, const Split& split, std::int64_t block) const {
    const Blocks& blocks = split.of_line;
    const std::int64_t row_blocks = plan.lines * blocks.row_blocks;
    const std::int64_t column_blocks = split.blocks / row_blocks;
    const std::int64_t row_block = blocks.by_panels ? block % row_blocks : block / column_blocks;
    const std::int64_t column_block = blocks.by_panels ? block / row_blocks : block % column_blocks;
    const std::int64_t first = row_block % blocks.row_blocks * blocks.rows;
    const std::int64_t begin = row_block / blocks.row_blocks * plan.rows + first;
    const std::int64_t rows = std::min(blocks.rows, plan.rows - first);
    const std::int64_t part = column_block / blocks.panel_blocks * split.parts;
    const std::int64_t panel = column_block % blocks.panel_blocks * blocks.panels;
    return {phase,
            plan,
            begin,
            rows,
            part,
            std::min(part + split.parts, shared_.form.parts),
            panel,
            std::min(panel + blocks.panels, phase.panels[0].shape().panels()),
            blocks.by_panels ? Share{begin, begin + rows, plan.lines * plan.rows} : Share{0, rows, rows}};
  }

  void run_block(const Run& run, const Area& area) const {
    const Form& form = shared_.form;
    const auto size = static_cast<std::int64_t>(size_of(y_.type));
    const auto* x = static_cast<const std::uint8_t*>(run.inputs[0]);
    const std::int64_t place = area.phase.place(area.plan.counts, y_.dims, area.begin);
    auto* y = static_cast<unsigned char*>(run.outputs[0]) + place * y_.pitch * size;
    const unsigned char* residual = nullptr;
    if (shared_.epilogue.residual()) {
      residual = static_cast<const unsigned char*>(run.inputs[1]) + place * r_.pitch * size;
    }
    kernels::GemmTile tile{};
    tile.step = windows_.step(area.phase, area.plan.counts, area.rows);
    if (windows_.matrix()) tile.x = x + area.begin * x_.pitch;
    tile.x_pitch = x_.pitch;
    tile.flip = flip_;
    tile.group_columns = static_cast<int>(form.group_columns);
    std::int32_t sums[WindowRows::kMost];
    if (shared_.all.asymmetric) {
      tile.zeros = shared_.zeros.data();
      tile.sums = sums;
    }
    tile.out = shared_.epilogue.tile();
    tile.to = y;
    tile.pitch = area.phase.step[1] * y_.pitch;
    if (addition_.by_tiles) {
      tile.other = residual;
      tile.other_pitch = area.phase.step[1] * r_.pitch;
      tile.sum = &*addition_.integers;
    }
    WindowRows::Room room;
    Rows pieces[kMostPieces];
    const std::size_t count = cut(area, pieces);
    for (Rows* piece = pieces; piece != pieces + count; ++piece) {
      piece->found = windows_.find(x, area.phase, area.plan.counts, area.begin + piece->first, piece->count,
                                   piece->segments, tile.step, room);
    }
    std::int64_t moved = 0;
    for (std::int64_t part = area.first_part; part < area.last_part; ++part) {
      room.move(part * form.depth - moved);
      moved = part * form.depth;
      multiply(area, part, tile, sums, pieces, count);
    }
    if (!shared_.epilogue.unfinished(addition_)) return;
    // Some panels only: other blocks finish the others.
    const PanelShape& shape = area.phase.panels[0].shape();
    const std::int64_t first = shape.first_column(area.first_panel);
    const std::int64_t last = std::min(shape.first_column(area.last_panel), shape.columns());
    for (std::int64_t part = area.first_part; part < area.last_part; ++part) {
      const std::int64_t begin = part * form.columns + first;
      shared_.epilogue.finish(y + begin * size, tile.pitch, residual == nullptr ? nullptr : residual + begin * size,
                              area.phase.step[1] * r_.pitch, addition_, area.rows, last - first);
    }
  }

  // The rows of an area in pieces by bands. Gives how many there are. Low pieces go with their neighbours.
  std::size_t cut(const Area& area, Rows* pieces) const {
    const Plan& plan = area.plan;
    std::size_t count = 0;
    for (std::int64_t row = 0; row < area.rows;) {
      const std::int64_t line = plan.counts.line(area.begin + row);
      std::size_t band = 0;
      while (plan.bands[band].last <= line) ++band;
      const std::int64_t column = plan.counts.column(area.begin + row);
      const std::int64_t left = (plan.bands[band].last - line) * plan.counts.of[1] - column;
      const std::int64_t some = std::min(left, area.rows - row);
      const Rows next{{some, plan.bands[band].taps, {}}, row, plan.bias[band].data(), {}};
      row += some;
      Rows* const last = count > 0 ? &pieces[count - 1] : nullptr;
      if (last == nullptr || (last->segments != next.segments && std::min(last->count, some) >= kFewestRows)) {
        pieces[count++] = next;
        continue;
      }
      last->count += some;
      if (last->segments == next.segments) continue;
      last->segments = area.phase.all_taps();
      last->bias = plan.bias.back().data();
    }
    for (Rows* piece = pieces; piece != pieces + count; ++piece) {
      const std::int64_t first = area.share.first + piece->first;
      piece->share = {first, first + piece->count, area.share.all};
    }
    return count;
  }

  // The products of one part. `all` is the tile of the area and of all parts; `sums` is room.
  void multiply(const Area& area, std::int64_t part, const kernels::GemmTile& all, std::int32_t* sums,
                const Rows* pieces, std::size_t count) const {
    const std::int64_t column = part * shared_.form.columns;
    const auto size = static_cast<std::int64_t>(size_of(y_.type));
    const auto tile_of = [&](const Rows& piece) {
      kernels::GemmTile tile = all;
      tile.rows = piece.found.rows;
      tile.stride = piece.found.stride;
      tile.x += piece.first * tile.x_pitch;
      tile.bias = piece.bias + column;
      if (tile.zeros != nullptr) tile.zeros += column;
      if (tile.sums != nullptr) tile.sums += piece.first;
      tile.out.scale += column;
      if (tile.out.shift != nullptr) tile.out.shift += column;
      tile.to = static_cast<unsigned char*>(tile.to) + (piece.first * tile.pitch + column) * size;
      if (tile.other != nullptr) tile.other += piece.first * tile.other_pitch + column;
      return tile;
    };
    for (std::size_t i = 0; all.sums != nullptr && i < count; ++i) {
      add_up(tile_of(pieces[i]), pieces[i], sums + pieces[i].first);
    }
    const Panels& panels = area.phase.panels[static_cast<std::size_t>(part)];
    // Panels stay in cache while the pieces go by.
    const std::int64_t some = count == 1 ? area.last_panel - area.first_panel : panels.shape().at_a_time();
    for (std::int64_t panel = area.first_panel; panel < area.last_panel; panel += some) {
      for (std::size_t i = 0; i < count; ++i) {
        kernels::GemmTile tile = tile_of(pieces[i]);
        panels.multiply(tile, panel, std::min(panel + some, area.last_panel), pieces[i]);
      }
    }
  }

  // The sums of the codes of a piece's rows, as they are read.
  void add_up(const kernels::GemmTile& tile, const Piece& piece, std::int32_t* sums) const {
    for (std::int64_t row = 0; row < piece.count; ++row) {
      std::uint32_t sum = 0;
      for (std::int64_t tap = 0; tap < piece.segments.count(); ++tap) {
        const std::uint8_t* from = tile.x + row * tile.x_pitch;
        if (tile.rows != nullptr) from = tile.rows[tap * tile.stride + row] + tap * tile.step;
        sum += static_cast<std::uint32_t>(shared_.row_sum(from, shared_.form.length, flip_));
      }
      sums[row] = static_cast<std::int32_t>(sum);
    }
  }

  const Shared& shared_;
  Layout x_;
  Layout y_;
  Layout r_;
  bool flip_;
  WindowRows windows_;
  Addition addition_;
  std::vector<Plan> plans_;
};

class TiledConvolution final : public Op {
 public:
  TiledConvolution(const Attributes& attributes, const kernels::Table& kernels, Convolution convolution)
      : shared_{Epilogue(attributes, kernels, convolution.scales),
                std::move(convolution),
                kernels.row_sum,
                {},
                {},
                {}} {
    const Convolution& all = shared_.all;
    shared_.form = Form::of(all, kernels.gemm);
    for (Phase& phase : phases_of(all, shared_.form.span)) {
      shared_.phases.emplace_back(std::move(phase), all, shared_.form, kernels.gemm);
    }
    shared_.zeros = Aligned<std::int32_t>(all.columns + kPadding);
    std::copy(all.zeros.begin(), all.zeros.end(), shared_.zeros.data());
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, shared_.epilogue.residual() ? 2 : 1);
    const Dims dims = shared_.all.result(inputs[0]);
    if (shared_.epilogue.residual()) shared_.epilogue.expect_residual(inputs[1], dims);
    return {Layout(shared_.epilogue.type(), dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundTiles>(shared_, inputs, outputs[0]);
  }

  bool pitched() const override { return true; }

  // Tiles read what they add right before they write.
  bool in_place(std::size_t index, const Layouts& inputs) const override {
    return index == 1 && shared_.epilogue.addition(inputs[1].type, inputs[1].dims.count(), true).by_tiles;
  }

 private:
  Shared shared_;
};

}  // namespace

std::unique_ptr<Op> make_tiled_convolution(const Attributes& attributes, const kernels::Table& kernels,
                                           Convolution convolution) {
  return std::make_unique<TiledConvolution>(attributes, kernels, std::move(convolution));
}

}  // namespace graphopt
