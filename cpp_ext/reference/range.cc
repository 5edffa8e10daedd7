// What range computes.

#include "reference/numbers.h"

namespace graphopt {

void reference_range(const Attributes&, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const auto first = static_cast<std::uint64_t>(reference::integer_at(inputs[0], 0));
  const auto step = static_cast<std::uint64_t>(reference::integer_at(inputs[2], 0));
  for (std::int64_t i = 0; i < outputs[0].layout.dims.count(); ++i) {
    const auto number = static_cast<std::int64_t>(first + static_cast<std::uint64_t>(i) * step);
    if (outputs[0].layout.type == Type::kS32) {
      static_cast<std::int32_t*>(outputs[0].data)[i] = static_cast<std::int32_t>(number);
    } else {
      static_cast<std::int64_t*>(outputs[0].data)[i] = number;
    }
  }
}

}  // namespace graphopt
