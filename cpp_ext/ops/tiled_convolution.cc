#include "ops/tiled_convolution.h"

#include <algorithm>
#include <cstring>

#include "ops/epilogue.h"
#include "ops/panels.h"
#include "ops/phases.h"

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
    run.pool.run(blocks_, [&](std::int64_t block) {
      std::size_t phase = 0;
      while (block >= plans_[phase].blocks) block -= plans_[phase++].blocks;
      run_block(run, shared_.phases[phase], plans_[phase], block);
    });
  }

 private:
  struct Plan {
    Counts counts;
    std::int64_t lines;      // of outputs whose places in memory are equally far from each other
    std::int64_t rows;       // of a line
    Blocks split;            // of a line
    std::int64_t parts;      // in a block
    std::int64_t blocks;
    Aligned<std::int32_t> bias;
  };

  void plan(const Packed& phase) {
    const Convolution& all = shared_.all;
    Plan plan{};
    plan.bias = Aligned<std::int32_t>(all.columns + kPadding);
    const std::int64_t products = static_cast<std::int64_t>(phase.taps.size()) * shared_.form.span * all.depth;
    for (std::int64_t n = 0; n < all.columns; ++n) {
      const Panels& panels = phase.panels[static_cast<std::size_t>(n / shared_.form.columns)];
      plan.bias[n] = all.folded_bias(n, x_.type, panels.sums()[n % shared_.form.columns], products);
    }
    plan.counts = phase.counts(y_.dims);
    const std::int64_t count = y_.dims[0] * plan.counts.of[0] * plan.counts.of[1];
    plan.lines = phase.whole() ? 1 : y_.dims[0] * plan.counts.of[0];
    plan.rows = phase.whole() ? count : plan.counts.of[1];
    plan.parts = shared_.form.parts;
    if (count > 0) {
      const auto taps = std::max<std::int64_t>(1, static_cast<std::int64_t>(phase.taps.size()));
      const std::int64_t most = strips() ? kMostRowsOfBlock : kRowsOfBlock;
      std::int64_t limit = std::min(most, kPointers / taps);
      if (read_beyond()) limit = std::min(limit, kCopiedBytes / (taps * shared_.form.read));
      if (strips()) limit = whole_ ? most : most_rows_of_strips(phase, plan, most);
      if (matrix_) limit = kRowsOfMatrix;
      plan.split = Blocks::of(plan.rows, phase.panels[0].shape(), matrix_ ? kRowsOfMatrix : most);
      plan.split.rows = std::min(plan.split.rows, std::max<std::int64_t>(1, limit));
      plan.split.row_blocks = ceil_divide(plan.rows, plan.split.rows);
      const std::int64_t row_blocks = plan.lines * plan.split.row_blocks;
      plan.parts = ceil_divide(plan.parts, std::max<std::int64_t>(1, kBlocksWanted / row_blocks));
      plan.blocks = row_blocks * plan.split.panel_blocks * ceil_divide(shared_.form.parts, plan.parts);
    }
    blocks_ += plan.blocks;
    plans_.push_back(std::move(plan));
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

  void run_block(const Run& run, const Packed& phase, const Plan& plan, std::int64_t block) const {
    const Form& form = shared_.form;
    const std::int64_t panel_block = block % plan.split.panel_blocks;
    block /= plan.split.panel_blocks;
    const std::int64_t part_blocks = ceil_divide(form.parts, plan.parts);
    const std::int64_t first_part = block % part_blocks * plan.parts;
    const std::int64_t last_part = std::min(first_part + plan.parts, form.parts);
    block /= part_blocks;
    const std::int64_t line = block / plan.split.row_blocks;
    const std::int64_t first = block % plan.split.row_blocks * plan.split.rows;
    const std::int64_t rows = std::min(plan.split.rows, plan.rows - first);
    const std::uint8_t* pointers[kPointers];
    std::uint8_t copies[kCopiedBytes];
    const auto* x = static_cast<const std::uint8_t*>(run.inputs[0]);
    const std::int64_t stride = strips() ? 0 : rows;
    const std::int64_t step = strips() ? strip_step(phase, plan, rows) : 0;
    if (strips()) {
      find_strips(x, phase, plan, line * plan.rows + first, rows, step, pointers, copies);
    } else if (!matrix_) {
      find_rows(x, phase, plan, line * plan.rows + first, rows, pointers, copies);
    }

    const std::int64_t place = phase.place(plan.counts, y_.dims, line * plan.rows + first);
    const auto size = static_cast<std::int64_t>(size_of(y_.type));
    auto* y = static_cast<unsigned char*>(run.outputs[0]) + place * y_.pitch * size;
    const unsigned char* residual = nullptr;
    if (shared_.epilogue.residual()) {
      residual = static_cast<const unsigned char*>(run.inputs[1]) + place * r_.pitch * size;
    }
    const auto taps = static_cast<std::int64_t>(phase.taps.size());
    std::int32_t sums[kRowsOfMatrix];
    std::int64_t moved = 0;
    for (std::int64_t part = first_part; part < last_part; ++part) {
      for (std::int64_t i = 0; !matrix_ && i < taps * rows && part * form.depth != moved; ++i) {
        pointers[i] += part * form.depth - moved;
      }
      moved = part * form.depth;
      const Panels& panels = phase.panels[static_cast<std::size_t>(part)];
      const std::int64_t column = part * form.columns;
      kernels::GemmTile tile{};
      tile.rows = matrix_ ? nullptr : pointers;
      tile.stride = stride;
      tile.step = step;
      tile.x = x + first * x_.pitch;
      tile.x_pitch = x_.pitch;
      tile.flip = flip_;
      tile.bias = plan.bias.data() + column;
      if (shared_.all.asymmetric) {
        for (std::int64_t row = 0; row < rows; ++row) {
          std::uint32_t sum = 0;
          for (std::int64_t tap = 0; tap < taps; ++tap) {
            const std::uint8_t* from = tile.x + row * tile.x_pitch;
            if (!matrix_) from = pointers[tap * stride + row] + tap * step;
            sum += static_cast<std::uint32_t>(shared_.row_sum(from, form.length, flip_));
          }
          sums[row] = static_cast<std::int32_t>(sum);
        }
        tile.zeros = shared_.zeros.data() + column;
        tile.sums = sums;
      }
      tile.out = shared_.epilogue.tile();
      tile.out.scale += column;
      if (tile.out.shift != nullptr) tile.out.shift += column;
      tile.to = y + column * size;
      tile.pitch = phase.step[1] * y_.pitch;
      if (addition_.by_tiles) {
        tile.other = residual + column;
        tile.other_pitch = phase.step[1] * r_.pitch;
        tile.sum = &*addition_.integers;
      }
      const std::int64_t first_panel = panel_block * plan.split.panels;
      panels.multiply(tile, first_panel, std::min(first_panel + plan.split.panels, panels.shape().panels()), rows);
    }
    if (!shared_.epilogue.unfinished(addition_)) return;
    const PanelShape& shape = phase.panels[0].shape();
    std::int64_t begin = first_part * form.columns;
    std::int64_t end = last_part * form.columns;
    if (form.parts == 1) {
      begin = shape.first_column(panel_block * plan.split.panels);
      end = std::min(shape.first_column((panel_block + 1) * plan.split.panels), shape.columns());
    }
    if (residual != nullptr) residual += begin * size;
    shared_.epilogue.finish(y + begin * size, phase.step[1] * y_.pitch, residual, phase.step[1] * r_.pitch, addition_,
                            rows, end - begin);
  }

  // pointers[tap * rows + row]: where the segment of a tap begins, for `rows` outputs of the phase from `begin` on; in
  // `copies`, if tiles would read beyond all of the input from there.
  void find_rows(const std::uint8_t* x, const Phase& phase, const Plan& plan, std::int64_t begin, std::int64_t rows,
                 const std::uint8_t** pointers, std::uint8_t* copies) const {
    phase.find({x, x_.dims, x_.pitch, blank_.data()}, plan.counts, begin, rows, pointers);
    if (!read_beyond()) return;
    const Form& form = shared_.form;
    const std::uint8_t* last = x + x_.bytes() - form.read;
    for (std::size_t i = 0; i < phase.taps.size() * static_cast<std::size_t>(rows); ++i) {
      if (pointers[i] == blank_.data() || pointers[i] <= last) continue;
      std::memcpy(copies, pointers[i], static_cast<std::size_t>(form.length));
      std::memset(copies + form.length, 0, static_cast<std::size_t>(form.read - form.length));
      pointers[i] = copies;
      copies += form.read;
    }
  }

  // Strips of each line of the window, for each line of `rows` outputs from `begin` on: copied, unless they can be read
  // where they lie. pointers[row]: where the segment of the first tap begins; that of each other tap lies `step` bytes
  // behind the one before.
  void find_strips(const std::uint8_t* x, const Phase& phase, const Plan& plan, std::int64_t begin, std::int64_t rows,
                   std::int64_t step, const std::uint8_t** pointers, std::uint8_t* copies) const {
    const Form& form = shared_.form;
    for (std::int64_t row = 0; row < rows;) {
      const std::int64_t first = plan.counts.column(begin + row);
      const std::int64_t last = std::min(first + rows - row, plan.counts.of[1]);
      const std::int64_t line = plan.counts.line(begin + row);
      const std::int64_t image = plan.counts.image(begin + row);
      const std::int64_t first_line = image * x_.dims[1] + line * phase.advance[0];
      const std::uint8_t* place = copies;
      if (whole_) place = x + (first_line * x_.dims[2] + first * phase.advance[1]) * x_.pitch;
      for (std::int64_t column = first; column < last; ++column, ++row) {
        pointers[row] = place;
        place += phase.advance[1] * form.depth;
      }
      if (whole_) continue;
      for (const Tap& tap : phase.taps) {
        const std::int64_t input_line = line * phase.advance[0] + tap.offset[0];
        const bool inside = input_line >= 0 && input_line < x_.dims[1];
        const std::int64_t left = first * phase.advance[1] + tap.offset[1];
        const std::int64_t right = (last - 1) * phase.advance[1] + tap.offset[1] + form.span;
        copy_strip(x + (inside ? (image * x_.dims[1] + input_line) * x_.dims[2] * x_.pitch : 0), left, right,
                   inside ? x_.dims[2] : 0, copies);
        copies += step;
      }
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
  std::int64_t blocks_ = 0;
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
