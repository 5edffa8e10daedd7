// binary: a function of two numbers of one type, f32, s32 or s64, with numpy's broadcasting. Attribute `op` names it
// (functions.h).

#include <utility>

#include "ops/broadcast.h"
#include "ops/functions.h"

namespace graphopt {

namespace {

using kernels::Grid;

using Plane = void (*)(const void* a, const void* b, void* y, std::int64_t at_a, std::int64_t at_b, std::int64_t at_y,
                       const Grid& grid);

template <typename Number, typename Function>
void apply(const void* left, const void* right, void* to, std::int64_t at_a, std::int64_t at_b, std::int64_t at_y,
           const Grid& grid, const Function& function) {
  const Number* a = static_cast<const Number*>(left) + at_a;
  const Number* b = static_cast<const Number*>(right) + at_b;
  Number* y = static_cast<Number*>(to) + at_y;
  for (std::size_t row = 0; row < grid.rows; ++row, a += grid.a_row, b += grid.b_row, y += grid.y_row) {
    if (grid.a_step == 1 && grid.b_step == 1) {
      for (std::size_t i = 0; i < grid.columns; ++i) y[i] = function(a[i], b[i]);
    } else {
      for (std::size_t i = 0; i < grid.columns; ++i) y[i] = function(a[i * grid.a_step], b[i * grid.b_step]);
    }
  }
}

// The plane of a function of `functions`; `exchanged`: the operands come in the other order.
#define PLANE(op, Number) \
  if (name == #op) { \
    if (exchanged) { \
      return [](const void* a, const void* b, void* y, std::int64_t at_a, std::int64_t at_b, std::int64_t at_y, \
                const Grid& grid) { \
        apply<Number>(a, b, y, at_a, at_b, at_y, grid, \
                      [](Number left, Number right) { return functions::binary_##op(right, left); }); \
      }; \
    } \
    return [](const void* a, const void* b, void* y, std::int64_t at_a, std::int64_t at_b, std::int64_t at_y, \
              const Grid& grid) { \
      apply<Number>(a, b, y, at_a, at_b, at_y, grid, \
                    [](Number left, Number right) { return functions::binary_##op(left, right); }); \
    }; \
  }

Plane plane_of_floats(const std::string& name, bool exchanged) {
#define BINARY(op, value) PLANE(op, float)
  GRAPHOPT_BINARY(BINARY)
#undef BINARY
  throw Invalid("attribute 'op' is no function of two numbers: '" + name + "'");
}

template <typename Integer>
Plane plane_of_integers(const std::string& name, bool exchanged) {
#define BINARY(op, value) PLANE(op, Integer)
  GRAPHOPT_INTEGER_BINARY(BINARY)
#undef BINARY
  throw Invalid("attribute 'op' is no function of two integers: '" + name + "'");
}

#undef PLANE

Plane plane_named(const std::string& name, Type type, bool exchanged) {
  switch (type) {
    case Type::kF32: return plane_of_floats(name, exchanged);
    case Type::kS32: return plane_of_integers<std::int32_t>(name, exchanged);
    case Type::kS64: return plane_of_integers<std::int64_t>(name, exchanged);
    default: throw Invalid(std::string("functions take f32, s32 or s64, not ") + name_of(type));
  }
}

class BoundBinary final : public Bound {
 public:
  BoundBinary(const Broadcast& broadcast, Plane plane) : broadcast_(broadcast), plane_(plane) {}

  void run(const Run& run) const override {
    const void* a = run.inputs[0];
    const void* b = run.inputs[1];
    if (broadcast_.exchanged()) std::swap(a, b);
    broadcast_.run(run.pool, [&](std::int64_t at_a, std::int64_t at_b, std::int64_t at_y, const Grid& grid) {
      plane_(a, b, run.outputs[0], at_a, at_b, at_y, grid);
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
    plane_named(op_, Type::kF32, false);
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 2);
    const Type type = inputs[0].type;
    if (inputs[1].type != type) throw Invalid("a function of two takes numbers of one type");
    plane_named(op_, type, false);
    return {Layout(type, broadcast(inputs[0].dims, inputs[1].dims))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    const Broadcast broadcast(inputs[0], inputs[1], outputs[0]);
    return std::make_unique<BoundBinary>(broadcast, plane_named(op_, inputs[0].type, broadcast.exchanged()));
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
