// binary: a function of two numbers, f32, with numpy's broadcasting. Attribute `op` names it (functions.h).

#include <utility>

#include "ops/broadcast.h"
#include "ops/functions.h"

namespace graphopt {

namespace {

using kernels::Grid;

using Plane = void (*)(const float* a, const float* b, float* y, const Grid& grid);

template <typename Function>
void apply(const float* a, const float* b, float* y, const Grid& grid, const Function& function) {
  for (std::size_t row = 0; row < grid.rows; ++row, a += grid.a_row, b += grid.b_row, y += grid.y_row) {
    if (grid.a_step == 1 && grid.b_step == 1) {
      for (std::size_t i = 0; i < grid.columns; ++i) y[i] = function(a[i], b[i]);
    } else {
      for (std::size_t i = 0; i < grid.columns; ++i) y[i] = function(a[i * grid.a_step], b[i * grid.b_step]);
    }
  }
}

// `exchanged`: the operands come in the other order.
Plane plane_named(const std::string& name, bool exchanged) {
#define BINARY(op, value) \
  if (name == #op) { \
    if (exchanged) { \
      return [](const float* a, const float* b, float* y, const Grid& grid) { \
        apply(a, b, y, grid, [](float left, float right) { return functions::binary_##op(right, left); }); \
      }; \
    } \
    return [](const float* a, const float* b, float* y, const Grid& grid) { \
      apply(a, b, y, grid, [](float left, float right) { return functions::binary_##op(left, right); }); \
    }; \
  }
  GRAPHOPT_BINARY(BINARY)
#undef BINARY
  throw Invalid("attribute 'op' is no function of two numbers: '" + name + "'");
}

class BoundBinary final : public Bound {
 public:
  BoundBinary(const Broadcast& broadcast, Plane plane) : broadcast_(broadcast), plane_(plane) {}

  void run(const Run& run) const override {
    const auto* a = static_cast<const float*>(run.inputs[0]);
    const auto* b = static_cast<const float*>(run.inputs[1]);
    auto* y = static_cast<float*>(run.outputs[0]);
    if (broadcast_.exchanged()) std::swap(a, b);
    broadcast_.run(run.pool, [&](std::int64_t at_a, std::int64_t at_b, std::int64_t at_y, const Grid& grid) {
      plane_(a + at_a, b + at_b, y + at_y, grid);
    });
  }

 private:
  Broadcast broadcast_;
  Plane plane_;
};

class Binary final : public Op {
 public:
  explicit Binary(const Attributes& attributes) : op_(attributes.text("op")) {
    attributes.only({"op"});
    plane_named(op_, false);
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 2);
    for (const Layout& each : inputs) {
      if (each.type != Type::kF32) throw Invalid(std::string("functions take f32, not ") + name_of(each.type));
    }
    return {Layout(Type::kF32, broadcast(inputs[0].dims, inputs[1].dims))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    const Broadcast broadcast(inputs[0], inputs[1], outputs[0]);
    return std::make_unique<BoundBinary>(broadcast, plane_named(op_, broadcast.exchanged()));
  }

  // Whatever has the shape of the output: an input that is broadcast is of other bytes.
  bool in_place(std::size_t, const Layouts&) const override { return true; }
  bool pitched() const override { return true; }

 private:
  std::string op_;
};

}  // namespace

std::unique_ptr<Op> make_binary(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Binary>(attributes);
}

}  // namespace graphopt
