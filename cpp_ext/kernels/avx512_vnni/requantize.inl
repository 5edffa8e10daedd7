// Accumulators to codes or numbers, sixteen columns a vector.

namespace graphopt::kernels::avx512_vnni {

// Codes are made as s8 and, for u8, moved up by 128 at the end: one sequence of instructions for both types.
struct Codes {
  bool large;
  __m512 limit;
  __m512i zero;  // words
  __m512i zero_of_u8;
  __m512i low;   // bytes
  __m512i high;
  __m512i flip;

  explicit Codes(const Requantize& out) : large(out.large), limit(_mm512_set1_ps(1048576.0f)) {
    const int up = out.type == Type::kU8 ? 128 : 0;
    zero = _mm512_set1_epi16(static_cast<short>(out.zero - up));
    zero_of_u8 = _mm512_set1_epi16(static_cast<short>(out.zero));
    low = _mm512_set1_epi8(static_cast<char>(out.low - up));
    high = _mm512_set1_epi8(static_cast<char>(out.high - up));
    flip = _mm512_set1_epi8(static_cast<char>(up));
  }
};

// Rounded, to the nearest, halves to even. Where a product is below 2^31, conversion cannot overflow upwards; and
// downwards it gives the least number, which stays the least.
static inline __m512i rounded(__m512i acc, __m512 scale, const Codes& codes) {
  __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale);
  if (codes.large) product = _mm512_min_ps(product, codes.limit);
  return _mm512_cvtps_epi32(product);
}

static inline __m512i saturated_bytes(__m512i left, __m512i right, const Codes& codes) {
  return _mm512_packs_epi16(_mm512_adds_epi16(left, codes.zero), _mm512_adds_epi16(right, codes.zero));
}

// To bytes, by packing with saturation: what saturates lies outside `low`..`high` in any case. Words of four columns
// of each of two vectors in each 16 bytes.
static inline __m512i packed_bytes(__m512i left, __m512i right, const Codes& codes) {
  return _mm512_min_epi8(_mm512_max_epi8(saturated_bytes(left, right, codes), codes.low), codes.high);
}

static inline __m512i packed_words(__m512i left, __m512i right, const Codes& codes) {
  return _mm512_xor_si512(packed_bytes(left, right, codes), codes.flip);
}

// In each 16 bytes, four of each vector.
static inline __m512i packed_codes(__m512i first, __m512i second, __m512i third, __m512i fourth, const Codes& codes) {
  return packed_words(_mm512_packs_epi32(first, second), _mm512_packs_epi32(third, fourth), codes);
}

// Packed, with one vector behind the other.
static inline __m512i in_order(__m512i packed) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, packed);
}

static inline __m512i to_codes(__m512i first, __m512i second, __m512i third, __m512i fourth, const Codes& codes) {
  return in_order(packed_codes(first, second, third, fourth, codes));
}

static inline __mmask64 first_bytes(int count) { return ~__mmask64{0} >> (64 - count); }

// The columns of `mask`, of V * 16, of a row, as u8 or s8.
template <int V>
static inline void store_codes(uint8_t* to, const __m512i* acc, const __m512* scale, __mmask64 mask,
                               const Codes& codes) {
  __m512i whole[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) whole[v] = v < V ? rounded(acc[v], scale[v], codes) : _mm512_setzero_si512();
  _mm512_mask_storeu_epi8(to, mask, to_codes(whole[0], whole[1], whole[2], whole[3], codes));
}

// The first `count` of V * 16 columns of a row, as f32.
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
