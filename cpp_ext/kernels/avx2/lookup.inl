// Table lookup by sixteen shuffles: each answers the bytes whose upper half names its row of the table.

namespace graphopt::kernels::avx2 {

static void lookup(const uint8_t* from, uint8_t* to, size_t count, const uint8_t* table) {
  __m256i rows[16];
  for (int row = 0; row < 16; ++row) {
    rows[row] = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * row)));
  }
  const __m256i step = _mm256_set1_epi8(16);
  const __m256i top = _mm256_set1_epi8(0x70);
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    __m256i left = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    __m256i found = _mm256_setzero_si256();
    for (int row = 0; row < 16; ++row) {
      // With saturation, all bytes but 0..15 get the top bit, for which a shuffle gives 0.
      found = _mm256_or_si256(found, _mm256_shuffle_epi8(rows[row], _mm256_adds_epu8(left, top)));
      left = _mm256_sub_epi8(left, step);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), found);
  }
  for (; i < count; ++i) to[i] = table[from[i]];
}

}  // namespace graphopt::kernels::avx2
