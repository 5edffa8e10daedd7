// What lrn computes.

#include <algorithm>
#include <cmath>

#include "reference/rows.h"

namespace graphopt {

namespace {

float power_of(float x, std::int64_t quarters) {
  if (quarters == 4) return x;
  const float root = std::sqrt(x);
  if (quarters == 2) return root;
  return quarters == 1 ? std::sqrt(root) : root * std::sqrt(root);
}

}  // namespace

void reference_lrn(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  if (inputs[0].layout.dims.count() == 0) return;
  const std::int64_t size = attributes.integer("size");
  const std::int64_t columns = inputs[0].layout.dims.columns();
  const float factor = attributes.number("alpha") / static_cast<float>(size);
  for (std::int64_t row = 0; row < inputs[0].layout.dims.rows(); ++row) {
    const std::vector<float> numbers = reference::row_at(attributes, inputs[0], row);
    std::vector<float> results;
    for (std::int64_t i = 0; i < columns; ++i) {
      float sum = 0;
      for (std::int64_t at = i - (size - 1) / 2; at <= i + size / 2; ++at) {
        if (at >= 0 && at < columns) sum += numbers[static_cast<std::size_t>(at)] * numbers[static_cast<std::size_t>(at)];
      }
      const float base = attributes.number("bias") + factor * sum;
      results.push_back(numbers[static_cast<std::size_t>(i)] / power_of(base, attributes.integer("quarters")));
    }
    reference::put_row(attributes, outputs[0], row, results);
  }
}

}  // namespace graphopt
