// What resize computes: the nearest pixel, or what lies between four, first across and then down.

#include "ops/coordinates.h"
#include "reference/numbers.h"

namespace graphopt {

void reference_resize(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Coordinates coordinates(attributes);
  const View& x = inputs[0];
  const View& y = outputs[0];
  const Dims& dims = x.layout.dims;
  const Type type = x.layout.type;
  // Codes count from the least, so that signed ones come out as unsigned ones do.
  const float least = type == Type::kS8 ? -128 : 0;
  const auto value = [&](const std::vector<std::int64_t>& place) {
    const std::int64_t index = reference::index_of(dims, place);
    if (type == Type::kF32) return reference::float_at(x, index);
    return static_cast<float>(reference::integer_at(x, index)) - least;
  };
  const auto put = [&](std::int64_t i, float result) {
    if (type == Type::kF32) {
      reference::float_at(y, i) = result;
    } else {
      static_cast<std::uint8_t*>(y.data)[i] = static_cast<std::uint8_t>(static_cast<int>(std::nearbyint(result) + least));
    }
  };
  for (std::int64_t i = 0; i < y.layout.dims.count(); ++i) {
    const std::vector<std::int64_t> at = reference::place_of(y.layout.dims, i);
    if (attributes.text("mode") == "nearest") {
      put(i, value({at[0], coordinates.nearest(0, at[1], dims[1]), coordinates.nearest(1, at[2], dims[2]), at[3]}));
      continue;
    }
    const Coordinates::Between down = coordinates.between(0, at[1], dims[1]);
    const Coordinates::Between across = coordinates.between(1, at[2], dims[2]);
    const auto line = [&](std::int64_t row) {
      const float left = value({at[0], row, across.first, at[3]});
      const float right = value({at[0], row, across.second, at[3]});
      return left + (right - left) * across.weight;
    };
    const float top = line(down.first);
    put(i, top + (line(down.second) - top) * down.weight);
  }
}

}  // namespace graphopt
