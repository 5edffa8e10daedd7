// Rows of numbers, read and written as f32 or codes; sums in the order that operators keep to.
#pragma once

#include "reference/numbers.h"

namespace graphopt::reference {

// Of codes, what they stand for.
inline float number_at(const Attributes& attributes, const View& x, std::int64_t i) {
  if (x.layout.type == Type::kF32) return float_at(x, i);
  return static_cast<float>(integer_at(x, i) - attributes.integer("x_zero")) * attributes.number("x_scale");
}

inline std::vector<float> row_at(const Attributes& attributes, const View& x, std::int64_t row) {
  std::vector<float> numbers;
  const std::int64_t columns = x.layout.dims.columns();
  for (std::int64_t i = row * columns; i < (row + 1) * columns; ++i) {
    numbers.push_back(number_at(attributes, x, i));
  }
  return numbers;
}

inline void put_row(const Attributes& attributes, const View& y, std::int64_t row, const std::vector<float>& numbers) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const std::int64_t index = row * y.layout.dims.columns() + static_cast<std::int64_t>(i);
    if (y.layout.type == Type::kF32) {
      float_at(y, index) = numbers[i];
    } else {
      Encoder(attributes, "y_").put(y, index, numbers[i] / attributes.number("y_scale"));
    }
  }
}

// 16 sums of every 16th number, then each of the first half of these and the one so far behind it, until one is left.
template <typename Number = float>
Number sum_of(const std::vector<float>& numbers) {
  Number lanes[16] = {};
  for (std::size_t i = 0; i < numbers.size(); ++i) lanes[i % 16] += static_cast<Number>(numbers[i]);
  for (const std::size_t half : {8, 4, 2, 1}) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

// Of differences from a mean: 8 sums of every 8th square, these added up likewise, then the numbers behind the last 8.
inline float sum_of_squares(const std::vector<float>& numbers, float mean) {
  const std::size_t whole = numbers.size() / 8 * 8;
  const auto add = [&](float& sum, float x) { sum = std::fma(x - mean, x - mean, sum); };
  float lanes[8] = {};
  for (std::size_t i = 0; i < whole; ++i) add(lanes[i % 8], numbers[i]);
  for (const std::size_t half : {4, 2, 1}) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  for (std::size_t i = whole; i < numbers.size(); ++i) add(lanes[0], numbers[i]);
  return lanes[0];
}

}  // namespace graphopt::reference
