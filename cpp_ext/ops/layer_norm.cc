// layer_norm: (x - mean) * (1 / sqrt(variance + epsilon)) * gamma + beta, of each row; rounded as onnxruntime does on x86,
// for what is quantized behind it: the reference tells how.
//
// Attributes: `gamma` and `beta`, f32 [columns], `epsilon`, and those of rows.h.

#include <cmath>

#include "ops/rows.h"

namespace graphopt {

namespace {

class BoundLayerNorm final : public Bound {
 public:
  BoundLayerNorm(const kernels::Table& kernels, const RowCoding& coding, const float* gamma, const float* beta,
                 float epsilon, const Layout& x, const Layout& y)
      : kernels_(kernels), coding_(coding), gamma_(gamma), beta_(beta), epsilon_(epsilon), x_(x), y_(y) {}

  void run(const Run& run) const override {
    const std::int64_t columns = x_.dims.columns();
    RowCoding::each_row(run.pool, x_, [&](std::int64_t row) {
      const void* data = run.inputs[0];
      LaneSum<double, kernels::kLanes> sum;
      coding_.pieces(kernels_, x_, data, row, [&](const float* x, std::int64_t, std::int64_t count) {
        kernels_.rows.add_up_doubles(x, static_cast<std::size_t>(count), sum.lanes);
      });
      const auto mean = static_cast<float>(sum.total() / static_cast<double>(columns));
      LaneSum<float, kernels::kSquareLanes> squares;
      float last[kernels::kSquareLanes];
      std::size_t left = 0;
      coding_.pieces(kernels_, x_, data, row, [&](const float* x, std::int64_t, std::int64_t count) {
        kernels_.rows.add_squares(x, static_cast<std::size_t>(count), mean, squares.lanes);
        left = static_cast<std::size_t>(count) % kernels::kSquareLanes;
        std::copy_n(x + static_cast<std::size_t>(count) - left, left, last);
      });
      float total = squares.total();
      for (std::size_t i = 0; i < left; ++i) total = std::fma(last[i] - mean, last[i] - mean, total);
      RowCoding::Piece result;
      const float factor = 1 / std::sqrt(total / static_cast<float>(columns) + epsilon_);
      coding_.pieces(kernels_, x_, data, row, [&](const float* x, std::int64_t begin, std::int64_t count) {
        float* to = coding_.target(y_, run.outputs[0], row, begin, result);
        kernels_.rows.normalize(x, to, static_cast<std::size_t>(count), mean, factor, gamma_ + begin, beta_ + begin);
        coding_.write(kernels_, y_, run.outputs[0], row, begin, count, result);
      });
    });
  }

 private:
  const kernels::Table& kernels_;
  RowCoding coding_;
  const float* gamma_;
  const float* beta_;
  float epsilon_;
  Layout x_;
  Layout y_;
};

class LayerNorm final : public Op {
 public:
  LayerNorm(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        coding_(attributes),
        gamma_(attributes.array("gamma", Type::kF32)),
        beta_(attributes.array("beta", Type::kF32)),
        epsilon_(attributes.number("epsilon")) {
    attributes.only({"gamma", "beta", "epsilon", "x_scale", "x_zero", "y_type", "y_scale", "y_zero"});
    if (epsilon_ < 0) throw Invalid("attribute 'epsilon' is negative");
    if (gamma_.dims.rank() != 1 || beta_.dims != gamma_.dims) throw Invalid("'gamma' and 'beta' are not of one row");
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    const Dims& x = inputs[0].dims;
    if (x.rank() == 0 || x.columns() != gamma_.dims[0]) throw Invalid("'gamma' is not for rows of " + x.text());
    return {Layout(coding_.type(inputs[0]), x)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundLayerNorm>(kernels_, coding_, gamma_.as<float>(), beta_.as<float>(), epsilon_,
                                            inputs[0], outputs[0]);
  }

  bool in_place(std::size_t) const override { return true; }
  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  RowCoding coding_;
  Array gamma_;
  Array beta_;
  float epsilon_;
};

}  // namespace

std::unique_ptr<Op> make_layer_norm(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<LayerNorm>(attributes, kernels);
}

}  // namespace graphopt
