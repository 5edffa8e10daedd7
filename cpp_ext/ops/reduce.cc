// reduce: one number of those along some axes, f32, s32 or s64. Attributes `op`: sum, sum_squares, max or min; `axes`; `keepdims` 0
// or 1. Numbers that lie one behind the other are taken in 16 lanes, which are combined as a tree; others one by one, as
// they lie. What is no number is the largest and the least.

#include <algorithm>

#include "ops/broadcast.h"
#include "ops/reductions.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlockElements = 1 << 13;
// Columns of a block.
constexpr std::int64_t kColumns = 512;

// Where a line begins in the input and the output, in elements.
using At = std::int64_t[2];

struct Plan {
  std::vector<Loop> outer;  // over what is kept: distances in the input and the output
  std::vector<Loop> taken;  // over what is taken: distances in the input
  std::int64_t taken_lines = 1;
  Loop line{1, {0, 0}};  // innermost: of what is taken, or of what is kept
};

template <typename Number, typename Reduction>
struct Lines {
  // One number of lines that are taken as wholes.
  static void along(const void* source, void* target, const At& first, const Plan& plan) {
    const Number* from = static_cast<const Number*>(source) + first[0];
    Number lanes[reductions::kLanes];
    std::fill_n(lanes, reductions::kLanes, Reduction::kStart);
    std::size_t lane = 0;
    for (std::int64_t taken = 0; taken < plan.taken_lines; ++taken) {
      const Number* at = of_line(from, plan, taken);
      std::int64_t i = 0;
      for (; lane != 0 && i < plan.line.size; ++i) step(lanes, lane, at[i]);
      for (; i + static_cast<std::int64_t>(reductions::kLanes) <= plan.line.size;
           i += static_cast<std::int64_t>(reductions::kLanes)) {
        for (std::size_t each = 0; each < reductions::kLanes; ++each) {
          lanes[each] = Reduction::combined(lanes[each], Reduction::taken(at[i + static_cast<std::int64_t>(each)]));
        }
      }
      for (; i < plan.line.size; ++i) step(lanes, lane, at[i]);
    }
    static_cast<Number*>(target)[first[1]] = reductions::total<Reduction>(lanes);
  }

  // A number for each of some columns.
  static void across(const void* source, void* target, const At& first, std::int64_t columns, const Plan& plan) {
    const Number* from = static_cast<const Number*>(source) + first[0];
    Number* to = static_cast<Number*>(target) + first[1];
    std::fill_n(to, columns, Reduction::kStart);
    for (std::int64_t taken = 0; taken < plan.taken_lines; ++taken) {
      const Number* at = of_line(from, plan, taken);
      for (std::int64_t i = 0; i < columns; ++i) to[i] = Reduction::combined(to[i], Reduction::taken(at[i]));
    }
  }

 private:
  static void step(Number* lanes, std::size_t& lane, Number x) {
    lanes[lane] = Reduction::combined(lanes[lane], Reduction::taken(x));
    lane = (lane + 1) % reductions::kLanes;
  }

  static const Number* of_line(const Number* from, const Plan& plan, std::int64_t taken) {
    std::int64_t at[] = {0};
    advance(plan.taken, taken, at);
    return from + at[0];
  }
};

struct Functions {
  void (*along)(const void* source, void* target, const At& first, const Plan& plan);
  void (*across)(const void* source, void* target, const At& first, std::int64_t columns, const Plan& plan);
};

template <typename Number>
Functions functions_of(const std::string& name) {
#define REDUCTION(op, start, term, both) \
  if (name == #op) { \
    return {Lines<Number, reductions::op<Number>>::along, Lines<Number, reductions::op<Number>>::across}; \
  }
  GRAPHOPT_REDUCTIONS(REDUCTION)
#undef REDUCTION
  throw Invalid("attribute 'op' is no reduction: '" + name + "'");
}

Functions functions_named(const std::string& name, Type type) {
  switch (type) {
    case Type::kF32: return functions_of<float>(name);
    case Type::kS32: return functions_of<std::int32_t>(name);
    case Type::kS64: return functions_of<std::int64_t>(name);
    default: throw Invalid(std::string("f32, s32 or s64 is reduced, not ") + name_of(type));
  }
}

class BoundReduce final : public Bound {
 public:
  // `along`: the line of the plan is taken.
  BoundReduce(const Functions& functions, Plan plan, bool along, bool empty)
      : functions_(functions), plan_(std::move(plan)), along_(along) {
    if (empty) return;
    units_ = 1;
    for (const Loop& loop : plan_.outer) units_ *= loop.size;
    parts_ = along_ ? 1 : (plan_.line.size + kColumns - 1) / kColumns;
    const std::int64_t work = plan_.taken_lines * (along_ ? plan_.line.size : std::min(kColumns, plan_.line.size));
    block_ = std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(1, work));
  }

  void run(const Run& run) const override {
    const std::int64_t all = units_ * parts_;
    run.pool.run((all + block_ - 1) / block_, [&](std::int64_t block) {
      for (std::int64_t unit = block * block_; unit < std::min((block + 1) * block_, all); ++unit) one(run, unit);
    });
  }

 private:
  void one(const Run& run, std::int64_t unit) const {
    const std::int64_t begin = unit % parts_ * kColumns;
    const std::int64_t first = along_ ? 0 : begin;
    At at = {first, first};
    advance(plan_.outer, unit / parts_, at);
    if (along_) {
      functions_.along(run.inputs[0], run.outputs[0], at, plan_);
    } else {
      functions_.across(run.inputs[0], run.outputs[0], at, std::min(kColumns, plan_.line.size - begin), plan_);
    }
  }

  Functions functions_;
  Plan plan_;
  bool along_;
  std::int64_t units_ = 0;
  std::int64_t parts_ = 1;
  std::int64_t block_ = 1;
};

class Reduce final : public Op {
 public:
  explicit Reduce(const Attributes& attributes)
      : op_(attributes.text("op")),
        axes_(attributes.integers("axes")),
        keep_(attributes.integer_in("keepdims", 0, 1) == 1) {
    attributes.only({"op", "axes", "keepdims"});
    functions_named(op_, Type::kF32);
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    functions_named(op_, inputs[0].type);
    const Dims& x = inputs[0].dims;
    const std::vector<bool> taken = taken_of(x);
    std::vector<std::int64_t> sizes;
    for (int axis = 0; axis < x.rank(); ++axis) {
      const bool is_taken = taken[static_cast<std::size_t>(axis)];
      if (is_taken && x[axis] == 0) throw Invalid("of no elements there is no reduction");
      if (!is_taken || keep_) sizes.push_back(is_taken ? 1 : x[axis]);
    }
    return {Layout(inputs[0].type, Dims(sizes))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    const Dims& x = inputs[0].dims;
    const std::vector<bool> taken = taken_of(x);
    const std::vector<std::int64_t> strides = strides_of(inputs[0]);
    Plan plan;
    std::int64_t to = 1;
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      const auto at = static_cast<std::size_t>(axis);
      if (taken[at]) {
        plan.taken.insert(plan.taken.begin(), {x[axis], {strides[at]}});
      } else {
        plan.outer.insert(plan.outer.begin(), {x[axis], {strides[at], to}});
        to *= x[axis];
      }
    }
    plan.taken = merged(plan.taken);
    plan.outer = merged(plan.outer);
    const bool along = reductions::is_along(x, taken);
    std::vector<Loop>& lines = along ? plan.taken : plan.outer;
    if (!lines.empty() && lines.back().strides[0] == 1) {
      plan.line = lines.back();
      lines.pop_back();
    }
    for (const Loop& loop : plan.taken) plan.taken_lines *= loop.size;
    return std::make_unique<BoundReduce>(functions_named(op_, inputs[0].type), std::move(plan), along, x.count() == 0);
  }

 private:
  std::vector<bool> taken_of(const Dims& x) const {
    std::vector<bool> taken(static_cast<std::size_t>(x.rank()));
    for (const std::int64_t axis : axes_) {
      if (axis < 0 || axis >= x.rank() || taken[static_cast<std::size_t>(axis)]) {
        throw Invalid("attribute 'axes' does not fit " + x.text());
      }
      taken[static_cast<std::size_t>(axis)] = true;
    }
    return taken;
  }

  std::string op_;
  Integers axes_;
  bool keep_;
};

}  // namespace

std::unique_ptr<Op> make_reduce(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Reduce>(attributes);
}

}  // namespace graphopt
