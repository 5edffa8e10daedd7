// What gather_elements computes.

#include "reference/move.h"

namespace graphopt {

void reference_gather_elements(const Attributes& attributes, const std::vector<View>& inputs,
                               const std::vector<View>& outputs) {
  const Dims& dims = inputs[0].layout.dims;
  const Dims& indices = inputs[1].layout.dims;
  const std::int64_t axis = attributes.integer("axis");
  const std::int64_t size = dims[static_cast<int>(axis)];
  reference::move(inputs[0], outputs[0], [&](std::vector<std::int64_t> place) {
    const std::int64_t index = reference::integer_at(inputs[1], reference::index_of(indices, place));
    if (index < -size || index >= size) throw Invalid("index " + std::to_string(index) + " lies outside the axis");
    place[static_cast<std::size_t>(axis)] = index < 0 ? index + size : index;
    return reference::index_of(dims, place);
  });
}

}  // namespace graphopt
