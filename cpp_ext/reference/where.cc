// What where computes.

#include <cstring>

#include "reference/numbers.h"

namespace graphopt {

void reference_where(const Attributes&, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Dims& y = outputs[0].layout.dims;
  const std::size_t size = size_of(outputs[0].layout.type);
  for (std::int64_t i = 0; i < y.count(); ++i) {
    const bool first = reference::integer_at(inputs[0], reference::broadcast_index(inputs[0].layout.dims, y, i)) != 0;
    const View& from = inputs[first ? 1 : 2];
    const auto at = static_cast<std::size_t>(reference::broadcast_index(from.layout.dims, y, i));
    std::memcpy(static_cast<char*>(outputs[0].data) + static_cast<std::size_t>(i) * size,
                static_cast<const char*>(from.data) + at * size, size);
  }
}

}  // namespace graphopt
