// What layer_norm computes.

#include "reference/rows.h"

namespace graphopt {

void reference_layer_norm(const Attributes& attributes, const std::vector<View>& inputs,
                          const std::vector<View>& outputs) {
  if (inputs[0].layout.dims.count() == 0) return;
  const auto* gamma = attributes.array("gamma", Type::kF32).as<float>();
  const auto* beta = attributes.array("beta", Type::kF32).as<float>();
  const bool centred = !attributes.has("centred") || attributes.integer("centred") == 1;
  const std::int64_t columns = inputs[0].layout.dims.columns();
  for (std::int64_t row = 0; row < inputs[0].layout.dims.rows(); ++row) {
    std::vector<float> numbers = reference::row_at(attributes, inputs[0], row);
    float mean = 0;
    if (centred) mean = static_cast<float>(reference::sum_of<double>(numbers) / static_cast<double>(columns));
    const float variance = reference::sum_of_squares(numbers, mean) / static_cast<float>(columns);
    const float factor = 1 / std::sqrt(variance + attributes.number("epsilon"));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      numbers[i] = std::fma((numbers[i] - mean) * factor, gamma[i], beta[i]);
    }
    reference::put_row(attributes, outputs[0], row, numbers);
  }
}

}  // namespace graphopt
