// What lstm computes.

#include "reference/float_products.h"
#include "reference/functions.h"

namespace graphopt {

void reference_lstm(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const auto* weights = attributes.array("weights", Type::kF32).as<float>();
  const auto* recurrence = attributes.array("recurrence", Type::kF32).as<float>();
  const auto* bias = attributes.array("bias", Type::kF32).as<float>();
  const Dims& x = inputs[0].layout.dims;
  const Dims& y = outputs[0].layout.dims;  // T, D, B, H
  const std::int64_t size = y[3];
  for (std::int64_t lane = 0; lane < y[1] * y[2]; ++lane) {
    const std::int64_t direction = lane / y[2];
    const std::int64_t row = lane % y[2];
    const bool reverse = direction == 1 || attributes.integer("reverse", 0) == 1;
    std::vector<float> c(static_cast<std::size_t>(size));
    std::vector<float> h(static_cast<std::size_t>(size));
    for (std::int64_t n = 0; n < size && inputs.size() == 3; ++n) {
      h[static_cast<std::size_t>(n)] = reference::float_at(inputs[1], lane * size + n);
      c[static_cast<std::size_t>(n)] = reference::float_at(inputs[2], lane * size + n);
    }
    for (std::int64_t i = 0; i < y[0]; ++i) {
      const std::int64_t step = reverse ? y[0] - 1 - i : i;
      const auto gate = [&](std::int64_t column) {
        const std::int64_t at = direction * 4 * size + column;
        const float read = matrix_product(
            x[2], bias[at],
            [&](std::int64_t k) { return reference::float_at(inputs[0], (step * x[1] + row) * x[2] + k); },
            [&](std::int64_t k) { return weights[at * x[2] + k]; });
        PartSum sum;
        sum.end_part();
        sum.add_whole(read);
        for (std::int64_t k = 0; k < size; ++k) {
          sum.add(h[static_cast<std::size_t>(k)], recurrence[at * size + k]);
          if (k + 1 == size || (k + 1) % 256 == 0) sum.end_part();
        }
        return sum.total();
      };
      std::vector<float> next;
      for (std::int64_t n = 0; n < size; ++n) {
        float& state = c[static_cast<std::size_t>(n)];
        const float kept = reference::sigmoid(gate(2 * size + n)) * state;
        const float added = reference::sigmoid(gate(n)) * reference::tanh(gate(3 * size + n));
        state = kept + added;
        next.push_back(reference::sigmoid(gate(size + n)) * reference::tanh(state));
        reference::float_at(outputs[0], ((step * y[1] + direction) * y[2] + row) * size + n) = next.back();
      }
      h = next;
    }
  }
}

}  // namespace graphopt
