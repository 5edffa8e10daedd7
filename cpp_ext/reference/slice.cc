// What slice computes.

#include <algorithm>

#include "reference/move.h"

namespace graphopt {

void reference_slice(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Dims& dims = inputs[0].layout.dims;
  const Integers& axes = attributes.integers("axes");
  const Integers steps = attributes.integers("steps", axes.size(), Integers(axes.size(), 1));
  reference::move(inputs[0], outputs[0], [&](std::vector<std::int64_t> place) {
    for (std::size_t i = 0; i < axes.size(); ++i) {
      const auto axis = static_cast<std::size_t>(axes[i] < 0 ? axes[i] + dims.rank() : axes[i]);
      const std::int64_t size = dims[static_cast<int>(axis)];
      std::int64_t start = inputs.size() > 1 ? reference::integer_at(inputs[1], static_cast<std::int64_t>(i))
                                             : attributes.integers("starts", axes.size())[i];
      if (start < 0) start += size;
      start = std::clamp<std::int64_t>(start, 0, steps[i] > 0 ? size : size - 1);
      place[axis] = start + place[axis] * steps[i];
    }
    return reference::index_of(dims, place);
  });
}

}  // namespace graphopt
