// What gather computes.

#include "reference/move.h"

namespace graphopt {

void reference_gather(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Dims& dims = inputs[0].layout.dims;
  const Dims& indices = inputs[1].layout.dims;
  const std::int64_t given = attributes.integer("axis");
  const std::int64_t axis = given < 0 ? given + dims.rank() : given;
  reference::move(inputs[0], outputs[0], [&](const std::vector<std::int64_t>& place) {
    const auto first = place.begin() + axis;
    const std::vector<std::int64_t> chosen(first, first + indices.rank());
    std::int64_t index = reference::integer_at(inputs[1], reference::index_of(indices, chosen));
    const std::int64_t size = dims[static_cast<int>(axis)];
    if (index < -size || index >= size) throw Invalid("index " + std::to_string(index) + " lies outside the axis");
    if (index < 0) index += size;
    std::vector<std::int64_t> own(place.begin(), first);
    own.push_back(index);
    own.insert(own.end(), first + indices.rank(), place.end());
    return reference::index_of(dims, own);
  });
}

}  // namespace graphopt
