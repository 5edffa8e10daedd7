// Sums of four products of u8 and s8 without vpdpbusd: vpmaddubsw would saturate, so bytes become words first, those
// of even places and those of odd ones.

namespace graphopt::kernels::avx2 {

struct Dot {
  static constexpr int kParts = 2;

  static inline __m256i weights(__m256i bytes, int part) {
    return _mm256_srai_epi16(part == 0 ? _mm256_slli_epi16(bytes, 8) : bytes, 8);
  }

  static inline __m256i codes(__m256i bytes, int part) {
    return part == 0 ? _mm256_and_si256(bytes, _mm256_set1_epi16(0xFF)) : _mm256_srli_epi16(bytes, 8);
  }

  static inline __m256i add(__m256i sum, __m256i left, __m256i right) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(left, right));
  }
};

}  // namespace graphopt::kernels::avx2
