// Tiles write the rows of a block side by side, where they stay in the first cache; then each line of the windows is
// copied to its place.

#include "ops/disjoint_transpose.h"

#include <algorithm>
#include <cstring>

#include "ops/disjoint_windows.h"
#include "ops/epilogue.h"
#include "ops/panels.h"

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 384;
// On the stack of a block.
constexpr std::int64_t kBytesOfBlock = 1 << 15;
constexpr std::int64_t kMaxColumns = 256;
constexpr std::int64_t kPadding = 64;

std::int64_t ceil_divide(std::int64_t a, std::int64_t by) { return (a + by - 1) / by; }

// The weights as a matrix [taps * columns, depth].
Panels panels_of(const Convolution& all, const kernels::Gemm& kernel) {
  const std::int64_t taps = all.taps();
  std::vector<std::int8_t> weights(all.weights.size());
  for (std::int64_t n = 0; n < all.columns; ++n) {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      std::memcpy(weights.data() + (tap * all.columns + n) * all.depth,
                  all.weights.data() + (n * taps + tap) * all.depth, static_cast<std::size_t>(all.depth));
    }
  }
  return {kernel, weights.data(), taps * all.columns, 1, all.depth};
}

struct Shared {
  Epilogue epilogue;
  Convolution all;
  kernels::RowSum row_sum;
  Panels panels;
  Aligned<std::int32_t> zeros;
};

class BoundWindows final : public Bound {
 public:
  BoundWindows(const Shared& shared, const Layouts& inputs, const Layout& y)
      : shared_(shared),
        x_(inputs[0]),
        y_(y),
        r_(inputs.back()),
        size_(static_cast<std::int64_t>(size_of(y.type))),
        addition_(shared.epilogue.addition(r_.type, y.dims.count(), false)),
        bias_(columns() + kPadding),
        blocks_(Blocks::of({x_.dims.rows(), shared.all.depth,
                            std::min(kRowsOfBlock, kBytesOfBlock / (columns() * size_))},
                           shared.panels.shape(), false)) {
    const Convolution& all = shared.all;
    for (std::int64_t n = 0; n < columns(); ++n) {
      bias_[n] = all.folded_bias(n % all.columns, x_.type, shared.panels.sum(n), all.depth);
    }
  }

  void run(const Run& run) const override {
    run.pool.run(blocks_.row_blocks, [&](std::int64_t block) { run_block(run, block); });
  }

 private:
  // Of a window.
  std::int64_t columns() const { return shared_.panels.shape().columns(); }

  void run_block(const Run& run, std::int64_t block) const {
    const PanelShape& shape = shared_.panels.shape();
    const std::int64_t first = block * blocks_.rows;
    const std::int64_t rows = std::min(blocks_.rows, x_.dims.rows() - first);
    const bool flip = x_.type == Type::kS8;
    const auto* x = static_cast<const std::uint8_t*>(run.inputs[0]) + first * x_.pitch;
    const std::uint8_t* pointers[kRowsOfBlock];
    std::int32_t sums[kRowsOfBlock];
    alignas(64) unsigned char windows[kBytesOfBlock];
    for (std::int64_t row = 0; row < rows; ++row) pointers[row] = x + row * x_.pitch;
    kernels::GemmTile tile{};
    tile.rows = pointers;
    tile.stride = rows;
    tile.flip = flip;
    tile.bias = bias_.data();
    if (shared_.all.asymmetric) {
      for (std::int64_t row = 0; row < rows; ++row) sums[row] = shared_.row_sum(pointers[row], shape.depth(), flip);
      tile.zeros = shared_.zeros.data();
      tile.sums = sums;
    }
    tile.out = shared_.epilogue.tile();
    tile.to = windows;
    tile.pitch = columns();
    shared_.panels.multiply(tile, 0, shape.panels(), rows);
    for (std::int64_t row = 0; row < rows;) {
      const std::int64_t column = (first + row) % x_.dims[2];
      const std::int64_t count = std::min(rows - row, x_.dims[2] - column);
      place(run, windows + row * columns() * size_, (first + row) / x_.dims[2], column, count);
      row += count;
    }
  }

  // Puts `count` windows, which belong to neighbours of one line of inputs (counted through all images), in the result.
  void place(const Run& run, const unsigned char* windows, std::int64_t line, std::int64_t column,
             std::int64_t count) const {
    const Convolution& all = shared_.all;
    const std::int64_t width = all.kernel[1];
    for (std::int64_t row = 0; row < all.kernel[0]; ++row) {
      const std::int64_t pixel = (line * all.kernel[0] + row) * y_.dims[2] + column * width;
      auto* to = static_cast<unsigned char*>(run.outputs[0]) + pixel * y_.pitch * size_;
      place_windows(all, windows, row, count, y_, to);
      if (!shared_.epilogue.unfinished(addition_)) continue;
      const void* residual = nullptr;
      if (shared_.epilogue.residual()) {
        residual = static_cast<const unsigned char*>(run.inputs[1]) + pixel * r_.pitch * size_;
      }
      shared_.epilogue.finish(to, y_.pitch, residual, r_.pitch, addition_, count * width, all.columns);
    }
  }

  const Shared& shared_;
  Layout x_;
  Layout y_;
  Layout r_;
  std::int64_t size_;
  Addition addition_;
  Aligned<std::int32_t> bias_;
  Blocks blocks_;
};

class DisjointTranspose final : public Op {
 public:
  DisjointTranspose(const Attributes& attributes, const kernels::Table& kernels, Convolution convolution)
      : shared_{Epilogue(attributes, kernels, convolution.scales, convolution.taps()),
                std::move(convolution),
                kernels.row_sum,
                panels_of(shared_.all, kernels.gemm),
                {}} {
    const Convolution& all = shared_.all;
    shared_.zeros = Aligned<std::int32_t>(shared_.panels.shape().columns() + kPadding);
    for (std::int64_t tap = 0; tap < all.taps(); ++tap) {
      std::copy(all.zeros.begin(), all.zeros.end(), shared_.zeros.data() + tap * all.columns);
    }
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, shared_.epilogue.residual() ? 2 : 1);
    const Dims dims = shared_.all.result(inputs[0]);
    if (shared_.epilogue.residual()) shared_.epilogue.expect_residual(inputs[1], dims);
    return {Layout(shared_.epilogue.type(), dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundWindows>(shared_, inputs, outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  Shared shared_;
};

}  // namespace

bool is_disjoint(const Convolution& all, const kernels::Gemm& kernel) {
  // Where the columns of one element fill panels, more of them gain nothing.
  const std::int64_t panel = static_cast<std::int64_t>(kernel.vector) * kernel.vectors;
  const std::int64_t together = all.taps() * all.columns;
  return are_disjoint(all) && together <= kMaxColumns &&
         ceil_divide(together, panel) < all.taps() * ceil_divide(all.columns, panel);
}

std::unique_ptr<Op> make_disjoint_transpose(const Attributes& attributes, const kernels::Table& kernels,
                                            Convolution convolution) {
  return std::make_unique<DisjointTranspose>(attributes, kernels, std::move(convolution));
}

}  // namespace graphopt
