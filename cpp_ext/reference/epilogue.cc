// What an epilogue computes.

#include "reference/epilogue.h"

#include <cmath>

#include "reference/numbers.h"

namespace graphopt {

double read(const View& view, std::int64_t i) {
  switch (view.layout.type) {
    case Type::kF32: return static_cast<double>(static_cast<const float*>(view.data)[i]);
    case Type::kU8: return static_cast<const std::uint8_t*>(view.data)[i];
    case Type::kS8: return static_cast<const std::int8_t*>(view.data)[i];
    case Type::kS32: return static_cast<const std::int32_t*>(view.data)[i];
    default: throw Invalid("no number is read from here");
  }
}

void write(const View& view, std::int64_t i, double value) {
  switch (view.layout.type) {
    case Type::kF32: static_cast<float*>(view.data)[i] = static_cast<float>(value); return;
    case Type::kU8: static_cast<std::uint8_t*>(view.data)[i] = static_cast<std::uint8_t>(value); return;
    case Type::kS8: static_cast<std::int8_t*>(view.data)[i] = static_cast<std::int8_t>(value); return;
    case Type::kS32: static_cast<std::int32_t*>(view.data)[i] = static_cast<std::int32_t>(value); return;
    default: throw Invalid("no number is written here");
  }
}

int reference_code(const Attributes& attributes, const std::string& prefix, float number) {
  const bool is_signed = attributes.type(prefix + "_type") == Type::kS8;
  const auto zero = static_cast<float>(attributes.integer(prefix + "_zero"));
  const auto low = static_cast<float>(attributes.integer(prefix + "_low", is_signed ? -128 : 0));
  const auto high = static_cast<float>(attributes.integer(prefix + "_high", is_signed ? 127 : 255));
  return static_cast<int>(std::fmin(std::fmax(std::nearbyint(number), low - zero), high - zero) + zero);
}

namespace {

int looked_up(const Attributes& attributes, const std::string& table, int code) {
  if (!attributes.has(table)) return code;
  const std::uint8_t found = attributes.array(table, Type::kU8).as<std::uint8_t>()[static_cast<std::uint8_t>(code)];
  return attributes.type(table + "_type") == Type::kS8 ? static_cast<std::int8_t>(found) : found;
}

}  // namespace

ReferenceEpilogue::ReferenceEpilogue(const Attributes& attributes, const std::vector<float>& scales)
    : attributes_(attributes), scales_(scales) {}

double ReferenceEpilogue::value(std::int32_t acc, std::int64_t n, double residual) const {
  const float scale = scales_[static_cast<std::size_t>(n)];
  if (attributes_.type("y_type") == Type::kF32) {
    float y = static_cast<float>(acc) * scale;
    if (attributes_.has("float_bias")) y += attributes_.array("float_bias", Type::kF32).as<float>()[n];
    if (attributes_.integer("residual", 0) == 1) y += static_cast<float>(residual);
    return static_cast<double>(y);
  }
  float y_scale = attributes_.number("y_scale");
  int code = reference_code(attributes_, "y", static_cast<float>(acc) * (scale / y_scale));
  code = looked_up(attributes_, "table", code);
  if (!attributes_.has("r_scale")) return code;
  std::int64_t zero = attributes_.integer("y_zero");
  if (attributes_.has("table")) {
    y_scale = attributes_.number("table_scale");
    zero = attributes_.integer("table_zero");
  }
  const float sum_scale = attributes_.number("sum_scale");
  const reference::Encoder encoder(attributes_, "sum_");
  const reference::Term mine{code, zero, y_scale / sum_scale};
  const reference::Term other{static_cast<std::int64_t>(residual), attributes_.integer("r_zero"),
                              attributes_.number("r_scale") / sum_scale};
  const bool other_first = attributes_.integer("r_first", 0) == 1;
  const float sum = reference::sum_of(other_first ? other : mine, other_first ? mine : other, encoder.zero());
  return looked_up(attributes_, "sum_table", static_cast<int>(encoder.shifted_code(sum)));
}

}  // namespace graphopt
