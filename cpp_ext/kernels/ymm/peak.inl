// Products of codes in registers. Assembler, for compilers move what has no other use.

namespace graphopt::kernels::GRAPHOPT_TIER {

static int64_t peak(int64_t rounds, int32_t* sink) {
  const __m256i codes = _mm256_set1_epi32(*sink);
  const __m256i weights = _mm256_set1_epi32(*sink + 1);
  // More sums than a sum takes cycles, times two a cycle.
  __m256i a = codes, b = codes, c = codes, d = codes, e = codes, f = codes;
  __m256i g = codes, h = codes, i = codes, j = codes, k = codes, l = codes;
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile(
        GRAPHOPT_DOT("0")
        GRAPHOPT_DOT("1")
        GRAPHOPT_DOT("2")
        GRAPHOPT_DOT("3")
        GRAPHOPT_DOT("4")
        GRAPHOPT_DOT("5")
        GRAPHOPT_DOT("6")
        GRAPHOPT_DOT("7")
        GRAPHOPT_DOT("8")
        GRAPHOPT_DOT("9")
        GRAPHOPT_DOT("10")
        GRAPHOPT_DOT("11")
        : "+x"(a), "+x"(b), "+x"(c), "+x"(d), "+x"(e), "+x"(f), "+x"(g), "+x"(h), "+x"(i), "+x"(j), "+x"(k), "+x"(l)
        : [codes] "x"(codes), [weights] "x"(weights)
        : "xmm15");
  }
  const __m256i left = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
  const __m256i right = _mm256_xor_si256(_mm256_xor_si256(e, f), _mm256_xor_si256(g, h));
  const __m256i both = _mm256_xor_si256(_mm256_xor_si256(_mm256_xor_si256(left, right), _mm256_xor_si256(i, j)), _mm256_xor_si256(k, l));
  *sink = _mm256_extract_epi32(both, 0);
  return rounds * 12 * 32 / Dot::kParts;
}

}  // namespace graphopt::kernels::GRAPHOPT_TIER
