// What softmax computes.

#include <algorithm>

#include "reference/functions.h"
#include "reference/rows.h"

namespace graphopt {

void reference_softmax(const Attributes& attributes, const std::vector<View>& inputs,
                       const std::vector<View>& outputs) {
  if (inputs[0].layout.dims.count() == 0) return;
  for (std::int64_t row = 0; row < inputs[0].layout.dims.rows(); ++row) {
    std::vector<float> numbers = reference::row_at(attributes, inputs[0], row);
    float most = -INFINITY;
    for (const float x : numbers) most = std::max(most, x);
    for (float& x : numbers) x = reference::exp(x - most);
    const float factor = 1 / reference::sum_of(numbers);
    for (float& x : numbers) x *= factor;
    reference::put_row(attributes, outputs[0], row, numbers);
  }
}

}  // namespace graphopt
