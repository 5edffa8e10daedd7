// What softmax computes.

#include <algorithm>

#include "reference/rows.h"

namespace graphopt {

void reference_softmax(const Attributes& attributes, const std::vector<View>& inputs,
                       const std::vector<View>& outputs) {
  if (inputs[0].layout.dims.count() == 0) return;
  for (std::int64_t row = 0; row < inputs[0].layout.dims.rows(); ++row) {
    std::vector<float> numbers = reference::row_at(attributes, inputs[0], row);
    float most = -INFINITY;
    for (const float x : numbers) most = std::max(most, x);
    for (float& x : numbers) x = std::exp(x - most);
    const float total = reference::sum_of(numbers);
    for (float& x : numbers) x /= total;
    reference::put_row(attributes, outputs[0], row, numbers);
  }
}

}  // namespace graphopt
