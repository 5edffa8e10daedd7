// What matmul computes.

#include "ops/codes.h"
#include "reference/epilogue.h"
#include "reference/matrices.h"

namespace graphopt {

void reference_matmul(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const Dims& a = inputs[0].layout.dims;
  const Dims& b = inputs[1].layout.dims;
  const Dims& y = outputs[0].layout.dims;
  const bool transpose = attributes.integer("transpose_b", 0) == 1;
  const float scale = attributes.number("a_scale") * attributes.number("b_scale");
  const ReferenceEpilogue epilogue(attributes, std::vector<float>(static_cast<std::size_t>(y[-1]), scale));
  const std::int64_t rows = y[-2];
  const std::int64_t columns = y[-1];
  const std::int64_t depth = a[-1];
  for (std::int64_t i = 0; i < y.count(); ++i) {
    const std::int64_t n = i % columns;
    const std::int64_t row = i / columns % rows;
    const std::int64_t batch = i / columns / rows;
    const std::int64_t left = (reference::matrix_of(a, y, batch) * rows + row) * depth;
    const std::int64_t right = reference::matrix_of(b, y, batch) * depth * columns;
    std::int64_t acc = 0;
    for (std::int64_t k = 0; k < depth; ++k) {
      const double weight = read(inputs[1], right + (transpose ? n * depth + k : k * columns + n));
      acc += (static_cast<std::int64_t>(read(inputs[0], left + k)) - attributes.integer("a_zero")) *
             (static_cast<std::int64_t>(weight) - attributes.integer("b_zero"));
    }
    write(outputs[0], i, epilogue.value(static_cast<std::int32_t>(acc), n, 0));
  }
}

}  // namespace graphopt
