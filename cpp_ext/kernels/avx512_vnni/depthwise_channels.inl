// Blocks of 64 channels, or of fewer of several streams: read, put side by side with those of other lines, made codes
// and written.

namespace graphopt::kernels::avx512_vnni {

// The channels of `Streams` lines, side by side.
template <int Streams>
static inline __m512i channels_of(const uint8_t* const* from, __mmask64 mask) {
  if (Streams == 1) return _mm512_maskz_loadu_epi8(mask, from[0]);
  if (Streams == 2) {
    const auto half = static_cast<__mmask32>(mask);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_maskz_loadu_epi8(half, from[0])),
                              _mm256_maskz_loadu_epi8(half, from[1]), 1);
  }
  const auto quarter = static_cast<__mmask16>(mask);
  __m512i all = _mm512_castsi128_si512(_mm_maskz_loadu_epi8(quarter, from[0]));
  all = _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(quarter, from[1]), 1);
  all = _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(quarter, from[2]), 2);
  return _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(quarter, from[3]), 3);
}

// The channels of each stream to its line, from `at` on.
template <int Streams>
static inline void store_channels(uint8_t* const* to, int64_t at, __m512i bytes, __mmask64 mask) {
  if (Streams == 1) {
    _mm512_mask_storeu_epi8(to[0] + at, mask, bytes);
  } else if (Streams == 2) {
    const auto half = static_cast<__mmask32>(mask);
    _mm256_mask_storeu_epi8(to[0] + at, half, _mm512_castsi512_si256(bytes));
    _mm256_mask_storeu_epi8(to[1] + at, half, _mm512_extracti64x4_epi64(bytes, 1));
  } else {
    const auto quarter = static_cast<__mmask16>(mask);
    _mm_mask_storeu_epi8(to[0] + at, quarter, _mm512_castsi512_si128(bytes));
    _mm_mask_storeu_epi8(to[1] + at, quarter, _mm512_extracti32x4_epi32(bytes, 1));
    _mm_mask_storeu_epi8(to[2] + at, quarter, _mm512_extracti32x4_epi32(bytes, 2));
    _mm_mask_storeu_epi8(to[3] + at, quarter, _mm512_extracti32x4_epi32(bytes, 3));
  }
}

struct Fours {
  __m512i of[4];
};

// The bytes of four vectors side by side: four of each fourth of the channels.
static inline Fours interleaved(__m512i first, __m512i second, __m512i third, __m512i fourth) {
  const __m512i left_low = _mm512_unpacklo_epi8(first, second);
  const __m512i left_high = _mm512_unpackhi_epi8(first, second);
  const __m512i right_low = _mm512_unpacklo_epi8(third, fourth);
  const __m512i right_high = _mm512_unpackhi_epi8(third, fourth);
  return {{_mm512_unpacklo_epi16(left_low, right_low), _mm512_unpackhi_epi16(left_low, right_low),
           _mm512_unpacklo_epi16(left_high, right_high), _mm512_unpackhi_epi16(left_high, right_high)}};
}

// Codes are made as u8 and, for s8, moved down by 128 at the end. Assembler knows where these lie.
struct UnsignedCodes {
  __m512i low;  // bytes
  __m512i high;
  __m512i flip;
  __m512i zero;  // words
  int64_t clamped;  // whether there is more to do than to saturate

  explicit UnsignedCodes(const Requantize& out) {
    const int up = out.type == Type::kU8 ? 0 : 128;
    low = _mm512_set1_epi8(static_cast<char>(out.low + up));
    high = _mm512_set1_epi8(static_cast<char>(out.high + up));
    flip = _mm512_set1_epi8(static_cast<char>(up));
    zero = _mm512_set1_epi16(static_cast<short>(out.zero + up));
    clamped = out.low + up != 0 || out.high + up != 255 || up != 0;
  }
};

// Of one output: words of each half of the channels, as packing leaves them.
static inline __attribute__((always_inline)) __m512i unsigned_codes(__m512i left, __m512i right,
                                                                    const UnsignedCodes& codes) {
  const __m512i bytes =
      _mm512_packus_epi16(_mm512_adds_epi16(left, codes.zero), _mm512_adds_epi16(right, codes.zero));
  if (codes.clamped == 0) return bytes;
  return _mm512_xor_si512(_mm512_min_epu8(_mm512_max_epu8(bytes, codes.low), codes.high), codes.flip);
}

}  // namespace graphopt::kernels::avx512_vnni
