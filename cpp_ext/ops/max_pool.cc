// max_pool: the greatest of each window, of codes or f32; attributes in pooling.h. Where a window holds no pixel at
// all, the least number of the type.

#include "ops/codes.h"
#include "ops/pooling.h"

namespace graphopt {

namespace {

class BoundMaxPool final : public Bound {
 public:
  BoundMaxPool(const kernels::Table& kernels, const Pooling& pooling, const Layout& x, const Layout& y)
      : kernels_(kernels), pooling_(pooling), x_(x), y_(y) {}

  void run(const Run& run) const override {
    using kernels::Window;
    if (x_.type == Type::kF32) {
      const auto* from = static_cast<const float*>(run.inputs[0]);
      auto* to = static_cast<float*>(run.outputs[0]);
      pooling_.run(run.pool, x_, y_, [&](std::int64_t at, std::int64_t into, const Window& window, std::int64_t) {
        kernels_.max_pool_f32(from + at, to + into, window);
      });
      return;
    }
    const std::uint8_t flip = x_.type == Type::kS8 ? 0x80 : 0;
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<unsigned char*>(run.outputs[0]);
    pooling_.run(run.pool, x_, y_, [&](std::int64_t at, std::int64_t into, const Window& window, std::int64_t) {
      kernels_.max_pool(from + at, to + into, window, flip);
    });
  }

 private:
  const kernels::Table& kernels_;
  Pooling pooling_;
  Layout x_;
  Layout y_;
};

class MaxPool final : public Op {
 public:
  MaxPool(const Attributes& attributes, const kernels::Table& kernels) : kernels_(kernels), pooling_(attributes, true) {
    attributes.only({"kernel", "strides", "pads", "dilations", "ceil"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    if (inputs[0].type != Type::kF32) range_of(inputs[0].type);
    return {Layout(inputs[0].type, pooling_.result(inputs[0].dims))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundMaxPool>(kernels_, pooling_, inputs[0], outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  Pooling pooling_;
};

}  // namespace

std::unique_ptr<Op> make_max_pool(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<MaxPool>(attributes, kernels);
}

}  // namespace graphopt
