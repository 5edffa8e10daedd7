// Accumulators to codes or numbers, sixteen columns a vector.

namespace graphopt::kernels::avx512_vnni {

struct Codes {
  bool is_signed;
  bool large;
  __m512 limit;
  __m512i zero;  // words
  __m512i low;   // bytes
  __m512i high;

  explicit Codes(const Requantize& out)
      : is_signed(out.type == Type::kS8),
        large(out.large),
        limit(_mm512_set1_ps(1048576.0f)),
        zero(_mm512_set1_epi16(static_cast<short>(out.zero))),
        low(_mm512_set1_epi8(static_cast<char>(out.low))),
        high(_mm512_set1_epi8(static_cast<char>(out.high))) {}
};

// Rounded, to the nearest, halves to even. Where a product is below 2^31, conversion cannot overflow upwards; and
// downwards it gives the least number, which stays the least.
static inline __m512i rounded(__m512i acc, __m512 scale, const Codes& codes) {
  __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale);
  if (codes.large) product = _mm512_min_ps(product, codes.limit);
  return _mm512_cvtps_epi32(product);
}

// To bytes, by packing with saturation: what saturates lies outside `low`..`high` in any case. Within each 128 bits,
// four bytes of each vector.
static inline __m512i packed_codes(__m512i first, __m512i second, __m512i third, __m512i fourth, const Codes& codes) {
  const __m512i left = _mm512_adds_epi16(_mm512_packs_epi32(first, second), codes.zero);
  const __m512i right = _mm512_adds_epi16(_mm512_packs_epi32(third, fourth), codes.zero);
  __m512i bytes;
  if (codes.is_signed) {
    bytes = _mm512_packs_epi16(left, right);
    bytes = _mm512_min_epi8(_mm512_max_epi8(bytes, codes.low), codes.high);
  } else {
    bytes = _mm512_packus_epi16(left, right);
    bytes = _mm512_min_epu8(_mm512_max_epu8(bytes, codes.low), codes.high);
  }
  return bytes;
}

// The same, one vector after the other.
static inline __m512i to_codes(__m512i first, __m512i second, __m512i third, __m512i fourth, const Codes& codes) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, packed_codes(first, second, third, fourth, codes));
}

// The first `count` of V * 16 columns of a row, as u8 or s8.
template <int V>
static inline void store_codes(uint8_t* to, const __m512i* acc, const __m512* scale, int count, const Codes& codes) {
  __m512i whole[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) whole[v] = v < V ? rounded(acc[v], scale[v], codes) : _mm512_setzero_si512();
  const __m512i bytes = to_codes(whole[0], whole[1], whole[2], whole[3], codes);
  if (V == 4 && count == 64) {
    _mm512_storeu_si512(to, bytes);
  } else {
    _mm512_mask_storeu_epi8(to, ~__mmask64{0} >> (64 - count), bytes);
  }
}

// The same as f32.
template <int V>
static inline void store_numbers(float* to, const __m512i* acc, const __m512* scale, const float* shift, int count) {
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const int left = count - 16 * v;
    const __mmask16 mask = left >= 16 ? 0xFFFF : static_cast<__mmask16>((1 << left) - 1);
    __m512 number = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), scale[v]);
    if (shift != nullptr) number = _mm512_add_ps(number, _mm512_loadu_ps(shift + 16 * v));
    _mm512_mask_storeu_ps(to + 16 * v, mask, number);
  }
}

}  // namespace graphopt::kernels::avx512_vnni
