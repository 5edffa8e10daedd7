// Table lookup, a byte at a time.

namespace graphopt::kernels::scalar {

static void lookup(const uint8_t* from, uint8_t* to, size_t count, const uint8_t* table) {
  for (size_t i = 0; i < count; ++i) to[i] = table[from[i]];
}

}  // namespace graphopt::kernels::scalar
