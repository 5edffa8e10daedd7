// average_pool: the mean of each window, of codes or f32, added up in f32 in either case; attributes in pooling.h (no dilations) and averaging.h, and
// `count_include_pad` 0 or 1, whether padding counts as zeros.

#include "ops/averaging.h"
#include "ops/pooling.h"

namespace graphopt {

namespace {

class BoundAveragePool final : public Bound {
 public:
  BoundAveragePool(const kernels::Table& kernels, const Pooling& pooling, const Averaging& averaging, bool with_padding,
                   const Layout& x, const Layout& y)
      : kernels_(kernels), pooling_(pooling), average_(averaging.numbers(x.type)), with_padding_(with_padding), x_(x), y_(y) {}

  void run(const Run& run) const override {
    using kernels::Window;
    if (x_.type == Type::kF32) {
      const auto* from = static_cast<const float*>(run.inputs[0]);
      auto* to = static_cast<float*>(run.outputs[0]);
      pooling_.run(run.pool, x_, y_, [&](std::int64_t at, std::int64_t into, const Window& window, std::int64_t count) {
        kernels_.average_pool_f32(from + at, to + into, window, static_cast<float>(divisor(window, count)));
      });
      return;
    }
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<unsigned char*>(run.outputs[0]);
    pooling_.run(run.pool, x_, y_, [&](std::int64_t at, std::int64_t into, const Window& window, std::int64_t count) {
      kernels::AverageNumbers average = average_;
      average.count = static_cast<float>(divisor(window, count));
      kernels_.average_codes(from + at, to + into, window, average);
    });
  }

 private:
  std::int64_t divisor(const kernels::Window& window, std::int64_t count) const {
    return with_padding_ ? count : static_cast<std::int64_t>(window.rows * window.taps);
  }

  const kernels::Table& kernels_;
  Pooling pooling_;
  kernels::AverageNumbers average_;
  bool with_padding_;
  Layout x_;
  Layout y_;
};

class AveragePool final : public Op {
 public:
  AveragePool(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        pooling_(attributes, false),
        averaging_(attributes),
        with_padding_(attributes.has("count_include_pad") && attributes.integer_in("count_include_pad", 0, 1) == 1) {
    attributes.only({"kernel", "strides", "pads", "ceil", "count_include_pad", "x_scale", "x_zero", "y_type", "y_scale",
                     "y_zero"});
    const Integers& kernel = attributes.integers("kernel", 2);
    if (kernel[0] > kMostAveraged / kernel[1]) throw Invalid("attribute 'kernel' is too large to add up");
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    return {Layout(averaging_.type(inputs[0].type), pooling_.result(inputs[0].dims))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundAveragePool>(kernels_, pooling_, averaging_, with_padding_, inputs[0], outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  Pooling pooling_;
  Averaging averaging_;
  bool with_padding_;
};

}  // namespace

std::unique_ptr<Op> make_average_pool(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<AveragePool>(attributes, kernels);
}

}  // namespace graphopt
