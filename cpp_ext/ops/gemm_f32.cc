// gemm_f32: floats [.., K] by constant weights, to [.., N].
//
// Attributes: `weights` f32 [N, K]; `bias` f32 [N]; `low` and `high`, to which the result is clamped.
//
// Products are added up in parts of 256, sum = fma(x, weight, sum) for each k in order, from 0; y = bias, to which the
// parts are added in order: as onnxruntime does it on x86.

#include "ops/float_panels.h"

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 96;

class BoundGemmF32 final : public Bound {
 public:
  BoundGemmF32(const FloatPanels& panels, const float* bias, FloatEnds ends, const Layout& x, const Layout& y)
      : panels_(panels),
        bias_(bias),
        ends_(ends),
        x_pitch_(x.pitch),
        y_pitch_(y.pitch),
        rows_(y.dims.rows()),
        blocks_(FloatBlocks::of(rows_, panels.shape(), kRowsOfBlock, 1)) {}

  void run(const Run& run) const override {
    run.pool.run(blocks_.count(), [&](std::int64_t block) {
      const std::int64_t first_row = block / blocks_.panel_blocks * blocks_.rows;
      const std::int64_t first = block % blocks_.panel_blocks * blocks_.panels;
      kernels::FloatTile tile{};
      tile.x = static_cast<const float*>(run.inputs[0]) + first_row * x_pitch_;
      tile.x_pitch = x_pitch_;
      tile.bias = bias_;
      tile.low = ends_.low;
      tile.high = ends_.high;
      tile.to = static_cast<float*>(run.outputs[0]) + first_row * y_pitch_;
      tile.pitch = y_pitch_;
      panels_.multiply(tile, first, std::min(first + blocks_.panels, panels_.shape().panels()),
                       std::min(blocks_.rows, rows_ - first_row));
    });
  }

 private:
  const FloatPanels& panels_;
  const float* bias_;
  FloatEnds ends_;
  std::int64_t x_pitch_;
  std::int64_t y_pitch_;
  std::int64_t rows_;
  FloatBlocks blocks_;
};

class GemmF32 final : public Op {
 public:
  GemmF32(const Attributes& attributes, const kernels::Table& kernels)
      : panels_(packed(attributes, kernels.float_products)),
        bias_(float_bias(attributes, panels_.shape().columns())),
        ends_(attributes) {
    attributes.only({"weights", "bias", "low", "high"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    const Layout& x = inputs[0];
    if (x.type != Type::kF32) throw Invalid(std::string("multiplies f32, not ") + name_of(x.type));
    if (x.dims.rank() < 1 || x.dims.columns() != panels_.shape().products()) {
      throw Invalid("multiplies " + x.dims.text() + " by weights of " + std::to_string(panels_.shape().products()) +
                    " rows");
    }
    return {Layout(Type::kF32, x.dims.with_columns(panels_.shape().columns()))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundGemmF32>(panels_, bias_.data(), ends_, inputs[0], outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  static FloatPanels packed(const Attributes& attributes, const kernels::FloatProducts& kernels) {
    const Array& weights = attributes.array("weights", Type::kF32);
    if (weights.dims.rank() != 2) throw Invalid("attribute 'weights' is " + weights.dims.text() + ", not [N, K]");
    return {kernels, weights.as<float>(), weights.dims[0], 1, weights.dims[1], kMatrixParts};
  }

  FloatPanels panels_;
  Aligned<float> bias_;
  FloatEnds ends_;
};

}  // namespace

std::unique_ptr<Op> make_gemm_f32(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<GemmF32>(attributes, kernels);
}

}  // namespace graphopt
