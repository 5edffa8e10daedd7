// lookup: each byte by a table of 256, which is any function from codes to codes.
//
// Attributes: `table`, u8[256], the code (as an unsigned byte) of each code (as an unsigned byte); `type`, of the output.

#include <algorithm>

#include "ops/codes.h"
#include "ops/op.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlock = 1 << 16;

class BoundLookup final : public Bound {
 public:
  BoundLookup(kernels::Lookup kernel, const unsigned char* table, std::int64_t count)
      : kernel_(kernel), table_(table), count_(count) {}

  void run(const Run& run) const override {
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<unsigned char*>(run.outputs[0]);
    run.pool.run((count_ + kBlock - 1) / kBlock, [&](std::int64_t block) {
      const std::int64_t begin = block * kBlock;
      const std::int64_t end = std::min(begin + kBlock, count_);
      kernel_(from + begin, to + begin, static_cast<std::size_t>(end - begin), table_);
    });
  }

 private:
  kernels::Lookup kernel_;
  const unsigned char* table_;
  std::int64_t count_;
};

class Lookup final : public Op {
 public:
  Lookup(const Attributes& attributes, const kernels::Table& kernels)
      : kernel_(kernels.lookup), type_(attributes.type("type")), table_(table_of_codes(attributes, "table")) {
    attributes.only({"table", "type"});
    if (size_of(type_) != 1) throw Invalid("a table gives codes of one byte");
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    if (size_of(inputs[0].type) != 1) throw Invalid("a table takes codes of one byte");
    return {Layout(type_, inputs[0].dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    return std::make_unique<BoundLookup>(kernel_, table_.data(), inputs[0].dims.count());
  }

  bool in_place(std::size_t, const Layouts&) const override { return true; }

 private:
  kernels::Lookup kernel_;
  Type type_;
  std::vector<unsigned char> table_;
};

}  // namespace

std::unique_ptr<Op> make_lookup(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Lookup>(attributes, kernels);
}

}  // namespace graphopt
