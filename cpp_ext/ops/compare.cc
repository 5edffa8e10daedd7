// compare: whether a relation holds between two numbers of one type, bool, with numpy's broadcasting. Attribute `op`:
// equal, not_equal, less, less_equal, greater or greater_equal. What is no number is unequal to all, and in no order.

#include <utility>

#include "ops/broadcast.h"
#include "ops/relations.h"

namespace graphopt {

namespace {

using kernels::Grid;

using Plane = void (*)(const void* a, const void* b, void* y, std::int64_t at_a, std::int64_t at_b, std::int64_t at_y,
                       const Grid& grid);

template <typename Number, typename Relation>
void apply(const void* a, const void* b, void* y, std::int64_t at_a, std::int64_t at_b, std::int64_t at_y,
           const Grid& grid) {
  const Number* left = static_cast<const Number*>(a) + at_a;
  const Number* right = static_cast<const Number*>(b) + at_b;
  auto* to = static_cast<unsigned char*>(y) + at_y;
  for (std::size_t row = 0; row < grid.rows; ++row, left += grid.a_row, right += grid.b_row, to += grid.y_row) {
    for (std::size_t i = 0; i < grid.columns; ++i) {
      to[i] = static_cast<unsigned char>(Relation::holds(left[i * grid.a_step], right[i * grid.b_step]));
    }
  }
}

template <typename Relation>
Plane plane_of(Type type) {
  switch (type) {
    case Type::kF32: return apply<float, Relation>;
    case Type::kS8: return apply<std::int8_t, Relation>;
    case Type::kS32: return apply<std::int32_t, Relation>;
    case Type::kS64: return apply<std::int64_t, Relation>;
    default: return apply<std::uint8_t, Relation>;
  }
}

// `exchanged`: the operands come in the other order.
Plane plane_named(const std::string& name, Type type, bool exchanged) {
#define RELATION(op, mirrored, value) \
  if (name == #op) return exchanged ? plane_of<relations::mirrored>(type) : plane_of<relations::op>(type);
  GRAPHOPT_RELATIONS(RELATION)
#undef RELATION
  throw Invalid("attribute 'op' is no relation of two numbers: '" + name + "'");
}

class BoundCompare final : public Bound {
 public:
  BoundCompare(const Broadcast& broadcast, Plane plane) : broadcast_(broadcast), plane_(plane) {}

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

class Compare final : public Op {
 public:
  explicit Compare(const Attributes& attributes) : op_(attributes.text("op")) {
    attributes.only({"op"});
    plane_named(op_, Type::kF32, false);
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 2);
    if (inputs[0].type != inputs[1].type) throw Invalid("numbers of one type are compared");
    return {Layout(Type::kBool, broadcast(inputs[0].dims, inputs[1].dims))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    const Broadcast broadcast(inputs[0], inputs[1], outputs[0]);
    return std::make_unique<BoundCompare>(broadcast, plane_named(op_, inputs[0].type, broadcast.exchanged()));
  }

  bool pitched() const override { return true; }

 private:
  std::string op_;
};

}  // namespace

std::unique_ptr<Op> make_compare(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Compare>(attributes);
}

}  // namespace graphopt
