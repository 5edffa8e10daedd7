// affine: codes to codes through numbers that are scaled and shifted by column, as BatchNormalization does it:
// quantize(dequantize(x) * scale[column] + shift[column]), and optionally a table applied to the result.
//
// Attributes: x_type, x_scale, x_zero; `scale` and `shift`, f32 [columns]; y_type, y_scale, y_zero; optional y_low,
// y_high; optional `table` (u8[256]) and `table_type`, of the codes it gives.
//
// The result is a function of the column and the code. When the operator is made, a factor and an offset are sought for
// each column by which one multiplication and addition give the code that all of these steps, each rounded, give, for
// each of the 256 codes. Columns for which there are none have a table.

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/coding.h"
#include "ops/op.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlock = 1 << 14;
constexpr std::size_t kCodes = 256;
// Factors and offsets are read by whole vectors.
constexpr std::size_t kVector = 64;
// Columns that are sought for at a time; whole vectors.
constexpr std::size_t kTogether = 512;

using Bytes = std::vector<unsigned char>;

struct Columns {
  std::vector<float> factors;
  std::vector<float> offsets;

  explicit Columns(std::size_t count)
      : factors((count + kVector - 1) / kVector * kVector), offsets(factors.size()) {}
};

// A column without a factor and an offset, and the result for each of its codes.
struct Special {
  std::int64_t column;
  Bytes table;
};

class BoundAffine final : public Bound {
 public:
  BoundAffine(const kernels::Table& kernels, const Layout& x, const Layout& y, const kernels::CodesIn& in,
              const kernels::CodesOut& out, const Columns& columns, const Bytes& table,
              const std::vector<Special>& special)
      : kernels_(kernels), x_(x), y_(y), in_(in), out_(out), columns_(columns), table_(table), special_(special) {}

  void run(const Run& run) const override {
    const std::int64_t columns = x_.dims.columns();
    if (x_.dims.count() == 0) return;
    const std::int64_t part = std::min(columns, kBlock);
    const std::int64_t parts = (columns + part - 1) / part;
    const std::int64_t lines = std::max<std::int64_t>(1, kBlock / part);
    const std::int64_t blocks = (x_.dims.rows() + lines - 1) / lines;
    run.pool.run(blocks * parts, [&](std::int64_t block) {
      const std::int64_t row = block / parts * lines;
      const std::int64_t column = block % parts * part;
      const auto* from = static_cast<const unsigned char*>(run.inputs[0]) + row * x_.pitch + column;
      auto* to = static_cast<unsigned char*>(run.outputs[0]) + row * y_.pitch + column;
      some(from, to, std::min(lines, x_.dims.rows() - row), column, std::min(part, columns - column));
    });
  }

 private:
  void some(const unsigned char* from, unsigned char* to, std::int64_t rows, std::int64_t column,
            std::int64_t count) const {
    const auto width = static_cast<std::size_t>(count);
    kernels_.affine_codes(from, to,
                          {static_cast<std::size_t>(rows), width, static_cast<std::size_t>(x_.pitch), 0,
                           static_cast<std::size_t>(y_.pitch), 1, 1},
                          in_, columns_.factors.data() + column, columns_.offsets.data() + column, out_);
    for (std::int64_t row = 0; !table_.empty() && row < rows; ++row) {
      kernels_.lookup(to + row * y_.pitch, to + row * y_.pitch, width, table_.data());
    }
    for (const Special& each : special_) {
      if (each.column < column || each.column >= column + count) continue;
      for (std::int64_t row = 0; row < rows; ++row) {
        to[row * y_.pitch + each.column - column] = each.table[from[row * x_.pitch + each.column - column]];
      }
    }
  }

  const kernels::Table& kernels_;
  Layout x_;
  Layout y_;
  kernels::CodesIn in_;
  kernels::CodesOut out_;
  const Columns& columns_;
  const Bytes& table_;
  const std::vector<Special>& special_;
};

class Affine final : public Op {
 public:
  Affine(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        x_type_(code_type(attributes, "x_type")),
        x_scale_(scale_of(attributes, "x_scale")),
        in_(codes_in(x_type_, zero_of(attributes, "x_zero", x_type_))),
        y_(attributes, "y_"),
        type_(y_.type),
        count_(attributes.array("scale", Type::kF32).bytes.size() / sizeof(float)),
        columns_(count_) {
    attributes.only({"x_type", "x_scale", "x_zero", "scale", "shift", "y_type", "y_scale", "y_zero", "y_low", "y_high",
                     "table", "table_type"});
    if (attributes.has("table") || attributes.has("table_type")) {
      table_ = table_of_codes(attributes, "table");
      type_ = code_type(attributes, "table_type");
    }
    const float* scale = numbers(attributes, "scale");
    const float* shift = numbers(attributes, "shift");
    for (std::size_t first = 0; first < count_; first += kTogether) {
      fit(first, std::min(kTogether, count_ - first), scale + first, shift + first);
    }
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    const Layout& x = inputs[0];
    if (x.type != x_type_) throw Invalid(std::string("takes codes of ") + name_of(x_type_) + ", not " + name_of(x.type));
    if (x.dims.rank() == 0 || x.dims.columns() != static_cast<std::int64_t>(count_)) {
      throw Invalid("'scale' is not for rows of " + x.dims.text());
    }
    return {Layout(type_, x.dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundAffine>(kernels_, inputs[0], outputs[0], in_, y_.kernel(), columns_, table_, special_);
  }

  // What has a table reads its codes last.
  bool in_place(std::size_t, const Layouts&) const override { return special_.empty(); }
  bool pitched() const override { return true; }

 private:
  const float* numbers(const Attributes& attributes, const std::string& name) const {
    const Array& array = attributes.array(name, Type::kF32);
    if (array.dims.rank() != 1 || array.dims[0] != static_cast<std::int64_t>(count_)) {
      throw Invalid("attribute '" + name + "' is not one number for each column");
    }
    const float* values = array.as<float>();
    if (!std::all_of(values, values + count_, [](float value) { return std::isfinite(value); })) {
      throw Invalid("attribute '" + name + "' has a number that is not finite");
    }
    return values;
  }

  // Finds how some columns are computed.
  void fit(std::size_t first, std::size_t count, const float* scale, const float* shift) {
    const Bytes exact = exactly(scale, shift, count);
    float* factors = columns_.factors.data() + first;
    float* offsets = columns_.offsets.data() + first;
    for (std::size_t i = 0; i < count; ++i) {
      factors[i] = static_cast<float>(static_cast<double>(x_scale_) * scale[i] / y_.scale);
      offsets[i] = static_cast<float>(static_cast<double>(shift[i]) / y_.scale);
    }
    std::vector<std::size_t> differing = differing_from(exact, factors, offsets, count);
    for (const std::size_t i : differing) offsets[i] = between(exact.data() + i, count, factors[i]);
    if (!differing.empty()) differing = differing_from(exact, factors, offsets, count);
    for (const std::size_t i : differing) {
      Special special{static_cast<std::int64_t>(first + i), Bytes(kCodes)};
      for (std::size_t code = 0; code < kCodes; ++code) {
        const unsigned char result = exact[code * count + i];
        special.table[code] = table_.empty() ? result : table_[result];
      }
      special_.push_back(std::move(special));
    }
  }

  // The result of each code, by the byte that stores it, and column; before the table.
  Bytes exactly(const float* scale, const float* shift, std::size_t count) const {
    unsigned char codes[kCodes];
    for (std::size_t code = 0; code < kCodes; ++code) codes[code] = static_cast<unsigned char>(code);
    float numbers[kCodes];
    kernels_.dequantize(codes, numbers, kCodes, x_scale_, in_);
    float row[kTogether];
    Bytes exact(kCodes * count);
    for (std::size_t code = 0; code < kCodes; ++code) {
      for (std::size_t i = 0; i < count; ++i) row[i] = numbers[code] * scale[i] + shift[i];
      kernels_.quantize(row, exact.data() + code * count, count, y_.scale, y_.kernel());
    }
    return exact;
  }

  // The columns for which factors and offsets give other codes.
  std::vector<std::size_t> differing_from(const Bytes& exact, const float* factors, const float* offsets,
                                          std::size_t count) const {
    unsigned char codes[kTogether];
    unsigned char found[kTogether];
    bool differs[kTogether] = {};
    for (std::size_t code = 0; code < kCodes; ++code) {
      std::fill_n(codes, count, static_cast<unsigned char>(code));
      kernels_.affine_codes(codes, found, {1, count, 0, 0, 0, 1, 1}, in_, factors, offsets, y_.kernel());
      for (std::size_t i = 0; i < count; ++i) differs[i] |= found[i] != exact[code * count + i];
    }
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < count; ++i) {
      if (differs[i]) all.push_back(i);
    }
    return all;
  }

  // An offset in the middle of those that give the codes of a column, by its factor.
  float between(const unsigned char* exact, std::size_t stride, float factor) const {
    const kernels::CodesOut out = y_.kernel();
    double least = -std::numeric_limits<double>::infinity();
    double most = std::numeric_limits<double>::infinity();
    for (std::size_t code = 0; code < kCodes; ++code) {
      const double result = static_cast<double>(exact[code * stride] ^ out.flip) - out.zero;
      const double product = (static_cast<double>(code ^ in_.flip) - static_cast<double>(in_.zero)) * factor;
      if (result > out.low) least = std::max(least, result - 0.5 - product);
      if (result < out.high) most = std::min(most, result + 0.5 - product);
    }
    const double offset = std::isinf(least) ? most : std::isinf(most) ? least : (least + most) / 2;
    return std::isfinite(offset) ? static_cast<float>(offset) : 0;
  }

  const kernels::Table& kernels_;
  Type x_type_;
  float x_scale_;
  kernels::CodesIn in_;
  Coding y_;
  Type type_;
  std::size_t count_;
  Columns columns_;
  Bytes table_;
  std::vector<Special> special_;
};

}  // namespace

std::unique_ptr<Op> make_affine(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Affine>(attributes, kernels);
}

}  // namespace graphopt
