// What gather_nd computes.

#include "reference/move.h"

namespace graphopt {

void reference_gather_nd(const Attributes& attributes, const std::vector<View>& inputs,
                         const std::vector<View>& outputs) {
  const Dims& dims = inputs[0].layout.dims;
  const Dims& indices = inputs[1].layout.dims;
  const std::int64_t batch = attributes.integer("batch");
  reference::move(inputs[0], outputs[0], [&](const std::vector<std::int64_t>& place) {
    const auto behind = place.begin() + indices.rank() - 1;
    std::vector<std::int64_t> own(place.begin(), place.begin() + batch);
    for (std::int64_t i = 0; i < indices[-1]; ++i) {
      std::vector<std::int64_t> at(place.begin(), behind);
      at.push_back(i);
      const std::int64_t index = reference::integer_at(inputs[1], reference::index_of(indices, at));
      const std::int64_t size = dims[static_cast<int>(batch + i)];
      if (index < -size || index >= size) throw Invalid("index " + std::to_string(index) + " lies outside the axis");
      own.push_back(index < 0 ? index + size : index);
    }
    own.insert(own.end(), behind, place.end());
    return reference::index_of(dims, own);
  });
}

}  // namespace graphopt
