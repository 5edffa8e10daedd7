// What gru computes.

#include "reference/recurrent.h"

namespace graphopt {

void reference_gru(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Dims& y = outputs[0].layout.dims;  // T, D, B, H
  const std::int64_t size = y[3];
  const bool behind = attributes.has("reset_bias");
  for (std::int64_t index = 0; index < y[1] * y[2]; ++index) {
    const ReferenceLane lane(attributes, inputs, outputs[0], 3, index);
    Floats h = lane.state(1);
    lane.each_step([&](std::int64_t step) {
      const auto opening = [&](std::int64_t column) { return reference::sigmoid(lane.gate(step, column, h)); };
      Floats reset;
      for (std::int64_t n = 0; n < size; ++n) reset.push_back(opening(size + n) * h[static_cast<std::size_t>(n)]);
      Floats next;
      for (std::int64_t n = 0; n < size; ++n) {
        float g = 0;
        if (behind) {
          const float bias = attributes.array("reset_bias", Type::kF32).as<float>()[lane.direction() * size + n];
          const float product = lane.recall(h, 2 * size + n, bias);
          g = lane.read(step, 2 * size + n) + opening(size + n) * product;
        } else {
          g = lane.gate(step, 2 * size + n, reset);
        }
        g = reference::tanh(g);
        next.push_back(g + opening(n) * (h[static_cast<std::size_t>(n)] - g));
      }
      h = next;
      return h;
    });
  }
}

}  // namespace graphopt
