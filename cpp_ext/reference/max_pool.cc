// What max_pool computes.

#include <limits>

#include "reference/pooling.h"

namespace graphopt {

void reference_max_pool(const Attributes& attributes, const std::vector<View>& inputs,
                        const std::vector<View>& outputs) {
  const View& x = inputs[0];
  const View& y = outputs[0];
  reference::each_window(attributes, x.layout.dims, y.layout.dims,
                         [&](std::int64_t i, const std::vector<std::int64_t>& window, std::int64_t) {
                           if (x.layout.type == Type::kF32) {
                             float most = std::numeric_limits<float>::lowest();
                             for (const std::int64_t index : window) {
                               if (reference::float_at(x, index) > most) most = reference::float_at(x, index);
                             }
                             reference::float_at(y, i) = most;
                             return;
                           }
                           std::int64_t most = x.layout.type == Type::kS8 ? -128 : 0;
                           for (const std::int64_t index : window) {
                             most = std::max(most, reference::integer_at(x, index));
                           }
                           static_cast<std::uint8_t*>(y.data)[i] = static_cast<std::uint8_t>(most);
                         });
}

}  // namespace graphopt
