// What matmul_f32 computes.

#include "reference/float_products.h"
#include "reference/matrices.h"

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
    const float sum = matrix_product(
        depth, 0, [&](std::int64_t k) { return reference::float_at(inputs[0], left + k); },
        [&](std::int64_t k) {
          return reference::float_at(inputs[1], right + (transpose ? n * depth + k : k * columns + n));
        });
    reference::float_at(outputs[0], i) = sum * attributes.number("scale", 1);
  }
}

}  // namespace graphopt
