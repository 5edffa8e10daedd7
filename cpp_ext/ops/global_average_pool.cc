// global_average_pool: the mean of each channel over all pixels, N, spatial..., C -> N, 1..., C; attributes in
// averaging.h.

#include "ops/averaging.h"
#include "ops/pooling.h"

namespace graphopt {

namespace {

constexpr std::int64_t kChannels = 256;

class BoundGlobalAverage final : public Bound {
 public:
  BoundGlobalAverage(const kernels::Table& kernels, const Layout& x, const Layout& y, std::int64_t pixels,
                     const kernels::Average& average)
      : kernels_(kernels), x_(x), y_(y), pixels_(pixels), average_(average) {}

  void run(const Run& run) const override {
    const std::int64_t channels = x_.dims[-1];
    const std::int64_t blocks = (channels + kChannels - 1) / kChannels;
    run.pool.run(x_.dims[0] * blocks, [&](std::int64_t block) {
      const std::int64_t image = block / blocks;
      const std::int64_t channel = block % blocks * kChannels;
      const std::int64_t at = image * pixels_ * x_.pitch + channel;
      const std::int64_t into = image * y_.pitch + channel;
      const auto count = static_cast<std::size_t>(std::min(kChannels, channels - channel));
      const kernels::Window window = {1, 0, static_cast<std::size_t>(pixels_), static_cast<std::size_t>(x_.pitch),
                                      1, 0, 0,                                 count};
      if (x_.type == Type::kF32) {
        kernels_.average_pool_f32(static_cast<const float*>(run.inputs[0]) + at,
                                  static_cast<float*>(run.outputs[0]) + into, window, static_cast<float>(pixels_));
      } else {
        kernels_.average_pool(static_cast<const unsigned char*>(run.inputs[0]) + at,
                              static_cast<unsigned char*>(run.outputs[0]) + into, window, average_);
      }
    });
  }

 private:
  const kernels::Table& kernels_;
  Layout x_;
  Layout y_;
  std::int64_t pixels_;
  kernels::Average average_;
};

class GlobalAveragePool final : public Op {
 public:
  GlobalAveragePool(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels), averaging_(attributes) {
    attributes.only({"x_scale", "x_zero", "y_type", "y_scale", "y_zero"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    const Dims& x = inputs[0].dims;
    if (x.rank() < 3) throw Invalid("an image has axes N, spatial..., C; " + x.text() + " has not");
    const std::int64_t count = pixels(x);
    if (count == 0) throw Invalid("the mean of no pixels is undefined");
    if (count > kMostAveraged) throw Invalid("an image of " + x.text() + " is too large to add up");
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(x.rank()), 1);
    sizes.front() = x[0];
    sizes.back() = x[-1];
    return {Layout(averaging_.type(inputs[0].type), Dims(sizes))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    const std::int64_t count = pixels(inputs[0].dims);
    return std::make_unique<BoundGlobalAverage>(kernels_, inputs[0], outputs[0], count,
                                                averaging_.average(inputs[0].type, count, count));
  }

  bool pitched() const override { return true; }

 private:
  static std::int64_t pixels(const Dims& dims) {
    std::int64_t count = 1;
    for (int axis = 1; axis + 1 < dims.rank(); ++axis) count *= dims[axis];
    return count;
  }

  const kernels::Table& kernels_;
  Averaging averaging_;
};

}  // namespace

std::unique_ptr<Op> make_global_average_pool(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<GlobalAveragePool>(attributes, kernels);
}

}  // namespace graphopt
