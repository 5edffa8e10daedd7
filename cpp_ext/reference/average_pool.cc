// What average_pool computes.

#include "reference/pooling.h"

namespace graphopt {

void reference_average_pool(const Attributes& attributes, const std::vector<View>& inputs,
                            const std::vector<View>& outputs) {
  const bool with_padding = attributes.integer("count_include_pad", 0) == 1;
  reference::each_window(attributes, inputs[0].layout.dims, outputs[0].layout.dims,
                         [&](std::int64_t i, const std::vector<std::int64_t>& window, std::int64_t count) {
                           const auto held = static_cast<std::int64_t>(window.size());
                           reference::put_mean(attributes, inputs[0], window, with_padding ? count : held, outputs[0], i);
                         });
}

}  // namespace graphopt
