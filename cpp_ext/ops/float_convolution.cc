#include "ops/float_convolution.h"

#include <algorithm>

#include "ops/phases.h"

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 96;
// On the stack of a block.
constexpr std::int64_t kPointers = 4096;
// Blocks of pixels whose channels have weights of their own.
constexpr std::int64_t kBlocksWanted = 16;
constexpr std::int64_t kWorthwhile = 1 << 15;

std::int64_t ceil_divide(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

// A phase, with the weights of its taps: of each group in panels, or [taps][channels].
struct Packed : Phase {
  explicit Packed(Phase phase) : Phase(std::move(phase)) {}

  std::vector<FloatPanels> panels;
  Aligned<float> channels;
};

struct Shared {
  Windows windows;
  const kernels::FloatProducts* kernels;
  bool depthwise;
  std::vector<Packed> phases;
  Aligned<float> bias;
  FloatEnds ends;
};

class BoundFloatConvolution final : public Bound {
 public:
  BoundFloatConvolution(const Shared& shared, const Layout& x, const Layout& y)
      : shared_(shared),
        x_(x),
        y_(y),
        matrix_(is_matrix()),
        blank_(static_cast<std::size_t>(shared.windows.channels())) {
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
    std::int64_t lines;  // of outputs whose places in memory are equally far from each other
    std::int64_t rows;   // of a line
    FloatBlocks split;   // of a line
    std::int64_t blocks;
  };

  // Windows are single pixels, each behind the one before: rows of a matrix.
  bool is_matrix() const {
    const Windows& all = shared_.windows;
    const bool padded = all.pads[0] + all.pads[1] + all.pads[2] + all.pads[3] != 0;
    return !all.transposed && all.taps() == 1 && all.strides[0] * all.strides[1] == 1 && !padded && all.groups == 1 &&
           !shared_.depthwise;
  }

  void plan(const Packed& phase) {
    Plan plan{};
    plan.counts = phase.counts(y_.dims);
    const std::int64_t count = y_.dims[0] * plan.counts.of[0] * plan.counts.of[1];
    plan.lines = phase.whole() ? 1 : y_.dims[0] * plan.counts.of[0];
    plan.rows = phase.whole() ? count : plan.counts.of[1];
    if (count > 0) {
      const auto taps = std::max<std::int64_t>(1, static_cast<std::int64_t>(phase.taps.size()));
      const std::int64_t limit = matrix_ ? kRowsOfBlock : std::min(kRowsOfBlock, kPointers / taps);
      if (shared_.depthwise) {
        const std::int64_t work = plan.rows * taps * y_.dims[3];
        const std::int64_t wanted = std::min({kBlocksWanted, 1 + work / kWorthwhile, plan.rows});
        plan.split.row_blocks = std::max(ceil_divide(plan.rows, limit), wanted);
        plan.split.rows = ceil_divide(plan.rows, plan.split.row_blocks);
        plan.split.row_blocks = ceil_divide(plan.rows, plan.split.rows);
        plan.split.panel_blocks = 1;
      } else {
        plan.split = FloatBlocks::of(plan.rows, phase.panels[0].shape(), limit, plan.lines * shared_.windows.groups);
      }
      plan.blocks = plan.lines * plan.split.count() * (shared_.depthwise ? 1 : shared_.windows.groups);
    }
    blocks_ += plan.blocks;
    plans_.push_back(plan);
  }

  void run_block(const Run& run, const Packed& phase, const Plan& plan, std::int64_t block) const {
    const std::int64_t panel_block = block % plan.split.panel_blocks;
    block /= plan.split.panel_blocks;
    const std::int64_t row_block = block % plan.split.row_blocks;
    block /= plan.split.row_blocks;
    const std::int64_t line = block % plan.lines;
    const std::int64_t group = block / plan.lines;
    const std::int64_t first = row_block * plan.split.rows;
    const std::int64_t rows = std::min(plan.split.rows, plan.rows - first);
    const unsigned char* pointers[kPointers];
    const auto* x = static_cast<const float*>(run.inputs[0]);
    if (!matrix_) {
      const auto pitch = static_cast<std::int64_t>(sizeof(float)) * x_.pitch;
      const Pixels pixels{reinterpret_cast<const unsigned char*>(x), x_.dims, pitch,
                          reinterpret_cast<const unsigned char*>(blank_.data())};
      phase.find(pixels, plan.counts, line * plan.rows + first, rows, phase.all_taps(), pointers);
    }
    float* to = static_cast<float*>(run.outputs[0]);
    to += phase.place(plan.counts, y_.dims, line * plan.rows + first) * y_.pitch;
    if (shared_.depthwise) {
      kernels::FloatDepthwise pixels{};
      pixels.rows = pointers;
      pixels.stride = rows;
      pixels.count = rows;
      pixels.taps = static_cast<std::int64_t>(phase.taps.size());
      pixels.weights = phase.channels.data();
      pixels.bias = shared_.bias.data();
      pixels.low = shared_.ends.low;
      pixels.high = shared_.ends.high;
      pixels.to = to;
      pixels.pitch = phase.step[1] * y_.pitch;
      pixels.channels = static_cast<std::size_t>(y_.dims[3]);
      shared_.kernels->depthwise(pixels);
      return;
    }
    const Windows& all = shared_.windows;
    const std::int64_t columns = all.columns / all.groups;
    if (group != 0) {
      const auto taps = static_cast<std::int64_t>(phase.taps.size());
      const auto skipped = group * all.depth * static_cast<std::int64_t>(sizeof(float));
      for (std::int64_t i = 0; i < taps * rows; ++i) pointers[i] += skipped;
    }
    kernels::FloatTile tile{};
    tile.rows = matrix_ ? nullptr : pointers;
    tile.stride = rows;
    tile.x = x + first * x_.pitch;
    tile.x_pitch = x_.pitch;
    tile.bias = shared_.bias.data() + group * columns;
    tile.low = shared_.ends.low;
    tile.high = shared_.ends.high;
    tile.to = to + group * columns;
    tile.pitch = phase.step[1] * y_.pitch;
    const FloatPanels& panels = phase.panels[static_cast<std::size_t>(group)];
    const std::int64_t first_panel = panel_block * plan.split.panels;
    panels.multiply(tile, first_panel, std::min(first_panel + plan.split.panels, panels.shape().panels()), rows, true);
  }

  const Shared& shared_;
  Layout x_;
  Layout y_;
  bool matrix_;
  std::vector<float> blank_;
  std::vector<Plan> plans_;
  std::int64_t blocks_ = 0;
};

class FloatConvolution final : public Op {
 public:
  FloatConvolution(const Attributes& attributes, const kernels::Table& kernels, bool transposed)
      : shared_{Windows(attributes, Type::kF32, transposed), &kernels.float_products, false, {}, {},
                FloatEnds(attributes)} {
    const Windows& all = shared_.windows;
    shared_.bias = float_bias(attributes, all.columns);
    shared_.depthwise = all.depth == 1 && all.groups == all.columns && all.groups > 1;
    const float* weights = attributes.array("weights", Type::kF32).as<float>();
    for (Phase& phase : phases_of(all, 1)) {
      shared_.phases.emplace_back(std::move(phase));
      pack(weights, shared_.phases.back());
    }
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    if (inputs[0].type != Type::kF32) throw Invalid(std::string("takes f32, not ") + name_of(inputs[0].type));
    return {Layout(Type::kF32, shared_.windows.result(inputs[0].dims))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundFloatConvolution>(shared_, inputs[0], outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  void pack(const float* weights, Packed& phase) const {
    const Windows& all = shared_.windows;
    const auto taps = static_cast<std::int64_t>(phase.taps.size());
    if (shared_.depthwise) {
      phase.channels = Aligned<float>(taps * all.columns);
      for (std::int64_t i = 0; i < taps * all.columns; ++i) {
        const std::int64_t tap = phase.taps[static_cast<std::size_t>(i / all.columns)].weight;
        phase.channels[i] = weights[i % all.columns * all.products() + tap];
      }
      return;
    }
    const std::int64_t columns = all.columns / all.groups;
    std::vector<float> matrix(static_cast<std::size_t>(columns * taps * all.depth));
    for (std::int64_t group = 0; group < all.groups; ++group) {
      auto to = matrix.begin();
      for (std::int64_t n = group * columns; n < (group + 1) * columns; ++n) {
        for (const Tap& tap : phase.taps) to = std::copy_n(weights + n * all.products() + tap.weight, all.depth, to);
      }
      phase.panels.emplace_back(*shared_.kernels, matrix.data(), columns, taps, all.depth, float_parts(all));
    }
  }

  Shared shared_;
};

}  // namespace

FloatParts float_parts(const Windows& all) {
  if (all.transposed) return {128, false};
  if (all.depth < 16) return {1, true};
  return {all.taps() == 1 ? 128 : 16, true};
}

std::unique_ptr<Op> make_float_convolution(const Attributes& attributes, const kernels::Table& kernels,
                                           bool transposed) {
  return std::make_unique<FloatConvolution>(attributes, kernels, transposed);
}

}  // namespace graphopt
