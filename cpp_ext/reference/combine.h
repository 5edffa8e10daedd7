// What add and mul share: broadcasting, the output's codes, and the table.
#pragma once

#include "reference/numbers.h"

namespace graphopt::reference {

// `value` takes both codes and gives code units of the output, its zero point included.
template <typename Value>
void combine(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs,
             const Value& value) {
  const View& y = outputs[0];
  const Encoder encoder(attributes, "y_");
  for (std::int64_t i = 0; i < y.layout.dims.count(); ++i) {
    const std::int64_t a = integer_at(inputs[0], broadcast_index(inputs[0].layout.dims, y.layout.dims, i));
    const std::int64_t b = integer_at(inputs[1], broadcast_index(inputs[1].layout.dims, y.layout.dims, i));
    auto& code = static_cast<std::uint8_t*>(y.data)[i];
    code = static_cast<std::uint8_t>(encoder.shifted_code(value(a, b)));
    if (attributes.has("table")) code = attributes.array("table", Type::kU8).as<std::uint8_t>()[code];
  }
}

}  // namespace graphopt::reference
