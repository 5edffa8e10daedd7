// Accumulators to codes, one at a time.

namespace graphopt::kernels::scalar {

// Clamped first: then adding and taking away 1.5 * 2^23 rounds to the nearest, halves to even.
static inline uint8_t to_code(int32_t acc, float scale, const Requantize& out) {
  const float low = static_cast<float>(out.low - out.zero);
  const float high = static_cast<float>(out.high - out.zero);
  float number = static_cast<float>(acc) * scale;
  number = number < low ? low : number;
  number = number > high ? high : number;
  const float shifted = number + 12582912.0f;
  return static_cast<uint8_t>(static_cast<int32_t>(shifted - 12582912.0f) + out.zero);
}

}  // namespace graphopt::kernels::scalar
