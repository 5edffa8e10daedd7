// decode: the number that each code stands for, by a table of 256, which is any function of codes.
//
// Attributes: `table`, f32[256], the number of each code (as an unsigned byte).

#include <algorithm>

#include "ops/op.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlock = 1 << 14;
constexpr std::size_t kCodes = 256;

class BoundDecode final : public Bound {
 public:
  BoundDecode(const float* table, std::int64_t count) : table_(table), count_(count) {}

  void run(const Run& run) const override {
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<float*>(run.outputs[0]);
    run.pool.run((count_ + kBlock - 1) / kBlock, [&](std::int64_t block) {
      const std::int64_t end = std::min((block + 1) * kBlock, count_);
      for (std::int64_t i = block * kBlock; i < end; ++i) to[i] = table_[from[i]];
    });
  }

 private:
  const float* table_;
  std::int64_t count_;
};

class Decode final : public Op {
 public:
  explicit Decode(const Attributes& attributes) {
    attributes.only({"table"});
    const Array& table = attributes.array("table", Type::kF32);
    if (table.dims.count() != static_cast<std::int64_t>(kCodes)) {
      throw Invalid("attribute 'table' has " + std::to_string(table.dims.count()) + " elements, not 256");
    }
    table_.assign(table.as<float>(), table.as<float>() + kCodes);
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    if (size_of(inputs[0].type) != 1) throw Invalid("a table takes codes of one byte");
    return {Layout(Type::kF32, inputs[0].dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    return std::make_unique<BoundDecode>(table_.data(), inputs[0].dims.count());
  }

 private:
  std::vector<float> table_;
};

}  // namespace

std::unique_ptr<Op> make_decode(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Decode>(attributes);
}

}  // namespace graphopt
