// What matmul_f32 computes.

#include "reference/matrices.h"
#include "reference/numbers.h"

namespace graphopt {

void reference_matmul_f32(const Attributes& attributes, const std::vector<View>& inputs,
                          const std::vector<View>& outputs) {
  const Dims& a = inputs[0].layout.dims;
  const Dims& b = inputs[1].layout.dims;
  const Dims& y = outputs[0].layout.dims;
  const bool transpose = attributes.integer("transpose_b", 0) == 1;
  const std::int64_t rows = y[-2];
  const std::int64_t columns = y[-1];
  const std::int64_t depth = a[-1];
  for (std::int64_t i = 0; i < y.count(); ++i) {
    const std::int64_t n = i % columns;
    const std::int64_t batch = i / columns / rows;
    const std::int64_t left = (reference::matrix_of(a, y, batch) * rows + i / columns % rows) * depth;
    const std::int64_t right = reference::matrix_of(b, y, batch) * depth * columns;
    float sum = 0;
    for (std::int64_t k = 0; k < depth; ++k) {
      const std::int64_t other = right + (transpose ? n * depth + k : k * columns + n);
      sum = std::fma(reference::float_at(inputs[0], left + k), reference::float_at(inputs[1], other), sum);
    }
    reference::float_at(outputs[0], i) = sum * attributes.number("scale", 1);
  }
}

}  // namespace graphopt
