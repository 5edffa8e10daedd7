// What pad computes.

#include <cstring>

#include "ops/padding.h"
#include "reference/numbers.h"

namespace graphopt {

void reference_pad(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Padding padding(attributes);
  const View& x = inputs[0];
  const View& y = outputs[0];
  const std::size_t size = size_of(x.layout.type);
  const auto value = padding.value(x.layout.type);
  for (std::int64_t i = 0; i < y.layout.dims.count(); ++i) {
    std::vector<std::int64_t> place = reference::place_of(y.layout.dims, i);
    bool inside = true;
    for (std::size_t axis = 0; axis < place.size(); ++axis) {
      place[axis] = padding.source(static_cast<int>(axis), place[axis], x.layout.dims);
      inside = inside && place[axis] >= 0;
    }
    const auto at = inside ? static_cast<std::size_t>(reference::index_of(x.layout.dims, place)) * size : 0;
    std::memcpy(static_cast<char*>(y.data) + static_cast<std::size_t>(i) * size,
                inside ? static_cast<const unsigned char*>(x.data) + at : value.data(), size);
  }
}

}  // namespace graphopt
