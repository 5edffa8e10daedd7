#include "ops/tiled_convolution.h"

#include <algorithm>
#include <cstring>

#include "ops/bands.h"
#include "ops/epilogue.h"

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 96;
// Where segments are several pixels of few channels, rows take little room.
constexpr std::int64_t kMostRowsOfBlock = 192;
// Where rows are found without pointers to them.
constexpr std::int64_t kRowsOfMatrix = 384;
constexpr std::int64_t kBlocksWanted = 16;
// On the stack of a block.
constexpr std::int64_t kPointers = 4096;
constexpr std::int64_t kCopiedBytes = 1 << 15;
constexpr std::int64_t kMaxStrip = 4096;
// Copying them takes less time than finding each pixel.
constexpr std::int64_t kFewChannels = 48;
constexpr std::int64_t kPadding = 64;
// Of a piece of a block, unless the block has fewer.
constexpr std::int64_t kFewestRows = 4;
constexpr std::size_t kMostPieces = static_cast<std::size_t>(kRowsOfMatrix / kFewestRows);

std::int64_t ceil_divide(std::int64_t a, std::int64_t by) { return (a + by - 1) / by; }

// A phase, with the weights of its taps.
struct Packed : Phase {
  explicit Packed(Phase phase) : Phase(std::move(phase)) {}

  std::vector<Panels> panels;  // of each part of the channels
};

// How channels and windows become rows of a matrix.
struct Form {
  // Parts of the channels, each with columns of its own: groups, some of them as one with zeros for weights.
  std::int64_t parts;
  std::int64_t columns;
  // Inputs of a part in a pixel.
  std::int64_t depth;
  // Neighbouring pixels that are one segment.
  std::int64_t span;
  // Codes of a segment, and those that tiles read of it.
  std::int64_t length;
  std::int64_t read;
};

Form form_of(const Convolution& all, const kernels::Gemm& kernel) {
  const std::int64_t columns = all.columns / all.groups;
  std::int64_t merged = 1;
  std::int64_t least = -1;
  for (std::int64_t by = 1; by <= all.groups && by * columns <= 2 * kernel.vector * kernel.vectors; ++by) {
    if (all.groups % by != 0 || (by > 1 && all.asymmetric)) continue;
    const std::int64_t cost =
        all.groups / by * ceil_divide(by * all.depth, 4) * (ceil_divide(by * columns, kernel.vector) + 1);
    if (least >= 0 && cost >= least) continue;
    least = cost;
    merged = by;
  }
  Form form{all.groups / merged, merged * columns, merged * all.depth, 1, 0, 0};
  const std::int64_t strip = all.kernel[1] * form.depth;
  const bool shorter = ceil_divide(strip, 4) < all.kernel[1] * ceil_divide(form.depth, 4) ||
                       form.depth % 4 != 0 || form.depth <= kFewChannels;
  if (!all.transposed && form.parts == 1 && all.kernel[1] > 1 && all.dilations[1] == 1 && shorter &&
      strip <= kMaxStrip && all.kernel[0] * strip <= kCopiedBytes / 2) {
    form.span = all.kernel[1];
  }
  form.length = form.span * form.depth;
  const std::int64_t segments = all.kernel[0] * all.kernel[1] / form.span;
  const bool rounds = form.parts == 1 && segments * form.length <= kCopiedBytes / 8;
  form.read = rounds ? ceil_divide(form.length, 4) * 4 : form.length;
  return form;
}

// The weights of a part: [columns][taps][read].
Panels panels_of(const Convolution& all, const Form& form, const Phase& phase, std::int64_t part,
                 const kernels::Gemm& kernel) {
  const auto taps = static_cast<std::int64_t>(phase.taps.size());
  std::vector<std::int8_t> weights(static_cast<std::size_t>(form.columns * taps * form.read));
  const std::int64_t columns_of_group = all.columns / all.groups;
  for (std::int64_t n = 0; n < form.columns; ++n) {
    const std::int8_t* column = all.weights.data() + (part * form.columns + n) * all.products();
    const std::int64_t first = n / columns_of_group * all.depth;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t pixel = 0; pixel < form.span; ++pixel) {
        std::memcpy(weights.data() + (n * taps + tap) * form.read + pixel * form.depth + first,
                    column + phase.taps[static_cast<std::size_t>(tap)].weight + pixel * all.depth,
                    static_cast<std::size_t>(all.depth));
      }
    }
  }
  return {kernel, weights.data(), form.columns, taps, form.read};
}

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
        matrix_(is_matrix()),
        whole_(is_whole()),
        addition_(shared.epilogue.addition(r_.type, y.dims.count(), true)),
        blank_(static_cast<std::size_t>(std::max(shared.all.channels(), shared.form.read)),
               static_cast<unsigned char>(shared.all.x_zero)) {
    for (const Packed& phase : shared.phases) plan(phase);
  }

  void run(const Run& run) const override {
    const bool alone = run.pool.threads() == 1;
    std::int64_t all = 0;
    for (const Plan& plan : plans_) all += plan.split(alone).blocks;
    run.pool.run(all, [&](std::int64_t block) {
      std::size_t phase = 0;
      while (block >= plans_[phase].split(alone).blocks) block -= plans_[phase++].split(alone).blocks;
      run_block(run, shared_.phases[phase], plans_[phase], plans_[phase].split(alone), block);
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
    std::int64_t lines;      // of outputs whose places in memory are equally far from each other
    std::int64_t rows;       // of a line
    Split alone;
    Split several;
    std::vector<Band> bands;
    std::vector<Aligned<std::int32_t>> bias;  // of each band, and of all taps
  };

  // Rows that have the same taps, and where these were found.
  struct Rows : Piece {
    std::int64_t first;
    const std::int32_t* bias;
    const std::uint8_t** pointers;
    std::int64_t stride;
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

  Split split(const Packed& phase, const Plan& plan, bool alone) const {
    const auto taps = std::max<std::int64_t>(1, static_cast<std::int64_t>(phase.taps.size()));
    const Form& form = shared_.form;
    const std::int64_t most = strips() ? kMostRowsOfBlock : kRowsOfBlock;
    std::int64_t limit = std::min(most, kPointers / taps);
    if (read_beyond()) limit = std::min(limit, kCopiedBytes / (taps * form.read));
    if (strips()) limit = whole_ ? most : most_rows_of_strips(phase, plan, most);
    if (matrix_) limit = kRowsOfMatrix;
    limit = std::max<std::int64_t>(1, limit);
    // Windows overlap.
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

  // Windows are single pixels, each behind the one before: rows of a matrix.
  bool is_matrix() const {
    const Convolution& all = shared_.all;
    const bool ones = all.kernel[0] * all.kernel[1] == 1 && all.strides[0] * all.strides[1] == 1;
    return !all.transposed && ones && !padded() && shared_.form.parts == 1 && !strips() && !read_beyond();
  }

  bool padded() const {
    const auto& pads = shared_.all.pads;
    return pads[0] + pads[1] + pads[2] + pads[3] != 0;
  }

  // Segments are several pixels.
  bool strips() const { return shared_.form.span > 1; }

  // Tiles read more than a segment.
  bool read_beyond() const { return shared_.form.read > shared_.form.length; }

  // Strips can be read where they lie: all windows are inside, and pixels follow each other.
  bool is_whole() const { return strips() && !padded() && x_.pitch == shared_.form.depth && !read_beyond(); }

  // Bytes of what `outputs` neighbouring outputs read of a line.
  std::int64_t strip_bytes(const Phase& phase, std::int64_t outputs) const {
    const Form& form = shared_.form;
    return ((outputs - 1) * phase.advance[1] + form.span) * form.depth + form.read - form.length;
  }

  // Bytes from the strip of a line of the window to that of the next one, in a block of `rows`.
  std::int64_t strip_step(const Phase& phase, const Plan& plan, std::int64_t rows) const {
    if (whole_) return shared_.all.dilations[0] * x_.dims[2] * x_.pitch;
    return strip_bytes(phase, std::min(rows, plan.counts.of[1]));
  }

  // The most rows whose strips there is room for.
  std::int64_t most_rows_of_strips(const Phase& phase, const Plan& plan, std::int64_t most) const {
    const auto taps = static_cast<std::int64_t>(phase.taps.size());
    const auto bytes = [&](std::int64_t rows) {
      const std::int64_t pieces = ceil_divide(rows - 1, plan.counts.of[1]) + 1;
      return pieces * taps * strip_step(phase, plan, rows);
    };
    while (most > 1 && bytes(most) > kCopiedBytes) --most;
    return most;
  }

  void run_block(const Run& run, const Packed& phase, const Plan& plan, const Split& split, std::int64_t block) const {
    const Form& form = shared_.form;
    const Blocks& blocks = split.of_line;
    const std::int64_t row_blocks = plan.lines * blocks.row_blocks;
    const std::int64_t column_blocks = split.blocks / row_blocks;
    const std::int64_t row_block = blocks.by_panels ? block % row_blocks : block / column_blocks;
    const std::int64_t column_block = blocks.by_panels ? block / row_blocks : block % column_blocks;
    const std::int64_t panel_block = column_block % blocks.panel_blocks;
    const std::int64_t first_part = column_block / blocks.panel_blocks * split.parts;
    const std::int64_t last_part = std::min(first_part + split.parts, form.parts);
    const std::int64_t line = row_block / blocks.row_blocks;
    const std::int64_t first = row_block % blocks.row_blocks * blocks.rows;
    const std::int64_t rows = std::min(blocks.rows, plan.rows - first);
    const std::uint8_t* pointers[kPointers];
    std::uint8_t copies[kCopiedBytes];
    const auto* x = static_cast<const std::uint8_t*>(run.inputs[0]);
    const std::int64_t step = strips() ? strip_step(phase, plan, rows) : 0;
    Rows pieces[kMostPieces];
    const std::size_t count = cut(phase, plan, line * plan.rows + first, rows, pieces);
    const std::uint8_t** end_of_pointers = pointers;
    std::uint8_t* free = copies;
    for (std::size_t i = 0; i < count; ++i) {
      Rows& piece = pieces[i];
      piece.share = {piece.first, piece.first + piece.count, rows};
      if (blocks.by_panels) {
        const std::int64_t before = line * plan.rows + first;
        piece.share = {before + piece.first, before + piece.first + piece.count, plan.lines * plan.rows};
      }
      piece.pointers = end_of_pointers;
      const std::int64_t begin = line * plan.rows + first + piece.first;
      if (strips()) {
        free = find_strips(x, phase, plan, begin, piece, step, free);
        end_of_pointers += piece.count;
      } else if (!matrix_) {
        free = find_rows(x, phase, plan, begin, piece, free);
        end_of_pointers += piece.count * piece.segments.count();
      }
    }

    const std::int64_t place = phase.place(plan.counts, y_.dims, line * plan.rows + first);
    const auto size = static_cast<std::int64_t>(size_of(y_.type));
    auto* y = static_cast<unsigned char*>(run.outputs[0]) + place * y_.pitch * size;
    const unsigned char* residual = nullptr;
    if (shared_.epilogue.residual()) {
      residual = static_cast<const unsigned char*>(run.inputs[1]) + place * r_.pitch * size;
    }
    std::int32_t sums[kRowsOfMatrix];
    std::int64_t moved = 0;
    for (std::int64_t part = first_part; part < last_part; ++part) {
      const std::int64_t column = part * form.columns;
      const std::int64_t depth = part * form.depth;
      for (const std::uint8_t** pointer = pointers; depth != moved && pointer != end_of_pointers; ++pointer) {
        *pointer += depth - moved;
      }
      moved = depth;
      kernels::GemmTile block_tile{};
      block_tile.step = step;
      block_tile.x = x + first * x_.pitch;
      block_tile.x_pitch = x_.pitch;
      block_tile.flip = flip_;
      if (shared_.all.asymmetric) {
        block_tile.zeros = shared_.zeros.data() + column;
        block_tile.sums = sums;
      }
      block_tile.out = shared_.epilogue.tile();
      block_tile.out.scale += column;
      if (block_tile.out.shift != nullptr) block_tile.out.shift += column;
      block_tile.to = y + column * size;
      block_tile.pitch = phase.step[1] * y_.pitch;
      if (addition_.by_tiles) {
        block_tile.other = residual + column;
        block_tile.other_pitch = phase.step[1] * r_.pitch;
        block_tile.sum = &*addition_.integers;
      }
      const auto tile_of = [&](const Rows& piece) {
        kernels::GemmTile tile = block_tile;
        tile.rows = matrix_ ? nullptr : piece.pointers;
        tile.stride = piece.stride;
        tile.bias = piece.bias + column;
        if (tile.sums != nullptr) tile.sums += piece.first;
        tile.to = static_cast<unsigned char*>(tile.to) + piece.first * tile.pitch * size;
        if (tile.other != nullptr) tile.other += piece.first * tile.other_pitch;
        return tile;
      };
      for (std::size_t i = 0; shared_.all.asymmetric && i < count; ++i) {
        add_up(tile_of(pieces[i]), pieces[i], sums + pieces[i].first);
      }
      const Panels& panels = phase.panels[static_cast<std::size_t>(part)];
      const std::int64_t first_panel = panel_block * blocks.panels;
      const std::int64_t last_panel = std::min(first_panel + blocks.panels, panels.shape().panels());
      // Panels stay in cache while the pieces go by.
      const std::int64_t some = count == 1 ? blocks.panels : panels.shape().at_a_time();
      for (std::int64_t panel = first_panel; panel < last_panel; panel += some) {
        for (std::size_t i = 0; i < count; ++i) {
          kernels::GemmTile tile = tile_of(pieces[i]);
          panels.multiply(tile, panel, std::min(panel + some, last_panel), pieces[i]);
        }
      }
    }
    if (!shared_.epilogue.unfinished(addition_)) return;
    const PanelShape& shape = phase.panels[0].shape();
    std::int64_t begin = first_part * form.columns;
    std::int64_t end = last_part * form.columns;
    if (form.parts == 1) {
      begin = shape.first_column(panel_block * blocks.panels);
      end = std::min(shape.first_column((panel_block + 1) * blocks.panels), shape.columns());
    }
    if (residual != nullptr) residual += begin * size;
    shared_.epilogue.finish(y + begin * size, phase.step[1] * y_.pitch, residual, phase.step[1] * r_.pitch, addition_,
                            rows, end - begin);
  }

  // Rows of outputs from `begin` on, in pieces by bands. Gives how many there are. Low pieces go with their neighbours.
  std::size_t cut(const Packed& phase, const Plan& plan, std::int64_t begin, std::int64_t rows, Rows* pieces) const {
    std::size_t count = 0;
    for (std::int64_t row = 0; row < rows;) {
      const std::int64_t line = plan.counts.line(begin + row);
      std::size_t band = 0;
      while (plan.bands[band].last <= line) ++band;
      const std::int64_t left = (plan.bands[band].last - line) * plan.counts.of[1] - plan.counts.column(begin + row);
      const std::int64_t some = std::min(left, rows - row);
      const Rows next{{some, plan.bands[band].taps, {}}, row, plan.bias[band].data(), nullptr, 0};
      row += some;
      Rows* const last = count > 0 ? &pieces[count - 1] : nullptr;
      if (last == nullptr || (last->segments != next.segments && std::min(last->count, some) >= kFewestRows)) {
        pieces[count++] = next;
        continue;
      }
      last->count += some;
      if (last->segments == next.segments) continue;
      last->segments = phase.all_taps();
      last->bias = plan.bias.back().data();
    }
    return count;
  }

  // pointers[tap * rows + row] of a piece: where the segment of a tap begins, for its outputs, which are those of the
  // phase from `begin` on; in `copies`, if tiles would read beyond all of the input from there. Gives where room is left.
  std::uint8_t* find_rows(const std::uint8_t* x, const Phase& phase, const Plan& plan, std::int64_t begin, Rows& piece,
                          std::uint8_t* copies) const {
    const Form& form = shared_.form;
    piece.stride = piece.count;
    phase.find({x, x_.dims, x_.pitch, blank_.data()}, plan.counts, begin, piece.count, piece.segments, piece.pointers);
    if (!read_beyond()) return copies;
    const std::uint8_t* last = x + x_.bytes() - form.read;
    for (std::int64_t i = 0; i < piece.segments.count() * piece.count; ++i) {
      const std::uint8_t*& pointer = piece.pointers[i];
      if (pointer == blank_.data() || pointer <= last) continue;
      std::memcpy(copies, pointer, static_cast<std::size_t>(form.length));
      std::memset(copies + form.length, 0, static_cast<std::size_t>(form.read - form.length));
      pointer = copies;
      copies += form.read;
    }
    return copies;
  }

  // Strips of each line of the window, for each line of a piece's outputs, from `begin` on: copied, unless they can be
  // read where they lie. pointers[row]: where the segment of the first tap begins; that of each other tap lies `step` bytes
  // behind the one before. Gives where room is left.
  std::uint8_t* find_strips(const std::uint8_t* x, const Phase& phase, const Plan& plan, std::int64_t begin,
                            const Rows& piece, std::int64_t step, std::uint8_t* copies) const {
    const Form& form = shared_.form;
    for (std::int64_t row = 0; row < piece.count;) {
      const std::int64_t first = plan.counts.column(begin + row);
      const std::int64_t last = std::min(first + piece.count - row, plan.counts.of[1]);
      const std::int64_t line = plan.counts.line(begin + row);
      const std::int64_t image = plan.counts.image(begin + row);
      const std::int64_t first_line = image * x_.dims[1] + line * phase.advance[0];
      const std::uint8_t* place = copies;
      if (whole_) place = x + (first_line * x_.dims[2] + first * phase.advance[1]) * x_.pitch;
      for (std::int64_t column = first; column < last; ++column, ++row) {
        piece.pointers[row] = place;
        place += phase.advance[1] * form.depth;
      }
      if (whole_) continue;
      for (std::int64_t i = piece.segments.first; i < piece.segments.last; ++i) {
        const Tap& tap = phase.taps[static_cast<std::size_t>(i)];
        const std::int64_t input_line = line * phase.advance[0] + tap.offset[0];
        const bool inside = input_line >= 0 && input_line < x_.dims[1];
        const std::int64_t left = first * phase.advance[1] + tap.offset[1];
        const std::int64_t right = (last - 1) * phase.advance[1] + tap.offset[1] + form.span;
        copy_strip(x + (inside ? (image * x_.dims[1] + input_line) * x_.dims[2] * x_.pitch : 0), left, right,
                   inside ? x_.dims[2] : 0, copies);
        copies += step;
      }
    }
    return copies;
  }

  // The sums of the codes of a piece's rows, as they are read.
  void add_up(const kernels::GemmTile& tile, const Piece& piece, std::int32_t* sums) const {
    for (std::int64_t row = 0; row < piece.count; ++row) {
      std::uint32_t sum = 0;
      for (std::int64_t tap = 0; tap < piece.segments.count(); ++tap) {
        const std::uint8_t* from = tile.x + row * tile.x_pitch;
        if (!matrix_) from = tile.rows[tap * tile.stride + row] + tap * tile.step;
        sum += static_cast<std::uint32_t>(shared_.row_sum(from, shared_.form.length, flip_));
      }
      sums[row] = static_cast<std::int32_t>(sum);
    }
  }

  // Pixels `left` to `right` of a line of `width`, without gaps, and what tiles read behind them.
  void copy_strip(const std::uint8_t* from, std::int64_t left, std::int64_t right, std::int64_t width,
                  std::uint8_t* to) const {
    const Form& form = shared_.form;
    const std::int64_t first = std::clamp<std::int64_t>(0, left, right);
    const std::int64_t last = std::clamp(width, first, right);
    const auto blank = [&](std::int64_t bytes) {
      std::memset(to, blank_[0], static_cast<std::size_t>(bytes));
      to += bytes;
    };
    blank((first - left) * form.depth);
    const std::int64_t pixels = x_.pitch == form.depth ? last - first : 1;
    for (std::int64_t pixel = first; pixel < last; pixel += pixels, to += pixels * form.depth) {
      std::memcpy(to, from + pixel * x_.pitch, static_cast<std::size_t>(pixels * form.depth));
    }
    blank((right - last) * form.depth + form.read - form.length);
    // Of a line, the strip of the next block is most often the next one.
    const std::int64_t wanted = std::min((last - first) * x_.pitch, (width - last) * x_.pitch);
    for (std::int64_t i = 0; i < wanted; i += 64) __builtin_prefetch(from + last * x_.pitch + i);
  }

  const Shared& shared_;
  Layout x_;
  Layout y_;
  Layout r_;
  bool flip_;
  bool matrix_;
  bool whole_;
  Addition addition_;
  std::vector<std::uint8_t> blank_;
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
    shared_.form = form_of(all, kernels.gemm);
    for (Phase& phase : phases_of(all, shared_.form.span)) shared_.phases.emplace_back(std::move(phase));
    for (Packed& phase : shared_.phases) {
      for (std::int64_t part = 0; part < shared_.form.parts; ++part) {
        phase.panels.push_back(panels_of(all, shared_.form, phase, part, kernels.gemm));
      }
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
