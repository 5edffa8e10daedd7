// Two inputs of codes, numpy's broadcasting, and optionally a table applied to the result.
//
// Attributes: a_scale, a_zero, b_scale, b_zero, y_type, y_scale, y_zero; optional y_low, y_high; optional `table`
// (u8[256]) and `table_type`, of the codes it gives.

#include "ops/combine.h"

#include <optional>
#include <utility>

#include "ops/broadcast.h"
#include "ops/coding.h"
#include "ops/integer_sum.h"

namespace graphopt {

namespace {

// Fewer are not worth a search.
constexpr std::int64_t kFewElements = 1 << 12;

class BoundCombine final : public Bound {
 public:
  BoundCombine(const Broadcast& broadcast, kernels::BinaryCodes kernel, const kernels::CodesPair& pair,
               kernels::AddIntegers integers, const std::optional<kernels::IntegerSum>& sum, kernels::Lookup lookup,
               const unsigned char* table)
      : broadcast_(broadcast),
        kernel_(kernel),
        pair_(pair),
        integers_(integers),
        sum_(sum),
        lookup_(lookup),
        table_(table) {}

  void run(const Run& run) const override {
    const auto* a = static_cast<const unsigned char*>(run.inputs[0]);
    const auto* b = static_cast<const unsigned char*>(run.inputs[1]);
    auto* y = static_cast<unsigned char*>(run.outputs[0]);
    if (broadcast_.exchanged()) std::swap(a, b);
    broadcast_.run(run.pool, [&](std::int64_t at_a, std::int64_t at_b, std::int64_t at_y, const kernels::Grid& grid) {
      if (sum_) {
        integers_(a + at_a, b + at_b, y + at_y, grid, *sum_);
      } else {
        kernel_(a + at_a, b + at_b, y + at_y, grid, pair_);
      }
      if (table_ == nullptr) return;
      const bool dense = grid.y_row == grid.columns;
      for (std::size_t row = 0; row < (dense ? 1 : grid.rows); ++row) {
        unsigned char* to = y + at_y + row * grid.y_row;
        lookup_(to, to, dense ? grid.rows * grid.columns : grid.columns, table_);
      }
    });
  }

 private:
  Broadcast broadcast_;
  kernels::BinaryCodes kernel_;
  kernels::CodesPair pair_;
  kernels::AddIntegers integers_;
  std::optional<kernels::IntegerSum> sum_;
  kernels::Lookup lookup_;
  const unsigned char* table_;
};

class Combine final : public Op {
 public:
  Combine(const Attributes& attributes, kernels::BinaryCodes kernel, kernels::AddIntegers integers,
          kernels::Lookup lookup, bool sum)
      : kernel_(kernel), integers_(integers), lookup_(lookup), sum_(sum), y_(attributes, "y_") {
    attributes.only({"a_scale", "a_zero", "b_scale", "b_zero", "y_type", "y_scale", "y_zero", "y_low", "y_high", "table",
                     "table_type"});
    a_zero_ = input_zero_of(attributes, "a_zero");
    b_zero_ = input_zero_of(attributes, "b_zero");
    const Summand a{scale_of(attributes, "a_scale"), a_zero_};
    const Summand b{scale_of(attributes, "b_scale"), b_zero_};
    if (sum) {
      pair_ = sum_of_codes(a, b, y_, false);
    } else {
      pair_.a_factor = a.scale * b.scale / y_.scale;
      pair_.start = static_cast<float>(y_.zero);
      pair_.y = y_.shifted();
    }
    type_ = y_.type;
    if (attributes.has("table") || attributes.has("table_type")) {
      table_ = table_of_codes(attributes, "table");
      type_ = code_type(attributes, "table_type");
    }
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 2);
    codes_in(inputs[0].type, a_zero_);
    codes_in(inputs[1].type, b_zero_);
    return {Layout(type_, broadcast(inputs[0].dims, inputs[1].dims))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    const Broadcast broadcast(inputs[0], inputs[1], outputs[0]);
    kernels::CodesPair pair = pair_;
    // Zero points of summands are part of the sum.
    pair.a = codes_in(inputs[0].type, sum_ ? 0 : a_zero_);
    pair.b = codes_in(inputs[1].type, sum_ ? 0 : b_zero_);
    if (broadcast.exchanged()) {
      std::swap(pair.a, pair.b);
      if (sum_) std::swap(pair.a_factor, pair.b_factor);
      pair.a_first = true;
    }
    std::optional<kernels::IntegerSum> sum;
    if (integers_ != nullptr && broadcast.own_columns() && outputs[0].dims.count() >= kFewElements) {
      sum = integer_sum(pair, kernel_, integers_);
    }
    return std::make_unique<BoundCombine>(broadcast, kernel_, pair, integers_, sum, lookup_,
                                          table_.empty() ? nullptr : table_.data());
  }

  // Whatever has the shape of the output: an input that is broadcast is of other bytes.
  bool in_place(std::size_t, const Layouts&) const override { return true; }
  bool pitched() const override { return true; }

 private:
  kernels::BinaryCodes kernel_;
  kernels::AddIntegers integers_;
  kernels::Lookup lookup_;
  bool sum_;
  Coding y_;
  Type type_ = Type::kU8;
  int a_zero_ = 0;
  int b_zero_ = 0;
  kernels::CodesPair pair_{};
  std::vector<unsigned char> table_;
};

}  // namespace

std::unique_ptr<Op> make_combine(const Attributes& attributes, kernels::BinaryCodes kernel,
                                 kernels::AddIntegers integers, kernels::Lookup lookup) {
  return std::make_unique<Combine>(attributes, kernel, integers, lookup, integers != nullptr);
}

}  // namespace graphopt
