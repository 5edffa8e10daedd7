// gemm: codes [.., K] by constant weights, to [.., N].
//
// Attributes: `weights` s8 [N, K], `weight_scale` f32 [N] or [1], `weight_zero` s32 [N] or [1], `bias` s32 [N],
// `x_scale`, `x_zero`, and those of the epilogue: acc = sum((x - x_zero) * (w - weight_zero)) + bias, modulo 2^32.

#include <algorithm>
#include <atomic>

#include "ops/codes.h"
#include "ops/epilogue.h"
#include "ops/panels.h"
#include "ops/weights.h"

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 384;

class BoundGemm final : public Bound {
 public:
  BoundGemm(const Weights& weights, const Epilogue& epilogue, kernels::RowSum row_sum, const Layouts& inputs,
            const Layout& y)
      : weights_(weights),
        epilogue_(epilogue),
        row_sum_(row_sum),
        rows_(y.dims.rows()),
        x_pitch_(inputs[0].pitch),
        y_pitch_(y.pitch),
        r_pitch_(inputs.size() > 1 ? inputs[1].pitch : 0),
        size_(static_cast<std::int64_t>(size_of(y.type))),
        folded_(weights.fold(inputs[0].type)),
        addition_(epilogue.addition(inputs.back().type, y.dims.count(), true)),
        alone_(split(true)),
        several_(split(false)) {}

  void run(const Run& run) const override {
    const Blocks& blocks = run.pool.alone() ? alone_ : several_;
    const std::int64_t last = blocks.count() - 1;
    // A single row is read weights. Where a cache has no room for all of them, it holds the last ones: a run begins with
    // those that the one before ended with. (Of several threads each reads the same part every time.)
    const bool back = rows_ == 1 && run.pool.threads() == 1 && (turns_.fetch_add(1, std::memory_order_relaxed) & 1) != 0;
    run.pool.run(blocks.count(), [&](std::int64_t block) { run_block(run, blocks, back ? last - block : block); });
  }

 private:
  Blocks split(bool alone) const {
    const PanelShape& shape = weights_.panels().shape();
    return Blocks::of({rows_, shape.depth(), kRowsOfBlock}, shape, alone);
  }

  void run_block(const Run& run, const Blocks& blocks, std::int64_t block) const {
    const PanelShape& shape = weights_.panels().shape();
    const std::int64_t first_row = blocks.row_block(block) * blocks.rows;
    const std::int64_t rows = std::min(blocks.rows, rows_ - first_row);
    const std::int64_t first = blocks.panel_block(block) * blocks.panels;
    const std::int64_t last = std::min(first + blocks.panels, shape.panels());
    const auto* x = static_cast<const std::uint8_t*>(run.inputs[0]) + first_row * x_pitch_;
    auto* y = static_cast<unsigned char*>(run.outputs[0]) + first_row * y_pitch_ * size_;
    std::int32_t sums[kRowsOfBlock];
    kernels::GemmTile tile{};
    tile.rows = nullptr;
    tile.stride = 0;
    tile.x = x;
    tile.x_pitch = x_pitch_;
    tile.flip = folded_.flip;
    tile.bias = folded_.bias.data();
    tile.zeros = nullptr;
    tile.sums = nullptr;
    if (weights_.asymmetric()) {
      for (std::int64_t row = 0; row < rows; ++row) sums[row] = row_sum_(x + row * x_pitch_, shape.depth(), folded_.flip);
      tile.zeros = weights_.zeros();
      tile.sums = sums;
    }
    tile.out = epilogue_.tile();
    tile.to = y;
    tile.pitch = y_pitch_;
    const unsigned char* residual = nullptr;
    if (epilogue_.residual()) residual = static_cast<const unsigned char*>(run.inputs[1]) + first_row * r_pitch_ * size_;
    if (addition_.by_tiles) {
      tile.other = residual;
      tile.other_pitch = r_pitch_;
      tile.sum = &*addition_.integers;
    }
    weights_.panels().multiply(tile, first, last, rows);
    if (!epilogue_.unfinished(addition_)) return;
    const std::int64_t column = shape.first_column(first);
    epilogue_.finish(y + column * size_, y_pitch_, residual == nullptr ? nullptr : residual + column * size_, r_pitch_,
                     addition_, rows, std::min(shape.first_column(last), shape.columns()) - column);
  }

  const Weights& weights_;
  const Epilogue& epilogue_;
  kernels::RowSum row_sum_;
  std::int64_t rows_;
  std::int64_t x_pitch_;
  std::int64_t y_pitch_;
  std::int64_t r_pitch_;
  std::int64_t size_;
  Folded folded_;
  Addition addition_;
  Blocks alone_;
  Blocks several_;
  mutable std::atomic<unsigned> turns_{0};
};

class Gemm final : public Op {
 public:
  Gemm(const Attributes& attributes, const kernels::Table& kernels)
      : weights_(attributes, kernels.gemm, matrix(attributes)),
        epilogue_(attributes, kernels, weights_.scales()),
        row_sum_(kernels.row_sum) {
    attributes.only({}, Weights::names(), Epilogue::names());
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, epilogue_.residual() ? 2 : 1);
    const Layout& x = inputs[0];
    weights_.expect_codes(x.type);
    const std::int64_t depth = weights_.panels().shape().depth();
    if (x.dims.rank() < 1 || x.dims.columns() != depth) {
      throw Invalid("multiplies " + x.dims.text() + " by weights of " + std::to_string(depth) + " rows");
    }
    const Dims dims = x.dims.with_columns(weights_.panels().shape().columns());
    if (epilogue_.residual()) epilogue_.expect_residual(inputs[1], dims);
    return {Layout(epilogue_.type(), dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundGemm>(weights_, epilogue_, row_sum_, inputs, outputs[0]);
  }

  bool pitched() const override { return true; }

  // Tiles read what they add right before they write.
  bool in_place(std::size_t index, const Layouts& inputs) const override {
    return index == 1 && epilogue_.addition(inputs[1].type, inputs[1].dims.count(), true).by_tiles;
  }

 private:
  static WeightShape matrix(const Attributes& attributes) {
    const Dims& dims = attributes.array("weights", Type::kS8).dims;
    if (dims.rank() != 2) throw Invalid("attribute 'weights' is " + dims.text() + ", not [N, K]");
    return {dims[0], 1, dims[1]};
  }

  Weights weights_;
  Epilogue epilogue_;
  kernels::RowSum row_sum_;
};

}  // namespace

std::unique_ptr<Op> make_gemm(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Gemm>(attributes, kernels);
}

}  // namespace graphopt
