// Tiles write the rows of a block side by side, where they stay in the first cache; then each line of the windows is
// copied to its place.

#include "ops/float_disjoint_transpose.h"

#include <algorithm>

#include "ops/disjoint_windows.h"
#include "ops/float_convolution.h"

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 384;
// On the stack of a block.
constexpr std::int64_t kFloatsOfBlock = 1 << 13;
constexpr std::int64_t kMaxColumns = 256;
constexpr std::int64_t kPadding = 64;

std::int64_t ceil_divide(std::int64_t a, std::int64_t by) { return (a + by - 1) / by; }

struct Shared {
  Windows windows;
  FloatPanels panels;
  Aligned<float> bias;
  FloatEnds ends;
};

class BoundFloatWindows final : public Bound {
 public:
  BoundFloatWindows(const Shared& shared, const Layout& x, const Layout& y)
      : shared_(shared),
        x_(x),
        y_(y),
        blocks_(FloatBlocks::of(x.dims.rows(), shared.panels.shape(), std::min(kRowsOfBlock, kFloatsOfBlock / columns()),
                                1)) {}

  void run(const Run& run) const override {
    run.pool.run(blocks_.row_blocks, [&](std::int64_t block) { run_block(run, block); });
  }

 private:
  // Of a window.
  std::int64_t columns() const { return shared_.panels.shape().columns(); }

  void run_block(const Run& run, std::int64_t block) const {
    const Windows& all = shared_.windows;
    const std::int64_t first = block * blocks_.rows;
    const std::int64_t rows = std::min(blocks_.rows, x_.dims.rows() - first);
    alignas(64) float windows[kFloatsOfBlock];
    kernels::FloatTile tile{};
    tile.x = static_cast<const float*>(run.inputs[0]) + first * x_.pitch;
    tile.x_pitch = x_.pitch;
    tile.bias = shared_.bias.data();
    tile.low = shared_.ends.low;
    tile.high = shared_.ends.high;
    tile.to = windows;
    tile.pitch = columns();
    shared_.panels.multiply(tile, 0, shared_.panels.shape().panels(), rows, true);
    for (std::int64_t at = 0; at < rows;) {
      const std::int64_t line = (first + at) / x_.dims[2];
      const std::int64_t column = (first + at) % x_.dims[2];
      const std::int64_t count = std::min(rows - at, x_.dims[2] - column);
      for (std::int64_t row = 0; row < all.kernel[0]; ++row) {
        const std::int64_t pixel = (line * all.kernel[0] + row) * y_.dims[2] + column * all.kernel[1];
        place_windows(all, reinterpret_cast<const unsigned char*>(windows + at * columns()), row, count, y_,
                      reinterpret_cast<unsigned char*>(static_cast<float*>(run.outputs[0]) + pixel * y_.pitch));
      }
      at += count;
    }
  }

  const Shared& shared_;
  Layout x_;
  Layout y_;
  FloatBlocks blocks_;
};

class FloatDisjointTranspose final : public Op {
 public:
  FloatDisjointTranspose(const Attributes& attributes, const kernels::Table& kernels)
      : FloatDisjointTranspose(attributes, kernels, Windows(attributes, Type::kF32, true)) {}

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    if (inputs[0].type != Type::kF32) throw Invalid(std::string("takes f32, not ") + name_of(inputs[0].type));
    return {Layout(Type::kF32, shared_.windows.result(inputs[0].dims))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundFloatWindows>(shared_, inputs[0], outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  FloatDisjointTranspose(const Attributes& attributes, const kernels::Table& kernels, Windows windows)
      : shared_{windows, panels_of(attributes, windows, kernels.float_products),
                Aligned<float>(windows.taps() * windows.columns + kPadding), FloatEnds(attributes)} {
    const Aligned<float> bias = float_bias(attributes, windows.columns);
    for (std::int64_t tap = 0; tap < windows.taps(); ++tap) {
      std::copy_n(bias.data(), windows.columns, shared_.bias.data() + tap * windows.columns);
    }
  }

  // The weights as a matrix [taps * columns, depth].
  static FloatPanels panels_of(const Attributes& attributes, const Windows& all,
                               const kernels::FloatProducts& kernels) {
    const float* weights = attributes.array("weights", Type::kF32).as<float>();
    std::vector<float> matrix(static_cast<std::size_t>(all.columns * all.products()));
    auto to = matrix.begin();
    for (std::int64_t tap = 0; tap < all.taps(); ++tap) {
      for (std::int64_t n = 0; n < all.columns; ++n) {
        to = std::copy_n(weights + (n * all.taps() + tap) * all.depth, all.depth, to);
      }
    }
    return {kernels, matrix.data(), all.taps() * all.columns, 1, all.depth, float_parts(all)};
  }

  Shared shared_;
};

}  // namespace

bool is_float_disjoint(const Windows& all, const kernels::FloatProducts& kernels) {
  // Where the columns of one element fill vectors, more of them gain nothing.
  const auto vector = static_cast<std::int64_t>(kernels.vector);
  const std::int64_t together = all.taps() * all.columns;
  return are_disjoint(all) && together <= kMaxColumns &&
         ceil_divide(together, vector) < all.taps() * ceil_divide(all.columns, vector);
}

std::unique_ptr<Op> make_float_disjoint_transpose(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<FloatDisjointTranspose>(attributes, kernels);
}

}  // namespace graphopt
