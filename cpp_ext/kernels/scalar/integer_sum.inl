// Sums of codes in integers, one by one.

namespace graphopt::kernels::scalar {

static inline uint8_t integer_sum(uint8_t a, uint8_t b, const IntegerSum& sum) {
  const int32_t left = ((a ^ sum.a_flip) - 128) * 256;
  const int32_t right = ((b ^ sum.b_flip) - 128) * 256;
  const int32_t rest = (left * sum.a_low + right * sum.b_low + sum.start) >> 15;
  int32_t word = ((left * sum.a_high + right * sum.b_high + rest) >> 16) + sum.offset;
  word = (word > 32767 ? 32767 : word < -32768 ? -32768 : word) >> sum.shift;
  const int32_t code = word > sum.high ? sum.high : word < sum.low ? sum.low : word;
  return static_cast<uint8_t>(code ^ sum.y_flip);
}

static void add_integers(const uint8_t* a, const uint8_t* b, uint8_t* y, const Grid& grid, const IntegerSum& sum) {
  for (size_t row = 0; row < grid.rows; ++row, a += grid.a_row, b += grid.b_row, y += grid.y_row) {
    for (size_t i = 0; i < grid.columns; ++i) y[i] = integer_sum(a[i], b[i], sum);
  }
}

}  // namespace graphopt::kernels::scalar
