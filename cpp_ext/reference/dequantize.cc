// What dequantize computes: (x - zero) * scale.

#include "reference/numbers.h"

namespace graphopt {

void reference_dequantize(const Attributes& attributes, const std::vector<View>& inputs,
                          const std::vector<View>& outputs) {
  const Dims& from = inputs[0].layout.dims;
  const Dims& to = outputs[0].layout.dims;
  for (std::int64_t i = 0; i < from.count(); ++i) {
    std::vector<std::int64_t> place = reference::place_of(from, i);
    if (attributes.text("layout", "same") == "first") {
      place.insert(place.begin() + 1, place.back());
      place.pop_back();
    }
    // An s32 and its zero point wrap.
    const auto code = static_cast<std::uint32_t>(reference::integer_at(inputs[0], i));
    const auto zero = static_cast<std::uint32_t>(attributes.integer("zero"));
    const auto value = static_cast<float>(static_cast<std::int32_t>(code - zero));
    reference::float_at(outputs[0], reference::index_of(to, place)) = value * attributes.number("scale");
  }
}

}  // namespace graphopt
