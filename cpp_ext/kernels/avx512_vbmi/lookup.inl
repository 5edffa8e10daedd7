// Table lookup by two permutations of 128 bytes each; the top bit of a byte says which of them holds its answer.

namespace graphopt::kernels::avx512_vbmi {

static void lookup(const uint8_t* from, uint8_t* to, size_t count, const uint8_t* table) {
  const __m512i first = _mm512_loadu_si512(table);
  const __m512i second = _mm512_loadu_si512(table + 64);
  const __m512i third = _mm512_loadu_si512(table + 128);
  const __m512i fourth = _mm512_loadu_si512(table + 192);
  for (size_t i = 0; i < count; i += 64) {
    const size_t left = count - i;
    const __mmask64 mask = left < 64 ? (__mmask64{1} << left) - 1 : ~__mmask64{0};
    const __m512i bytes = _mm512_maskz_loadu_epi8(mask, from + i);
    const __m512i low = _mm512_permutex2var_epi8(first, bytes, second);
    const __m512i high = _mm512_permutex2var_epi8(third, bytes, fourth);
    const __m512i found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high);
    _mm512_mask_storeu_epi8(to + i, mask, found);
  }
}

}  // namespace graphopt::kernels::avx512_vbmi
