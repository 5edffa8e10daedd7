// What tiles cannot do in registers is done to rows that are still in cache.

#include "ops/epilogue.h"

#include <algorithm>
#include <cmath>

#include "ops/codes.h"

namespace graphopt {

namespace {

constexpr std::int64_t kPadding = 64;

float rounded(float number) { return (number + 12582912.0f) - 12582912.0f; }

template <typename Code>
void add_row(const Residual& sum, std::uint8_t* to, const Code* other, std::int64_t columns) {
  const auto low = static_cast<float>(sum.low - sum.sum_zero);
  const auto high = static_cast<float>(sum.high - sum.sum_zero);
  for (std::int64_t n = 0; n < columns; ++n) {
    const int code = sum.type == Type::kS8 ? static_cast<std::int8_t>(to[n]) : to[n];
    const float number = static_cast<float>(code - sum.zero) * sum.factor +
                         static_cast<float>(other[n] - sum.other_zero) * sum.other_factor;
    to[n] = static_cast<std::uint8_t>(static_cast<int>(rounded(std::min(std::max(number, low), high))) + sum.sum_zero);
  }
}

}  // namespace

const std::vector<const char*>& Epilogue::names() {
  static const std::vector<const char*> all = {
      "y_type", "y_scale", "y_zero",  "y_low",     "y_high",         "table",    "table_type",    "table_scale",
      "r_zero", "r_scale", "sum_low", "sum_high",  "table_zero",     "sum_type", "sum_scale",     "sum_zero",
      "sum_table", "sum_table_type", "float_bias", "residual"};
  return all;
}

Epilogue::Epilogue(const Attributes& attributes, const kernels::Table& kernels, const std::vector<float>& scales)
    : lookup_(kernels.lookup),
      scale_(static_cast<std::int64_t>(scales.size()) + kPadding),
      type_(attributes.type("y_type")) {
  const bool codes = type_ != Type::kF32;
  tile_.type = codes ? code_type(attributes, "y_type") : type_;
  for (const char* name : {"y_scale", "y_zero", "y_low", "y_high", "table", "r_scale"}) {
    if (!codes && attributes.has(name)) throw Invalid(std::string("attribute '") + name + "' is for codes");
  }
  for (const char* name : {"float_bias", "residual"}) {
    if (codes && attributes.has(name)) throw Invalid(std::string("attribute '") + name + "' is for f32");
  }
  const float by = codes ? scale_of(attributes, "y_scale") : 1.0f;
  for (std::size_t n = 0; n < scales.size(); ++n) {
    const float scale = codes ? scales[n] / by : scales[n];
    if (!std::isfinite(scale)) throw Invalid("the scale of column " + std::to_string(n) + " is not finite");
    scale_[static_cast<std::int64_t>(n)] = scale;
    tile_.large = tile_.large || scale >= 1.0f;
  }
  tile_.scale = scale_.data();
  if (!codes) {
    if (attributes.has("float_bias")) {
      const Array& bias = attributes.array("float_bias", Type::kF32);
      if (bias.dims.count() != static_cast<std::int64_t>(scales.size())) {
        throw Invalid("attribute 'float_bias' has " + std::to_string(bias.dims.count()) + " elements, not " +
                      std::to_string(scales.size()));
      }
      shift_ = Aligned<float>(bias.dims.count() + kPadding);
      std::copy_n(bias.as<float>(), bias.dims.count(), shift_.data());
      tile_.shift = shift_.data();
    }
    residual_ = attributes.has("residual") && attributes.integer_in("residual", 0, 1) == 1;
    return;
  }
  const CodeRange bounds = bounds_of(attributes, "y_low", "y_high", type_);
  tile_.zero = zero_of(attributes, "y_zero", type_);
  tile_.low = static_cast<std::int32_t>(bounds.low);
  tile_.high = static_cast<std::int32_t>(bounds.high);
  sum_.factor = by;
  sum_.zero = tile_.zero;
  if (attributes.has("table")) {
    table_ = table_of_codes(attributes, "table");
    type_ = code_type(attributes, "table_type");
  }
  residual_ = attributes.has("r_scale");
  if (residual_) read_sum(attributes);
}

void Epilogue::read_sum(const Attributes& attributes) {
  if (!table_.empty()) {
    sum_.factor = scale_of(attributes, "table_scale");
    sum_.zero = zero_of(attributes, "table_zero", type_);
  }
  const float scale = scale_of(attributes, "sum_scale");
  sum_.type = type_;
  sum_.factor = sum_.factor / scale;
  sum_.other_factor = scale_of(attributes, "r_scale") / scale;
  if (!std::isfinite(sum_.factor) || !std::isfinite(sum_.other_factor)) throw Invalid("the scale of the sum is too small");
  sum_.other_zero = static_cast<int>(attributes.integer_in("r_zero", -128, 255));
  type_ = code_type(attributes, "sum_type");
  const CodeRange bounds = bounds_of(attributes, "sum_low", "sum_high", type_);
  sum_.sum_zero = zero_of(attributes, "sum_zero", type_);
  sum_.low = static_cast<int>(bounds.low);
  sum_.high = static_cast<int>(bounds.high);
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
  if (sum_.other_zero < range.low || sum_.other_zero > range.high) {
    throw Invalid("attribute 'r_zero' is " + std::to_string(sum_.other_zero) + ", no code of " + name_of(r.type));
  }
}

void Epilogue::finish(void* to, std::int64_t pitch, const void* residual, Type residual_type,
                      std::int64_t residual_pitch, std::int64_t rows, std::int64_t columns) const {
  if (tile_.type == Type::kF32) {
    for (std::int64_t row = 0; residual_ && row < rows; ++row) {
      float* place = static_cast<float*>(to) + row * pitch;
      const float* other = static_cast<const float*>(residual) + row * residual_pitch;
      for (std::int64_t n = 0; n < columns; ++n) place[n] += other[n];
    }
    return;
  }
  const auto look_up = [&](std::uint8_t* place, const std::vector<unsigned char>& table) {
    if (!table.empty()) lookup_(place, place, static_cast<std::size_t>(columns), table.data());
  };
  for (std::int64_t row = 0; row < rows; ++row) {
    auto* place = static_cast<std::uint8_t*>(to) + row * pitch;
    look_up(place, table_);
    if (!residual_) continue;
    if (residual_type == Type::kU8) {
      add_row(sum_, place, static_cast<const std::uint8_t*>(residual) + row * residual_pitch, columns);
    } else {
      add_row(sum_, place, static_cast<const std::int8_t*>(residual) + row * residual_pitch, columns);
    }
    look_up(place, sum_table_);
  }
}

}  // namespace graphopt
