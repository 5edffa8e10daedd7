// unary: a function of each number, f32. Attribute `op` names it (functions.h, or
// kernels/functions.h); some have parameters.

#include <algorithm>

#include "ops/functions.h"
#include "ops/op.h"

namespace graphopt {

namespace {

using functions::Parameters;

constexpr std::int64_t kBlock = 1 << 13;

using Line = void (*)(const float* from, float* to, std::int64_t count, const Parameters& parameters);

// Null if the function has no kernel.
kernels::FloatFunction kernel_named(const kernels::Functions& functions, const std::string& name) {
#define FUNCTION(op) \
  if (name == #op) return functions.op;
  GRAPHOPT_FLOAT_FUNCTIONS(FUNCTION)
  GRAPHOPT_STEP_FUNCTIONS(FUNCTION)
#undef FUNCTION
  return nullptr;
}

Line line_named(const std::string& name) {
#define UNARY(op, value) \
  if (name == #op) { \
    return [](const float* from, float* to, std::int64_t count, const Parameters& parameters) { \
      for (std::int64_t i = 0; i < count; ++i) to[i] = functions::unary_##op(from[i], parameters); \
    }; \
  }
  GRAPHOPT_UNARY(UNARY)
#undef UNARY
  throw Invalid("attribute 'op' is no function of one number: '" + name + "'");
}

class BoundUnary final : public Bound {
 public:
  BoundUnary(kernels::FloatFunction kernel, Line line, const Parameters& parameters, std::int64_t count)
      : kernel_(kernel), line_(line), parameters_(parameters), count_(count) {}

  void run(const Run& run) const override {
    const auto* from = static_cast<const float*>(run.inputs[0]);
    auto* to = static_cast<float*>(run.outputs[0]);
    run.pool.run((count_ + kBlock - 1) / kBlock, [&](std::int64_t block) {
      const std::int64_t begin = block * kBlock;
      const std::int64_t count = std::min(kBlock, count_ - begin);
      if (kernel_ != nullptr) {
        kernel_(from + begin, to + begin, static_cast<std::size_t>(count), parameters_.alpha, parameters_.beta);
      } else {
        line_(from + begin, to + begin, count, parameters_);
      }
    });
  }

 private:
  kernels::FloatFunction kernel_;
  Line line_;
  Parameters parameters_;
  std::int64_t count_;
};

class Unary final : public Op {
 public:
  Unary(const Attributes& attributes, const kernels::Table& kernels)
      : kernel_(kernel_named(kernels.functions, attributes.text("op"))),
        line_(kernel_ != nullptr ? nullptr : line_named(attributes.text("op"))),
        parameters_(functions::parameters_of(attributes)) {}

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    if (inputs[0].type != Type::kF32) throw Invalid(std::string("functions take f32, not ") + name_of(inputs[0].type));
    return {Layout(Type::kF32, inputs[0].dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    return std::make_unique<BoundUnary>(kernel_, line_, parameters_, inputs[0].dims.count());
  }

  bool in_place(std::size_t, const Layouts&) const override { return true; }

 private:
  kernels::FloatFunction kernel_;
  Line line_;
  Parameters parameters_;
};

}  // namespace

std::unique_ptr<Op> make_unary(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Unary>(attributes, kernels);
}

}  // namespace graphopt
