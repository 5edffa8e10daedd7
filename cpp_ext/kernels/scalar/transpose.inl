// Transposition of bytes, one at a time, in blocks that stay in the cache.

namespace graphopt::kernels::scalar {

static void transpose_bytes(const uint8_t* from, size_t from_row, uint8_t* to, size_t to_row, size_t rows,
                            size_t columns) {
  constexpr size_t kBlock = 16;
  for (size_t first = 0; first < rows; first += kBlock) {
    const size_t end = first + kBlock < rows ? first + kBlock : rows;
    for (size_t column = 0; column < columns; ++column) {
      for (size_t row = first; row < end; ++row) to[column * to_row + row] = from[row * from_row + column];
    }
  }
}

}  // namespace graphopt::kernels::scalar
