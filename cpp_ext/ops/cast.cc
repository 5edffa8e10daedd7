// cast: each element as one of another type (conversion.h); of any type. Attribute `type`: of the output.

#include <algorithm>

#include "ops/conversion.h"
#include "ops/op.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlock = 1 << 14;

using Line = void (*)(const void* from, void* to, std::int64_t begin, std::int64_t end);

template <typename From, typename To>
void line(const void* from, void* to, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) {
    static_cast<To*>(to)[i] = converted<To>(static_cast<const From*>(from)[i]);
  }
}

template <typename From>
void truths(const void* from, void* to, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) {
    static_cast<unsigned char*>(to)[i] = is_true(static_cast<const From*>(from)[i]);
  }
}

template <typename From>
Line line_to(Type type) {
  switch (type) {
    case Type::kF32: return line<From, float>;
    case Type::kU8: return line<From, std::uint8_t>;
    case Type::kS8: return line<From, std::int8_t>;
    case Type::kS32: return line<From, std::int32_t>;
    case Type::kS64: return line<From, std::int64_t>;
    default: return truths<From>;
  }
}

Line line_of(Type from, Type to) {
  switch (from) {
    case Type::kF32: return line_to<float>(to);
    case Type::kS8: return line_to<std::int8_t>(to);
    case Type::kS32: return line_to<std::int32_t>(to);
    case Type::kS64: return line_to<std::int64_t>(to);
    default: return line_to<std::uint8_t>(to);
  }
}

class BoundCast final : public Bound {
 public:
  BoundCast(Line line, std::int64_t count) : line_(line), count_(count) {}

  void run(const Run& run) const override {
    run.pool.run((count_ + kBlock - 1) / kBlock, [&](std::int64_t block) {
      line_(run.inputs[0], run.outputs[0], block * kBlock, std::min((block + 1) * kBlock, count_));
    });
  }

 private:
  Line line_;
  std::int64_t count_;
};

class Cast final : public Op {
 public:
  explicit Cast(const Attributes& attributes) : type_(attributes.type("type")) { attributes.only({"type"}); }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    return {Layout(type_, inputs[0].dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    return std::make_unique<BoundCast>(line_of(inputs[0].type, type_), inputs[0].dims.count());
  }

 private:
  Type type_;
};

}  // namespace

std::unique_ptr<Op> make_cast(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Cast>(attributes);
}

}  // namespace graphopt
