// Sums of codes.

namespace graphopt::kernels::scalar {

static int32_t row_sum(const uint8_t* from, int64_t count, bool flip) {
  const uint8_t mask = flip ? 0x80 : 0;
  uint32_t sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<uint32_t>(from[i] ^ mask);
  return static_cast<int32_t>(sum);
}

}  // namespace graphopt::kernels::scalar
