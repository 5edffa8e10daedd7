// Sums of codes: differences from zero, eight at a time.

namespace graphopt::kernels::avx2 {

static int32_t row_sum(const uint8_t* from, int64_t count, bool flip) {
  const __m256i mask = _mm256_set1_epi8(static_cast<char>(flip ? 0x80 : 0));
  __m256i sums = _mm256_setzero_si256();
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i codes = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i)), mask);
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(codes, _mm256_setzero_si256()));
  }
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  uint32_t sum = static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_add_epi64(half, _mm_unpackhi_epi64(half, half))));
  for (; i < count; ++i) sum += static_cast<uint32_t>(from[i] ^ (flip ? 0x80 : 0));
  return static_cast<int32_t>(sum);
}

}  // namespace graphopt::kernels::avx2
