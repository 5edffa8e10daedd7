// Transposition, one element at a time, in blocks that stay in the cache.

namespace graphopt::kernels::scalar {

template <typename Element>
static inline void transpose(const Element* from, size_t from_row, Element* to, size_t to_row, size_t rows,
                             size_t columns) {
  constexpr size_t kBlock = 16;
  for (size_t first = 0; first < rows; first += kBlock) {
    const size_t end = first + kBlock < rows ? first + kBlock : rows;
    for (size_t column = 0; column < columns; ++column) {
      for (size_t row = first; row < end; ++row) to[column * to_row + row] = from[row * from_row + column];
    }
  }
}

static void transpose_bytes(const uint8_t* from, size_t from_row, uint8_t* to, size_t to_row, size_t rows,
                            size_t columns) {
  transpose(from, from_row, to, to_row, rows, columns);
}

static void transpose_words(const uint32_t* from, size_t from_row, uint32_t* to, size_t to_row, size_t rows,
                            size_t columns) {
  transpose(from, from_row, to, to_row, rows, columns);
}

}  // namespace graphopt::kernels::scalar
