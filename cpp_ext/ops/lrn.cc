// lrn: x / (bias + alpha / size * sum)^(quarters / 4), where the sum is of the squares of the `size` numbers of a row around
// x, of an even number one more behind it. Attributes: `size`, `alpha`, `bias`, `quarters`, and those of rows.h.

#include <algorithm>
#include <cmath>

#include "ops/rows.h"

namespace graphopt {

namespace {

constexpr std::int64_t kMostSize = 64;
constexpr std::int64_t kPart = RowCoding::kPiece - kMostSize;

class BoundLrn final : public Bound {
 public:
  BoundLrn(const kernels::Table& kernels, const RowCoding& coding, const kernels::Response& response, const Layout& x,
           const Layout& y)
      : kernels_(kernels), coding_(coding), response_(response), x_(x), y_(y) {}

  void run(const Run& run) const override {
    const std::int64_t columns = x_.dims.columns();
    const auto size = static_cast<std::int64_t>(response_.size);
    const std::int64_t before = (size - 1) / 2;
    RowCoding::each_row(run.pool, x_, [&](std::int64_t row) {
      RowCoding::Piece numbers;
      RowCoding::Piece squares;
      RowCoding::Piece result;
      for (std::int64_t begin = 0; begin < columns; begin += kPart) {
        const std::int64_t count = std::min(kPart, columns - begin);
        const std::int64_t first = std::max<std::int64_t>(0, begin - before);
        const std::int64_t end = std::min(columns, begin + count + size / 2);
        const float* x = coding_.read(kernels_, x_, run.inputs[0], row, first, end - first, numbers.data());
        const std::int64_t skipped = first - (begin - before);
        std::fill_n(squares.begin(), skipped, 0.0F);
        kernels_.rows.square(x, squares.data() + skipped, static_cast<std::size_t>(end - first));
        std::fill(squares.begin() + skipped + (end - first), squares.begin() + count + size - 1, 0.0F);
        float* to = coding_.target(y_, run.outputs[0], row, begin, result.data());
        kernels_.rows.respond(x + (begin - first), squares.data(), to, static_cast<std::size_t>(count), response_);
        coding_.write(kernels_, y_, run.outputs[0], row, begin, count, result.data());
      }
    });
  }

 private:
  const kernels::Table& kernels_;
  RowCoding coding_;
  kernels::Response response_;
  Layout x_;
  Layout y_;
};

class Lrn final : public Op {
 public:
  Lrn(const Attributes& attributes, const kernels::Table& kernels) : kernels_(kernels), coding_(attributes) {
    attributes.only({"size", "alpha", "bias", "quarters", "x_scale", "x_zero", "y_type", "y_scale", "y_zero"});
    const std::int64_t size = attributes.integer("size");
    const std::int64_t quarters = attributes.integer("quarters");
    if (size < 1 || size > kMostSize) throw Invalid("attribute 'size' is not from 1 to " + std::to_string(kMostSize));
    if (quarters < 1 || quarters > 4) throw Invalid("attribute 'quarters' is not from 1 to 4");
    response_ = {static_cast<std::size_t>(size), attributes.number("bias"),
                 attributes.number("alpha") / static_cast<float>(size), static_cast<int>(quarters)};
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    return {Layout(coding_.type(inputs[0]), inputs[0].dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundLrn>(kernels_, coding_, response_, inputs[0], outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  RowCoding coding_;
  kernels::Response response_;
};

}  // namespace

std::unique_ptr<Op> make_lrn(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Lrn>(attributes, kernels);
}

}  // namespace graphopt
