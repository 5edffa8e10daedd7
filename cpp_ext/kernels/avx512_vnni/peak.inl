// Products of codes in registers. Assembler, for compilers move what has no other use.

namespace graphopt::kernels::avx512_vnni {

#define GRAPHOPT_DOT(sum) "vpdpbusd %[weights], %[codes], %" sum "\n\t"
static int64_t peak(int64_t rounds, int32_t* sink) {
  const __m512i codes = _mm512_set1_epi32(*sink);
  const __m512i weights = _mm512_set1_epi32(*sink + 1);
  // More sums than a sum takes cycles, times two a cycle.
  __m512i a = codes, b = codes, c = codes, d = codes, e = codes, f = codes;
  __m512i g = codes, h = codes, i = codes, j = codes, k = codes, l = codes;
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
        : "+v"(a), "+v"(b), "+v"(c), "+v"(d), "+v"(e), "+v"(f), "+v"(g), "+v"(h), "+v"(i), "+v"(j), "+v"(k), "+v"(l)
        : [codes] "v"(codes), [weights] "v"(weights));
  }
  const __m512i left = _mm512_xor_si512(_mm512_xor_si512(a, b), _mm512_xor_si512(c, d));
  const __m512i right = _mm512_xor_si512(_mm512_xor_si512(e, f), _mm512_xor_si512(g, h));
  const __m512i both = _mm512_xor_si512(_mm512_xor_si512(_mm512_xor_si512(left, right), _mm512_xor_si512(i, j)), _mm512_xor_si512(k, l));
  *sink = _mm512_cvtsi512_si32(both);
  return rounds * 12 * 64;
}

#undef GRAPHOPT_DOT

}  // namespace graphopt::kernels::avx512_vnni
