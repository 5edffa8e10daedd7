// softmax: exp(x - max) * (1 / sum), of each row. Attributes in rows.h.

#include <cmath>

#include "ops/rows.h"

namespace graphopt {

namespace {

class BoundSoftmax final : public Bound {
 public:
  BoundSoftmax(const kernels::Table& kernels, const RowCoding& coding, const Layout& x, const Layout& y)
      : kernels_(kernels), coding_(coding), x_(x), y_(y) {}

  void run(const Run& run) const override {
    RowCoding::each_row(run.pool, x_, [&](std::int64_t row) {
      const void* data = run.inputs[0];
      const kernels::Rows& rows = kernels_.rows;
      float most = -INFINITY;
      coding_.pieces(kernels_, x_, data, row, [&](const float* x, std::int64_t, std::int64_t count) {
        most = rows.greatest(x, static_cast<std::size_t>(count), most);
      });
      // Floats wait in their place for the sum; where codes are written, they are computed again.
      LaneSum<> sum;
      RowCoding::Piece result;
      coding_.pieces(kernels_, x_, data, row, [&](const float* x, std::int64_t begin, std::int64_t count) {
        float* to = coding_.target(y_, run.outputs[0], row, begin, result);
        rows.raise(x, to, static_cast<std::size_t>(count), most, sum.lanes);
      });
      const float factor = 1 / sum.total();
      if (!coding_.writes_codes()) {
        float* to = coding_.target(y_, run.outputs[0], row, 0, result);
        rows.scale(to, to, static_cast<std::size_t>(x_.dims.columns()), factor);
        return;
      }
      coding_.pieces(kernels_, x_, data, row, [&](const float* x, std::int64_t begin, std::int64_t count) {
        LaneSum<> again;
        rows.raise(x, result.data(), static_cast<std::size_t>(count), most, again.lanes);
        rows.scale(result.data(), result.data(), static_cast<std::size_t>(count), factor);
        coding_.write(kernels_, y_, run.outputs[0], row, begin, count, result);
      });
    });
  }

 private:
  const kernels::Table& kernels_;
  RowCoding coding_;
  Layout x_;
  Layout y_;
};

class Softmax final : public Op {
 public:
  Softmax(const Attributes& attributes, const kernels::Table& kernels) : kernels_(kernels), coding_(attributes) {
    attributes.only({"x_scale", "x_zero", "y_type", "y_scale", "y_zero"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    return {Layout(coding_.type(inputs[0]), inputs[0].dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundSoftmax>(kernels_, coding_, inputs[0], outputs[0]);
  }

  bool in_place(std::size_t, const Layouts&) const override { return true; }
  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  RowCoding coding_;
};

}  // namespace

std::unique_ptr<Op> make_softmax(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Softmax>(attributes, kernels);
}

}  // namespace graphopt
