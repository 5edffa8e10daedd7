// softmax: exp(x - max) * (1 / sum), of each row. Attributes in rows.h.

#include <algorithm>
#include <cmath>

#include "ops/rows.h"

namespace graphopt {

namespace {

// Columns of rows that are short.
constexpr std::size_t kShort = 64;
constexpr std::size_t kRowsOfShort = 64;
// Each as fast by itself.
constexpr std::int64_t kFewRows = 4;
constexpr std::size_t kRowsAtOnce = 8;
constexpr std::size_t kNumbersAtOnce = 1024;

class BoundSoftmax final : public Bound {
 public:
  BoundSoftmax(const kernels::Table& kernels, const RowCoding& coding, const Layout& x, const Layout& y)
      : kernels_(kernels), coding_(coding), x_(x), y_(y) {}

  void run(const Run& run) const override {
    const auto columns = static_cast<std::size_t>(x_.dims.columns());
    if (columns <= kShort && x_.dims.rows() > kFewRows && x_.pitch == x_.dims.columns() && y_.pitch == x_.pitch) {
      RowCoding::each_rows(run.pool, x_, kRowsOfShort,
                           [&](std::int64_t first, std::size_t count) { run_short_rows(run, first, count); });
      return;
    }
    const std::size_t most = kNumbersAtOnce / std::max<std::size_t>(1, columns);
    RowCoding::each_rows(run.pool, x_, std::clamp<std::size_t>(most, 1, kRowsAtOnce),
                         [&](std::int64_t first, std::size_t count) { run_rows(run, first, count); });
  }

 private:
  // Each step of a row waits for the one before, and is done beside those of other rows.
  void run_rows(const Run& run, std::int64_t first, std::size_t rows) const {
    const kernels::Rows& kernel = kernels_.rows;
    const void* data = run.inputs[0];
    float most[kRowsAtOnce];
    LaneSum<> sums[kRowsAtOnce];
    float factors[kRowsAtOnce];
    RowCoding::Piece result;
    const auto each = [&](const auto& of) {
      for (std::size_t i = 0; i < rows; ++i) of(i, first + static_cast<std::int64_t>(i));
    };
    each([&](std::size_t i, std::int64_t row) {
      most[i] = -INFINITY;
      coding_.pieces(kernels_, x_, data, row, [&](const float* x, std::int64_t, std::int64_t count) {
        most[i] = kernel.greatest(x, static_cast<std::size_t>(count), most[i]);
      });
    });
    // Floats wait in their place for the sum; where codes are written, they are computed again.
    each([&](std::size_t i, std::int64_t row) {
      coding_.pieces(kernels_, x_, data, row, [&](const float* x, std::int64_t begin, std::int64_t count) {
        float* to = coding_.target(y_, run.outputs[0], row, begin, result.data());
        kernel.raise(x, to, static_cast<std::size_t>(count), most[i], sums[i].lanes);
      });
    });
    each([&](std::size_t i, std::int64_t) { factors[i] = 1 / sums[i].total(); });
    if (!coding_.writes_codes()) {
      each([&](std::size_t i, std::int64_t row) {
        float* to = coding_.target(y_, run.outputs[0], row, 0, result.data());
        kernel.scale(to, to, static_cast<std::size_t>(x_.dims.columns()), factors[i]);
      });
      return;
    }
    each([&](std::size_t i, std::int64_t row) {
      coding_.pieces(kernels_, x_, data, row, [&](const float* x, std::int64_t begin, std::int64_t count) {
        LaneSum<> again;
        kernel.raise(x, result.data(), static_cast<std::size_t>(count), most[i], again.lanes);
        kernel.scale(result.data(), result.data(), static_cast<std::size_t>(count), factors[i]);
        coding_.write(kernels_, y_, run.outputs[0], row, begin, count, result.data());
      });
    });
  }

  // Few numbers fill no vectors: those at the same place of so many rows do.
  void run_short_rows(const Run& run, std::int64_t first, std::size_t rows) const {
    const auto columns = static_cast<std::size_t>(x_.dims.columns());
    const auto count = static_cast<std::int64_t>(rows * columns);
    float room[kShort * kRowsOfShort];
    alignas(kAlignment) float turned[kShort * kRowsOfShort];
    if (rows < kRowsOfShort) std::fill_n(turned, kRowsOfShort * columns, 0.0F);
    const float* from = coding_.read(kernels_, x_, run.inputs[0], first, 0, count, room);
    turn(from, columns, turned, kRowsOfShort, rows, columns);
    kernels_.rows.softmax_columns(turned, kRowsOfShort, columns, rows);
    float* const to = coding_.target(y_, run.outputs[0], first, 0, room);
    turn(turned, kRowsOfShort, to, columns, columns, rows);
    coding_.write(kernels_, y_, run.outputs[0], first, 0, count, room);
  }

  void turn(const float* from, std::size_t from_row, float* to, std::size_t to_row, std::size_t rows,
            std::size_t columns) const {
    kernels_.transpose_words(reinterpret_cast<const std::uint32_t*>(from), from_row,
                             reinterpret_cast<std::uint32_t*>(to), to_row, rows, columns);
  }

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
