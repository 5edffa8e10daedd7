// cumulate: sums of each number and those before it along `axis`, f32, s32 or s64, added one by one; integers wrap.
// Attributes: `axis`; `exclusive` 1: of those before it alone; `reverse` 1: of those behind it.

#include <algorithm>

#include "ops/op.h"
#include "ops/reductions.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlockElements = 1 << 13;

struct Plan {
  std::int64_t size = 0;   // of the axis
  std::int64_t inner = 1;  // elements from one place of the axis to the next
  std::int64_t lines = 0;
  bool exclusive = false;
  bool reverse = false;
};

template <typename Number>
void line(const void* source, void* target, std::int64_t index, const Plan& plan) {
  const std::int64_t begin = index / plan.inner * plan.size * plan.inner + index % plan.inner;
  const Number* from = static_cast<const Number*>(source) + begin;
  Number* to = static_cast<Number*>(target) + begin;
  Number sum = 0;
  for (std::int64_t i = 0; i < plan.size; ++i) {
    const std::int64_t at = (plan.reverse ? plan.size - 1 - i : i) * plan.inner;
    const Number next = reductions::plus(sum, from[at]);
    to[at] = plan.exclusive ? sum : next;
    sum = next;
  }
}

using Line = void (*)(const void* source, void* target, std::int64_t index, const Plan& plan);

Line line_of(Type type) {
  switch (type) {
    case Type::kF32: return line<float>;
    case Type::kS32: return line<std::int32_t>;
    case Type::kS64: return line<std::int64_t>;
    default: throw Invalid(std::string("sums are of f32, s32 or s64, not ") + name_of(type));
  }
}

class BoundCumulate final : public Bound {
 public:
  BoundCumulate(Line line, const Plan& plan) : line_(line), plan_(plan) {}

  void run(const Run& run) const override {
    const std::int64_t block = std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(1, plan_.size));
    run.pool.run((plan_.lines + block - 1) / block, [&](std::int64_t index) {
      for (std::int64_t i = index * block; i < std::min((index + 1) * block, plan_.lines); ++i) {
        line_(run.inputs[0], run.outputs[0], i, plan_);
      }
    });
  }

 private:
  Line line_;
  Plan plan_;
};

class Cumulate final : public Op {
 public:
  explicit Cumulate(const Attributes& attributes)
      : axis_(static_cast<int>(attributes.integer_in("axis", 0, kMaxRank - 1))) {
    attributes.only({"axis", "exclusive", "reverse"});
    plan_.exclusive = attributes.integer_in("exclusive", 0, 1) == 1;
    plan_.reverse = attributes.integer_in("reverse", 0, 1) == 1;
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    line_of(inputs[0].type);
    if (axis_ >= inputs[0].dims.rank()) throw Invalid("attribute 'axis' is none of " + inputs[0].dims.text());
    return {Layout(inputs[0].type, inputs[0].dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    const Dims& x = inputs[0].dims;
    Plan plan = plan_;
    plan.size = x[axis_];
    for (int axis = axis_ + 1; axis < x.rank(); ++axis) plan.inner *= x[axis];
    plan.lines = plan.size == 0 ? 0 : x.count() / plan.size;
    return std::make_unique<BoundCumulate>(line_of(inputs[0].type), plan);
  }

  bool in_place(std::size_t, const Layouts&) const override { return true; }

 private:
  int axis_;
  Plan plan_;
};

}  // namespace

std::unique_ptr<Op> make_cumulate(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Cumulate>(attributes);
}

}  // namespace graphopt
