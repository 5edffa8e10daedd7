// What quantize computes: clamp(nearest_even(x / scale)) + zero.

#include "reference/numbers.h"

namespace graphopt {

void reference_quantize(const Attributes& attributes, const std::vector<View>& inputs,
                        const std::vector<View>& outputs) {
  const reference::Encoder encoder(attributes.type("type"), attributes.integer("zero"));
  const Dims& from = inputs[0].layout.dims;
  const Dims& to = outputs[0].layout.dims;
  for (std::int64_t i = 0; i < from.count(); ++i) {
    std::vector<std::int64_t> place = reference::place_of(from, i);
    if (attributes.text("layout", "same") == "last") {
      place.push_back(place[1]);
      place.erase(place.begin() + 1);
    }
    encoder.put(outputs[0], reference::index_of(to, place), reference::float_at(inputs[0], i) / attributes.number("scale"));
  }
}

}  // namespace graphopt
