// What layer_norm computes.

#include "reference/rows.h"

namespace graphopt {

void reference_layer_norm(const Attributes& attributes, const std::vector<View>& inputs,
                          const std::vector<View>& outputs) {
  if (inputs[0].layout.dims.count() == 0) return;
  const auto* gamma = attributes.array("gamma", Type::kF32).as<float>();
  const auto* beta = attributes.array("beta", Type::kF32).as<float>();
  const auto columns = static_cast<float>(inputs[0].layout.dims.columns());
  for (std::int64_t row = 0; row < inputs[0].layout.dims.rows(); ++row) {
    std::vector<float> numbers = reference::row_at(attributes, inputs[0], row);
    const float mean = reference::sum_of(numbers) / columns;
    std::vector<float> squares;
    for (const float x : numbers) squares.push_back((x - mean) * (x - mean));
    const float factor = 1 / std::sqrt(reference::sum_of(squares) / columns + attributes.number("epsilon"));
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = (numbers[i] - mean) * factor * gamma[i] + beta[i];
    reference::put_row(attributes, outputs[0], row, numbers);
  }
}

}  // namespace graphopt
