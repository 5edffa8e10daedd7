// layer_norm: (x - mean) * (1 / sqrt(variance + epsilon)) * gamma + beta, of each row; rounded as onnxruntime does on x86,
// for what is quantized behind it: the reference tells how.
//
// Attributes: `gamma` and `beta`, f32 [columns], `epsilon`, `centred` 0 where the mean is taken for 0, and those of rows.h.

#include <cmath>

#include "ops/rows.h"

namespace graphopt {

namespace {

class BoundLayerNorm final : public Bound {
 public:
  BoundLayerNorm(const kernels::Table& kernels, const RowCoding& coding, const float* gamma, const float* beta,
                 float epsilon, bool centred, const Layout& x, const Layout& y)
      : kernels_(kernels),
        coding_(coding),
        gamma_(gamma),
        beta_(beta),
        epsilon_(epsilon),
        centred_(centred),
        x_(x),
        y_(y) {}

  void run(const Run& run) const override {
    RowCoding::each_rows(run.pool, x_, kernels::kRowsAtOnce, [&](std::int64_t row, std::size_t rows) {
      normalize(run.inputs[0], run.outputs[0], row, rows);
    });
  }

 private:
  static constexpr std::size_t kRows = kernels::kRowsAtOnce;

  void normalize(const void* data, void* results, std::int64_t row, std::size_t rows) const {
    const std::int64_t columns = x_.dims.columns();
    RowCoding::Piece pieces[kRows];
    const float* x[kRows] = {};
    bool kept = false;
    // Calls each(begin, count) for the pieces of the rows, whose numbers are at `x`: converted once if they are one.
    const auto each_piece = [&](const auto& each) {
      for (std::int64_t begin = 0; begin < columns; begin += RowCoding::kPiece) {
        const std::int64_t count = std::min(RowCoding::kPiece, columns - begin);
        for (std::size_t i = 0; i < rows && !kept; ++i) {
          x[i] = coding_.read(kernels_, x_, data, row + static_cast<std::int64_t>(i), begin, count, pieces[i].data());
        }
        kept = columns <= RowCoding::kPiece;
        each(begin, static_cast<std::size_t>(count));
      }
    };
    float means[kRows] = {};
    if (centred_) {
      LaneSum<double> sums[kRows];
      each_piece([&](std::int64_t, std::size_t count) {
        kernels_.rows.add_up_doubles(x, rows, count, &sums[0].lanes);
      });
      for (std::size_t i = 0; i < rows; ++i) {
        means[i] = static_cast<float>(sums[i].total() / static_cast<double>(columns));
      }
    }
    LaneSum<float, kernels::kSquareLanes> squares[kRows];
    float last[kRows][kernels::kSquareLanes];
    std::size_t left = 0;
    each_piece([&](std::int64_t, std::size_t count) {
      kernels_.rows.add_squares(x, rows, count, means, &squares[0].lanes);
      left = count % kernels::kSquareLanes;
      for (std::size_t i = 0; i < rows; ++i) std::copy_n(x[i] + count - left, left, last[i]);
    });
    float factors[kRows];
    for (std::size_t i = 0; i < rows; ++i) {
      float total = squares[i].total();
      for (std::size_t at = 0; at < left; ++at) total = std::fma(last[i][at] - means[i], last[i][at] - means[i], total);
      factors[i] = 1 / std::sqrt(total / static_cast<float>(columns) + epsilon_);
    }
    each_piece([&](std::int64_t begin, std::size_t count) {
      for (std::size_t i = 0; i < rows; ++i) {
        const std::int64_t at = row + static_cast<std::int64_t>(i);
        float* to = coding_.target(y_, results, at, begin, pieces[i].data());
        kernels_.rows.normalize(x[i], to, count, means[i], factors[i], gamma_ + begin, beta_ + begin);
        coding_.write(kernels_, y_, results, at, begin, static_cast<std::int64_t>(count), pieces[i].data());
      }
    });
  }

  const kernels::Table& kernels_;
  RowCoding coding_;
  const float* gamma_;
  const float* beta_;
  float epsilon_;
  bool centred_;
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
        epsilon_(attributes.number("epsilon")),
        centred_(!attributes.has("centred") || attributes.integer_in("centred", 0, 1) == 1) {
    attributes.only({"gamma", "beta", "epsilon", "centred", "x_scale", "x_zero", "y_type", "y_scale", "y_zero"});
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
                                            centred_, inputs[0], outputs[0]);
  }

  bool in_place(std::size_t, const Layouts&) const override { return true; }
  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  RowCoding coding_;
  Array gamma_;
  Array beta_;
  float epsilon_;
  bool centred_;
};

}  // namespace

std::unique_ptr<Op> make_layer_norm(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<LayerNorm>(attributes, kernels);
}

}  // namespace graphopt
