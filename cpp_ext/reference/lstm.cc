// What lstm computes.

#include "reference/recurrent.h"

namespace graphopt {

void reference_lstm(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Dims& y = outputs[0].layout.dims;  // T, D, B, H
  const std::int64_t size = y[3];
  for (std::int64_t index = 0; index < y[1] * y[2]; ++index) {
    const ReferenceLane lane(attributes, inputs, outputs[0], 4, index);
    Floats h = lane.state(1);
    Floats c = lane.state(2);
    lane.each_step([&](std::int64_t step) {
      const auto gate = [&](std::int64_t column) { return lane.gate(step, column, h); };
      Floats next;
      for (std::int64_t n = 0; n < size; ++n) {
        float& state = c[static_cast<std::size_t>(n)];
        const float kept = reference::sigmoid(gate(2 * size + n)) * state;
        const float added = reference::sigmoid(gate(n)) * reference::tanh(gate(3 * size + n));
        state = kept + added;
        next.push_back(reference::sigmoid(gate(size + n)) * reference::tanh(state));
      }
      h = next;
      return h;
    });
    if (attributes.integer("keep", 0) == 1) lane.write(inputs[0].layout.dims[0], c);
  }
}

}  // namespace graphopt
