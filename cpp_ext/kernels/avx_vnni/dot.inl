// Sums of four products of u8 and s8.

namespace graphopt::kernels::avx_vnni {

struct Dot {
  static constexpr int kParts = 1;

  static inline __m256i weights(__m256i bytes, int) { return bytes; }

  static inline __m256i codes(__m256i bytes, int) { return bytes; }

  static inline __m256i add(__m256i sum, __m256i left, __m256i right) {
    return _mm256_dpbusd_avx_epi32(sum, left, right);
  }
};

}  // namespace graphopt::kernels::avx_vnni
