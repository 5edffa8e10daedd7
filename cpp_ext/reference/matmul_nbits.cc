// What matmul_nbits computes.

#include <algorithm>

#include "reference/numbers.h"

namespace graphopt {

void reference_matmul_nbits(const Attributes& attributes, const std::vector<View>& inputs,
                            const std::vector<View>& outputs) {
  const std::int64_t bits = attributes.integer("bits");
  const std::int64_t block = attributes.integer("block");
  const std::int64_t depth = attributes.integer("depth");
  const Array& weights = attributes.array("weights", Type::kU8);
  const std::int64_t columns = weights.dims[0];
  const std::int64_t blocks = weights.dims[1];
  // Code `index` of row `n` of an array of packed rows.
  const auto code = [&](const Array& codes, std::int64_t n, std::int64_t index) {
    const std::int64_t bytes = codes.dims.count() / columns;
    const int byte = codes.as<std::uint8_t>()[n * bytes + index * bits / 8];
    return (byte >> (index * bits % 8)) & ((1 << bits) - 1);
  };
  for (std::int64_t row = 0; row < outputs[0].layout.dims.rows(); ++row) {
    for (std::int64_t n = 0; n < columns; ++n) {
      float y = attributes.has("bias") ? attributes.array("bias", Type::kF32).as<float>()[n] : 0;
      for (std::int64_t i = 0; i < blocks; ++i) {
        const int zero = attributes.has("zeros") ? code(attributes.array("zeros", Type::kU8), n, i) : 1 << (bits - 1);
        float sum = 0;
        for (std::int64_t k = i * block; k < std::min((i + 1) * block, depth); ++k) {
          const auto weight = static_cast<float>(code(weights, n, k) - zero);
          sum = std::fma(reference::float_at(inputs[0], row * depth + k), weight, sum);
        }
        y = std::fma(sum, attributes.array("scales", Type::kF32).as<float>()[n * blocks + i], y);
      }
      reference::float_at(outputs[0], row * columns + n) = y;
    }
  }
}

}  // namespace graphopt
