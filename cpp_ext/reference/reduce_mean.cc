// What reduce_mean computes.

#include "reference/pooling.h"

namespace graphopt {

void reference_reduce_mean(const Attributes& attributes, const std::vector<View>& inputs,
                           const std::vector<View>& outputs) {
  const Dims& x = inputs[0].layout.dims;
  std::vector<bool> taken(static_cast<std::size_t>(x.rank()));
  for (const std::int64_t axis : attributes.integers("axes")) {
    taken[static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis)] = true;
  }
  std::vector<std::vector<std::int64_t>> groups(static_cast<std::size_t>(outputs[0].layout.dims.count()));
  for (std::int64_t i = 0; i < x.count(); ++i) {
    const std::vector<std::int64_t> place = reference::place_of(x, i);
    std::int64_t group = 0;
    for (std::size_t axis = 0; axis < place.size(); ++axis) {
      if (!taken[axis]) group = group * x[static_cast<int>(axis)] + place[axis];
    }
    groups[static_cast<std::size_t>(group)].push_back(i);
  }
  for (std::size_t group = 0; group < groups.size(); ++group) {
    const std::vector<std::int64_t>& indices = groups[group];
    const auto count = static_cast<std::int64_t>(indices.size());
    const bool in_row = indices.back() - indices.front() == count - 1;
    reference::put_mean(attributes, inputs[0], indices, count, outputs[0], static_cast<std::int64_t>(group), in_row);
  }
}

}  // namespace graphopt
