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

// Up to four rows, each column right behind the one before, as images of few channels have them.
static void interleave_rows(const uint8_t* from, size_t from_row, uint8_t* to, size_t rows, size_t columns) {
  if (rows == 1) {
    __builtin_memcpy(to, from, columns);
    return;
  }
  const __m128i triples = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  size_t column = 0;
  for (; column + 16 <= columns; column += 16, to += 16 * rows) {
    __m128i row[4];
    for (size_t i = 0; i < 4; ++i) {
      row[i] = i < rows ? _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_row + column))
                        : _mm_setzero_si128();
    }
    auto* place = reinterpret_cast<__m128i*>(to);
    const __m128i left[2] = {_mm_unpacklo_epi8(row[0], row[1]), _mm_unpackhi_epi8(row[0], row[1])};
    if (rows == 2) {
      _mm_storeu_si128(place, left[0]);
      _mm_storeu_si128(place + 1, left[1]);
      continue;
    }
    const __m128i right[2] = {_mm_unpacklo_epi8(row[2], row[3]), _mm_unpackhi_epi8(row[2], row[3])};
    const __m128i all[4] = {_mm_unpacklo_epi16(left[0], right[0]), _mm_unpackhi_epi16(left[0], right[0]),
                            _mm_unpacklo_epi16(left[1], right[1]), _mm_unpackhi_epi16(left[1], right[1])};
    if (rows == 4) {
      for (size_t i = 0; i < 4; ++i) _mm_storeu_si128(place + i, all[i]);
      continue;
    }
    // Each store but the last writes four bytes that the next one writes again.
    for (size_t i = 0; i < 3; ++i) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 12 * i), _mm_shuffle_epi8(all[i], triples));
    }
    alignas(16) uint8_t last[16];
    _mm_store_si128(reinterpret_cast<__m128i*>(last), _mm_shuffle_epi8(all[3], triples));
    __builtin_memcpy(to + 36, last, 12);
  }
  for (; column < columns; ++column, to += rows) {
    for (size_t i = 0; i < rows; ++i) to[i] = from[i * from_row + column];
  }
}

// The other way round: up to four columns, each row right behind the one before.
static void separate_columns(const uint8_t* from, uint8_t* to, size_t to_row, size_t rows, size_t columns) {
  if (columns == 1) {
    __builtin_memcpy(to, from, rows);
    return;
  }
  // The same column of the rows of 16 bytes side by side; those of three columns lie in the first 12, or the last.
  const __m128i pairs = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  const __m128i fours = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m128i triples = _mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1);
  const __m128i last_triples = _mm_add_epi8(triples, _mm_set1_epi8(4));
  size_t row = 0;
  for (; row + 16 <= rows; row += 16, from += 16 * columns) {
    const auto part = [&](size_t at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + at)); };
    const auto put = [&](size_t column, __m128i bytes) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + column * to_row + row), bytes);
    };
    if (columns == 2) {
      const __m128i left = _mm_shuffle_epi8(part(0), pairs);
      const __m128i right = _mm_shuffle_epi8(part(16), pairs);
      put(0, _mm_unpacklo_epi64(left, right));
      put(1, _mm_unpackhi_epi64(left, right));
      continue;
    }
    __m128i quarter[4];
    for (size_t i = 0; i < 4; ++i) {
      if (columns == 4) {
        quarter[i] = _mm_shuffle_epi8(part(16 * i), fours);
      } else {
        quarter[i] = i < 3 ? _mm_shuffle_epi8(part(12 * i), triples) : _mm_shuffle_epi8(part(32), last_triples);
      }
    }
    const __m128i low[2] = {_mm_unpacklo_epi32(quarter[0], quarter[1]), _mm_unpacklo_epi32(quarter[2], quarter[3])};
    const __m128i high[2] = {_mm_unpackhi_epi32(quarter[0], quarter[1]), _mm_unpackhi_epi32(quarter[2], quarter[3])};
    put(0, _mm_unpacklo_epi64(low[0], low[1]));
    put(1, _mm_unpackhi_epi64(low[0], low[1]));
    put(2, _mm_unpacklo_epi64(high[0], high[1]));
    if (columns == 4) put(3, _mm_unpackhi_epi64(high[0], high[1]));
  }
  for (; row < rows; ++row, from += columns) {
    for (size_t i = 0; i < columns; ++i) to[i * to_row + row] = from[i];
  }
}

static void transpose_bytes(const uint8_t* from, size_t from_row, uint8_t* to, size_t to_row, size_t rows,
                            size_t columns) {
  if (rows <= 4 && to_row == rows) return interleave_rows(from, from_row, to, rows, columns);
  if (columns <= 4 && from_row == columns) return separate_columns(from, to, to_row, rows, columns);
  for (size_t row = 0; row < rows; row += 16) {
    for (size_t column = 0; column < columns; column += 16) {
      transpose_block(from + row * from_row + column, from_row, to + column * to_row + row, to_row, rows - row,
                      columns - column);
    }
  }
}

// Words in blocks of 8 x 8, and one by one where blocks end.
static void transpose_words(const uint32_t* from, size_t from_row, uint32_t* to, size_t to_row, size_t rows,
                            size_t columns) {
  const size_t whole_rows = rows / 8 * 8;
  const size_t whole_columns = columns / 8 * 8;
  for (size_t row = 0; row < whole_rows; row += 8) {
    for (size_t column = 0; column < whole_columns; column += 8) {
      __m256 block[8];
      for (size_t i = 0; i < 8; ++i) {
        block[i] = _mm256_loadu_ps(reinterpret_cast<const float*>(from + (row + i) * from_row + column));
      }
      __m256 pairs[8];
      for (size_t i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(block[i], block[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(block[i], block[i + 1]);
      }
      __m256 fours[8];
      for (size_t i = 0; i < 8; i += 4) {
        for (size_t half = 0; half < 2; ++half) {
          fours[i + 2 * half] = _mm256_shuffle_ps(pairs[i + half], pairs[i + half + 2], 0x44);
          fours[i + 2 * half + 1] = _mm256_shuffle_ps(pairs[i + half], pairs[i + half + 2], 0xEE);
        }
      }
      for (size_t i = 0; i < 4; ++i) {
        auto* low = reinterpret_cast<float*>(to + (column + i) * to_row + row);
        auto* high = reinterpret_cast<float*>(to + (column + i + 4) * to_row + row);
        _mm256_storeu_ps(low, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20));
        _mm256_storeu_ps(high, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31));
      }
    }
  }
  for (size_t column = 0; column < columns; ++column) {
    const size_t begin = column < whole_columns ? whole_rows : 0;
    for (size_t row = begin; row < rows; ++row) to[column * to_row + row] = from[row * from_row + column];
  }
}

}  // namespace graphopt::kernels::avx2
