// Windows, as references walk over them.
#pragma once

#include "reference/rows.h"

namespace graphopt::reference {

// Calls each(y_index, x_indices, count) for each element of the output: what its window holds, and how many of its
// places lie in the padded image.
template <typename Each>
void each_window(const Attributes& attributes, const Dims& x, const Dims& y, const Each& each) {
  const Integers& kernel = attributes.integers("kernel", 2);
  const Integers& strides = attributes.integers("strides", 2);
  const Integers& pads = attributes.integers("pads", 4);
  const Integers dilations = attributes.integers("dilations", 2, {1, 1});
  for (std::int64_t i = 0; i < y.count(); ++i) {
    const std::vector<std::int64_t> place = place_of(y, i);
    std::vector<std::int64_t> indices;
    std::int64_t count = 0;
    for (std::int64_t row = 0; row < kernel[0]; ++row) {
      for (std::int64_t column = 0; column < kernel[1]; ++column) {
        const std::int64_t h = place[1] * strides[0] - pads[0] + row * dilations[0];
        const std::int64_t w = place[2] * strides[1] - pads[1] + column * dilations[1];
        if (h < x[1] + pads[2] && w < x[2] + pads[3]) ++count;
        if (h >= 0 && h < x[1] && w >= 0 && w < x[2]) indices.push_back(index_of(x, {place[0], h, w, place[3]}));
      }
    }
    each(i, indices, count);
  }
}

// The mean of some elements as that of `count`, of f32 or codes: nearest_even((sum - n * x_zero) * (x_scale / (y_scale *
// count))) + y_zero. `in_row`: floats are added up as in rows.
inline void put_mean(const Attributes& attributes, const View& x, const std::vector<std::int64_t>& indices,
                     std::int64_t count, const View& y, std::int64_t i, bool in_row = false) {
  if (x.layout.type == Type::kF32) {
    std::vector<float> numbers;
    for (const std::int64_t index : indices) numbers.push_back(float_at(x, index));
    float sum = 0;
    for (const float number : numbers) sum += number;
    float_at(y, i) = (in_row ? sum_of(numbers) : sum) / static_cast<float>(count);
    return;
  }
  std::int64_t sum = 0;
  for (const std::int64_t index : indices) sum += integer_at(x, index) - attributes.integer("x_zero");
  const float factor = attributes.number("x_scale") / (attributes.number("y_scale") * static_cast<float>(count));
  Encoder(attributes, "y_").put(y, i, static_cast<float>(sum) * factor);
}

}  // namespace graphopt::reference
