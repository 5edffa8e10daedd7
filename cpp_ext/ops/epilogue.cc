// What tiles cannot do in registers is done to rows that are still in cache.

#include "ops/epilogue.h"

#include <algorithm>
#include <cmath>

#include "ops/codes.h"
#include "ops/coding.h"
#include "ops/integer_sum.h"

namespace graphopt {

namespace {

constexpr std::int64_t kPadding = 64;
constexpr std::int64_t kFewElements = 1 << 12;

}  // namespace

const std::vector<const char*>& Epilogue::names() {
  static const std::vector<const char*> all = {
      "y_type", "y_scale", "y_zero",  "y_low",     "y_high",         "table",    "table_type",    "table_scale",
      "r_zero", "r_scale", "sum_low", "sum_high",  "table_zero",     "sum_type", "sum_scale",     "sum_zero",
      "sum_table", "sum_table_type", "float_bias", "residual", "r_first"};
  return all;
}

Epilogue::Epilogue(const Attributes& attributes, const kernels::Table& kernels, const std::vector<float>& scales,
                   std::int64_t times)
    : lookup_(kernels.lookup),
      scale_(static_cast<std::int64_t>(scales.size()) * times + kPadding),
      type_(attributes.type("y_type")),
      add_(kernels.add_codes),
      add_integers_(kernels.add_integers),
      tiles_add_(kernels.gemm.adds) {
  const bool codes = type_ != Type::kF32;
  tile_.type = codes ? code_type(attributes, "y_type") : type_;
  for (const char* name : {"y_scale", "y_zero", "y_low", "y_high", "table", "r_scale"}) {
    if (!codes && attributes.has(name)) throw Invalid(std::string("attribute '") + name + "' is for codes");
  }
  for (const char* name : {"float_bias", "residual"}) {
    if (codes && attributes.has(name)) throw Invalid(std::string("attribute '") + name + "' is for f32");
  }
  const auto count = static_cast<std::int64_t>(scales.size());
  const float by = codes ? scale_of(attributes, "y_scale") : 1.0f;
  for (std::size_t n = 0; n < scales.size(); ++n) {
    const float scale = codes ? scales[n] / by : scales[n];
    if (!std::isfinite(scale)) throw Invalid("the scale of column " + std::to_string(n) + " is not finite");
    for (std::int64_t i = 0; i < times; ++i) scale_[i * count + static_cast<std::int64_t>(n)] = scale;
    tile_.large = tile_.large || scale >= 1.0f;
  }
  tile_.scale = scale_.data();
  if (!codes) {
    if (attributes.has("float_bias")) {
      const Array& bias = attributes.array("float_bias", Type::kF32);
      if (bias.dims.count() != count) {
        throw Invalid("attribute 'float_bias' has " + std::to_string(bias.dims.count()) + " elements, not " +
                      std::to_string(count));
      }
      shift_ = Aligned<float>(count * times + kPadding);
      for (std::int64_t i = 0; i < times; ++i) std::copy_n(bias.as<float>(), count, shift_.data() + i * count);
      tile_.shift = shift_.data();
    }
    residual_ = attributes.has("residual") && attributes.integer_in("residual", 0, 1) == 1;
    return;
  }
  const CodeRange bounds = bounds_of(attributes, "y_low", "y_high", type_);
  tile_.zero = zero_of(attributes, "y_zero", type_);
  tile_.low = static_cast<std::int32_t>(bounds.low);
  tile_.high = static_cast<std::int32_t>(bounds.high);
  if (attributes.has("table")) {
    table_ = table_of_codes(attributes, "table");
    type_ = code_type(attributes, "table_type");
  }
  residual_ = attributes.has("r_scale");
  if (residual_) read_sum(attributes);
}

void Epilogue::read_sum(const Attributes& attributes) {
  const std::string before = table_.empty() ? "y_" : "table_";
  const Coding sum(attributes, "sum_");
  other_zero_ = static_cast<int>(attributes.integer_in("r_zero", -128, 255));
  const bool last = attributes.has("r_first") && attributes.integer_in("r_first", 0, 1) == 1;
  sum_ = sum_of_codes({scale_of(attributes, before + "scale"), zero_of(attributes, before + "zero", type_)},
                      {scale_of(attributes, "r_scale"), other_zero_}, sum, last);
  sum_.a = codes_in(type_, 0);
  if (!std::isfinite(sum_.a_factor) || !std::isfinite(sum_.b_factor)) throw Invalid("the scale of the sum is too small");
  type_ = sum.type;
  if (attributes.has("sum_table")) {
    sum_table_ = table_of_codes(attributes, "sum_table");
    type_ = code_type(attributes, "sum_table_type");
  }
}

void Epilogue::expect_residual(const Layout& r, const Dims& y) const {
  if (r.dims != y) throw Invalid("adds " + r.dims.text() + " to " + y.text());
  if (tile_.type == Type::kF32) {
    if (r.type != Type::kF32) throw Invalid(std::string("adds ") + name_of(r.type) + " to f32");
    return;
  }
  const CodeRange range = range_of(r.type);
  if (other_zero_ < range.low || other_zero_ > range.high) {
    throw Invalid("attribute 'r_zero' is " + std::to_string(other_zero_) + ", no code of " + name_of(r.type));
  }
}

Addition Epilogue::addition(Type residual_type, std::int64_t count, bool by_tiles) const {
  Addition addition;
  if (!residual_ || tile_.type == Type::kF32) return addition;
  addition.pair = sum_;
  // Zero points are part of the sum.
  addition.pair.b = codes_in(residual_type, 0);
  if (count >= kFewElements) addition.integers = integer_sum(addition.pair, add_, add_integers_);
  addition.by_tiles = by_tiles && tiles_add_ && table_.empty() && addition.integers;
  return addition;
}

void Epilogue::finish(void* to, std::int64_t pitch, const void* residual, std::int64_t residual_pitch,
                      const Addition& addition, std::int64_t rows, std::int64_t columns) const {
  if (pitch == columns && (!residual_ || residual_pitch == columns)) {
    columns *= rows;
    rows = 1;
  }
  if (tile_.type == Type::kF32) {
    for (std::int64_t row = 0; residual_ && row < rows; ++row) {
      float* place = static_cast<float*>(to) + row * pitch;
      const float* other = static_cast<const float*>(residual) + row * residual_pitch;
      for (std::int64_t n = 0; n < columns; ++n) place[n] += other[n];
    }
    return;
  }
  auto* codes = static_cast<std::uint8_t*>(to);
  const auto look_up = [&](const std::vector<unsigned char>& table) {
    for (std::int64_t row = 0; !table.empty() && row < rows; ++row) {
      std::uint8_t* place = codes + row * pitch;
      lookup_(place, place, static_cast<std::size_t>(columns), table.data());
    }
  };
  look_up(table_);
  if (!residual_) return;
  if (!addition.by_tiles) {
    const auto* other = static_cast<const std::uint8_t*>(residual);
    const auto step = static_cast<std::size_t>(pitch);
    const kernels::Grid grid{static_cast<std::size_t>(rows), static_cast<std::size_t>(columns), step,
                             static_cast<std::size_t>(residual_pitch), step, 1, 1};
    if (addition.integers) {
      add_integers_(codes, other, codes, grid, *addition.integers);
    } else {
      add_(codes, other, codes, grid, addition.pair);
    }
  }
  look_up(sum_table_);
}

}  // namespace graphopt
