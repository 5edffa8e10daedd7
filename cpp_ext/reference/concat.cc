// What concat computes: elements in order; codes as if they were dequantized and quantized.

#include <cstring>

#include "reference/numbers.h"

namespace graphopt {

void reference_concat(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const View& y = outputs[0];
  const std::size_t size = size_of(y.layout.type);
  const std::int64_t given = attributes.integer("axis");
  const auto axis = static_cast<std::size_t>(given < 0 ? given + y.layout.dims.rank() : given);
  std::int64_t begin = 0;
  for (std::size_t input = 0; input < inputs.size(); ++input) {
    const View& x = inputs[input];
    for (std::int64_t i = 0; i < x.layout.dims.count(); ++i) {
      std::vector<std::int64_t> place = reference::place_of(x.layout.dims, i);
      place[axis] += begin;
      const std::int64_t index = reference::index_of(y.layout.dims, place);
      if (attributes.has("y_type")) {
        const auto steps = static_cast<float>(reference::integer_at(x, i) - attributes.integers("zeros", inputs.size())[input]);
        const float value = steps * attributes.numbers("scales")[input];
        reference::Encoder(attributes, "y_").put(y, index, value / attributes.number("y_scale"));
      } else {
        std::memcpy(static_cast<char*>(y.data) + index * static_cast<std::int64_t>(size),
                    static_cast<const char*>(x.data) + i * static_cast<std::int64_t>(size), size);
      }
    }
    begin += x.layout.dims[static_cast<int>(axis)];
  }
}

}  // namespace graphopt
