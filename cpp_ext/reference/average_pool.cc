// What average_pool computes: of codes what it does of the numbers that they stand for, as QLinearAveragePool of
// onnxruntime does, clamp(nearest_even(sum / count / y_scale + y_zero)).

#include "reference/pooling.h"

namespace graphopt {

void reference_average_pool(const Attributes& attributes, const std::vector<View>& inputs,
                            const std::vector<View>& outputs) {
  const bool with_padding = attributes.integer("count_include_pad", 0) == 1;
  const View& x = inputs[0];
  const View& y = outputs[0];
  reference::each_window(attributes, x.layout.dims, y.layout.dims,
                         [&](std::int64_t i, const std::vector<std::int64_t>& window, std::int64_t count) {
                           if (!with_padding) count = static_cast<std::int64_t>(window.size());
                           if (x.layout.type == Type::kF32) return reference::put_mean(attributes, x, window, count, y, i);
                           float sum = 0;
                           for (const std::int64_t index : window) sum += reference::number_at(attributes, x, index);
                           const reference::Encoder encoder(attributes, "y_");
                           const float mean = sum / static_cast<float>(count) / attributes.number("y_scale");
                           const float value = mean + static_cast<float>(encoder.zero());
                           static_cast<std::uint8_t*>(y.data)[i] = static_cast<std::uint8_t>(encoder.shifted_code(value));
                         });
}

}  // namespace graphopt
