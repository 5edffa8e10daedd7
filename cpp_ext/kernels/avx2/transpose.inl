// Transposition of bytes in blocks of 16 x 16: four rounds, each of which interleaves the upper half of the rows with
// the lower one.

namespace graphopt::kernels::avx2 {

// Up to 16 bytes, in pieces of a power of two.
static inline void copy_bytes(const uint8_t* from, uint8_t* to, size_t count) {
  if (count >= 16) {
    __builtin_memcpy(to, from, 16);
    return;
  }
  size_t done = 0;
  if ((count & 8) != 0) {
    __builtin_memcpy(to, from, 8);
    done = 8;
  }
  if ((count & 4) != 0) {
    __builtin_memcpy(to + done, from + done, 4);
    done += 4;
  }
  if ((count & 2) != 0) {
    __builtin_memcpy(to + done, from + done, 2);
    done += 2;
  }
  if ((count & 1) != 0) to[done] = from[done];
}

static inline void transpose_block(const uint8_t* from, size_t from_row, uint8_t* to, size_t to_row, size_t rows,
                                   size_t columns) {
  __m128i block[16];
  for (size_t row = 0; row < 16; ++row) {
    if (row >= rows) {
      block[row] = _mm_setzero_si128();
    } else if (columns >= 16) {
      block[row] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + row * from_row));
    } else {
      alignas(16) uint8_t part[16] = {};
      copy_bytes(from + row * from_row, part, columns);
      block[row] = _mm_load_si128(reinterpret_cast<const __m128i*>(part));
    }
  }
  for (int round = 0; round < 4; ++round) {
    __m128i mixed[16];
    for (size_t i = 0; i < 8; ++i) {
      mixed[2 * i] = _mm_unpacklo_epi8(block[i], block[i + 8]);
      mixed[2 * i + 1] = _mm_unpackhi_epi8(block[i], block[i + 8]);
    }
    for (size_t i = 0; i < 16; ++i) block[i] = mixed[i];
  }
  if (rows >= 16 && columns >= 16) {
    for (size_t i = 0; i < 16; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_row), block[i]);
    return;
  }
  alignas(16) uint8_t whole[256];
  for (size_t i = 0; i < 16; ++i) _mm_store_si128(reinterpret_cast<__m128i*>(whole + 16 * i), block[i]);
  for (size_t i = 0; i < (columns < 16 ? columns : 16); ++i) copy_bytes(whole + 16 * i, to + i * to_row, rows);
}

static void transpose_bytes(const uint8_t* from, size_t from_row, uint8_t* to, size_t to_row, size_t rows,
                            size_t columns) {
  for (size_t row = 0; row < rows; row += 16) {
    for (size_t column = 0; column < columns; column += 16) {
      transpose_block(from + row * from_row + column, from_row, to + column * to_row + row, to_row, rows - row,
                      columns - column);
    }
  }
}

}  // namespace graphopt::kernels::avx2
