// The vectors that generic kernels are written with, of 16 floats and 64 bytes.

using Floats = __m512;
using Ints = __m512i;
using Bytes = __m512i;

constexpr size_t kFloats = 16;
constexpr size_t kBytes = 64;

static inline __mmask16 first_floats(size_t count) {
  return count >= kFloats ? __mmask16(-1) : static_cast<__mmask16>((1U << count) - 1);
}

static inline __mmask64 first_bytes(size_t count) {
  return count >= kBytes ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}

// Only the first `count`, if they are fewer than a vector holds; the others count as 0.
static inline Floats load(const float* from, size_t count) {
  return count >= kFloats ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps(first_floats(count), from);
}

static inline void store(float* to, size_t count, Floats values) {
  if (count >= kFloats) {
    _mm512_storeu_ps(to, values);
  } else {
    _mm512_mask_storeu_ps(to, first_floats(count), values);
  }
}

static inline Floats all(float value) { return _mm512_set1_ps(value); }
// The second where either is no number.
static inline Floats greater(Floats a, Floats b) { return _mm512_max_ps(a, b); }
static inline Floats lesser(Floats a, Floats b) { return _mm512_min_ps(a, b); }
static inline Ints sum(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
static inline Ints all_ints(int32_t value) { return _mm512_set1_epi32(value); }
static inline Floats to_floats(Ints values) { return _mm512_cvtepi32_ps(values); }
// a * b + c, rounded once.
static inline Floats fused(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }

static inline Ints load_words(const uint32_t* from) { return _mm512_loadu_si512(from); }

// The lowest bits of each word, as a number; and what is above them.
template <int kBits>
static inline Floats low_code(Ints words) {
  if (kBits == 4) {
    // Permutations look at no more than these bits.
    return _mm512_permutexvar_ps(words, _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  }
  return to_floats(_mm512_and_si512(words, all_ints((1 << kBits) - 1)));
}

template <int kBits>
static inline Ints without_low_code(Ints words) {
  return _mm512_srli_epi32(words, kBits);
}

// As load, with `fill` behind the first `count`.
static inline Floats load_or(const float* from, size_t count, float fill) {
  return count >= kFloats ? _mm512_loadu_ps(from) : _mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_floats(count), from);
}
// `no` where either is no number.
static inline Floats where_less(Floats a, Floats b, Floats yes, Floats no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
static inline Ints bits_of(Floats values) { return _mm512_castps_si512(values); }
static inline Floats magnitude(Floats values) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0F), values); }
static inline Floats minus_magnitude(Floats values) { return _mm512_or_ps(_mm512_set1_ps(-0.0F), values); }
// Numbers that have no sign, with those of `signs`.
static inline Floats signed_as(Floats values, Floats signs) {
  return _mm512_or_ps(values, _mm512_and_ps(_mm512_set1_ps(-0.0F), signs));
}
static inline Ints difference(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
// value * 2^n, rounded once; `exponent` is n as an integer, -160 to 160 (else anything, if value is no number).
static inline Floats times_power(Floats value, Floats n, Ints) { return _mm512_scalef_ps(value, n); }
// 2^power * rest is a positive number that is not too small for an exponent of its own; `rest` is from sqrt(1/2) up to
// below sqrt(2).
struct Parts {
  Floats power;
  Floats rest;
};
static inline Parts parts_of(Floats x) {
  const Ints least = all_ints(0x3F3504F3);
  const Ints above = difference(bits_of(x), least);
  return {to_floats(_mm512_srai_epi32(above, 23)),
          _mm512_castsi512_ps(sum(_mm512_and_si512(above, all_ints(0x7FFFFF)), least))};
}
// All are numbers.
static inline float greatest_of(Floats values) { return _mm512_reduce_max_ps(values); }
static inline Floats square_root(Floats x) { return _mm512_sqrt_ps(x); }
static inline Floats rounded_down(Floats x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
static inline Floats rounded_up(Floats x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
static inline Floats rounded_even(Floats x) {
  return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// The sum of kLanes floats: of each of the first half and the one so far behind it, until one is left.
static inline float total_of(const Floats (&lanes)[1]) {
  const __m256 eight = _mm512_castps512_ps256(lanes[0]) + _mm512_extractf32x8_ps(lanes[0], 1);
  const __m128 four = _mm256_castps256_ps128(eight) + _mm256_extractf128_ps(eight, 1);
  const __m128 two = four + _mm_movehl_ps(four, four);
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// kSquareLanes floats.
using Eight = __m256;
static inline Eight load_eight(const float* from) { return _mm256_loadu_ps(from); }
static inline void store_eight(float* to, Eight values) { _mm256_storeu_ps(to, values); }
// sums + (x - mean)^2, rounded once.
static inline Eight with_squares(Eight sums, Eight x, float mean) {
  const Eight difference = x - _mm256_set1_ps(mean);
  return _mm256_fmadd_ps(difference, difference, sums);
}

// Sums of kLanes doubles.
struct DoubleLanes {
  __m512d at[2];
};
static inline DoubleLanes load_doubles(const double* from) { return {{_mm512_loadu_pd(from), _mm512_loadu_pd(from + 8)}}; }
static inline void store_doubles(double* to, const DoubleLanes& lanes) {
  _mm512_storeu_pd(to, lanes.at[0]);
  _mm512_storeu_pd(to + 8, lanes.at[1]);
}
// To the lanes of vector `part`.
static inline void add_doubles(DoubleLanes& lanes, size_t, Floats values) {
  lanes.at[0] = lanes.at[0] + _mm512_cvtps_pd(_mm512_castps512_ps256(values));
  lanes.at[1] = lanes.at[1] + _mm512_cvtps_pd(_mm512_extractf32x8_ps(values, 1));
}

static inline Bytes load_bytes(const uint8_t* from, size_t count) {
  return count >= kBytes ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi8(first_bytes(count), from);
}

static inline void store_bytes(uint8_t* to, size_t count, Bytes bytes) {
  if (count >= kBytes) {
    _mm512_storeu_si512(to, bytes);
  } else {
    _mm512_mask_storeu_epi8(to, first_bytes(count), bytes);
  }
}

static inline Bytes all_bytes(uint8_t value) { return _mm512_set1_epi8(static_cast<char>(value)); }
static inline Bytes flipped(Bytes bytes, uint8_t flip) { return _mm512_xor_si512(bytes, all_bytes(flip)); }
static inline Bytes exclusive_or(Bytes a, Bytes b) { return _mm512_xor_si512(a, b); }
static inline Bytes greater_bytes(Bytes a, Bytes b) { return _mm512_max_epu8(a, b); }

static inline Bytes lesser_bytes(Bytes a, Bytes b) { return _mm512_min_epu8(a, b); }

// Words of two bytes; interleaving and packing are within 16 bytes each.
static inline Ints all_words(int16_t value) { return _mm512_set1_epi16(value); }
static inline Ints word_pairs(int16_t first, int16_t second) {
  return _mm512_set1_epi32(static_cast<int32_t>((static_cast<uint32_t>(static_cast<uint16_t>(second)) << 16) |
                                                static_cast<uint16_t>(first)));
}
static inline Ints even_bytes_up(Bytes bytes) { return _mm512_slli_epi16(bytes, 8); }
static inline Ints odd_bytes(Bytes bytes) { return _mm512_maskz_mov_epi8(0xAAAAAAAAAAAAAAAAULL, bytes); }
static inline Ints interleaved_low(Ints a, Ints b) { return _mm512_unpacklo_epi16(a, b); }
static inline Ints interleaved_high(Ints a, Ints b) { return _mm512_unpackhi_epi16(a, b); }
// acc + a pair's first times the other's first + second times second.
static inline Ints dot(Ints acc, Ints a, Ints b) { return _mm512_dpwssd_epi32(acc, a, b); }
template <int kBits>
static inline Ints shifted_right(Ints values) {
  return _mm512_srai_epi32(values, kBits);
}
// The upper words of both, those of `even` first in each pair.
static inline Ints upper_words(Ints even, Ints odd) {
  const __m512i order = _mm512_set_epi16(63, 31, 61, 29, 59, 27, 57, 25, 55, 23, 53, 21, 51, 19, 49, 17, 47, 15, 45, 13,
                                         43, 11, 41, 9, 39, 7, 37, 5, 35, 3, 33, 1);
  return _mm512_permutex2var_epi16(even, order, odd);
}
static inline Ints sum_saturated(Ints a, Ints b) { return _mm512_adds_epi16(a, b); }
// By so many bits in each word.
static inline Ints shifted_words(Ints words, Ints bits) { return _mm512_srav_epi16(words, bits); }
static inline Bytes saturated(Ints first, Ints second) { return _mm512_packus_epi16(first, second); }

// The floats of four times as many bytes as a vector of floats holds; in order.
struct Quad {
  Floats at[4];
};

struct IntQuad {
  Ints at[4];
};

static inline IntQuad widened_ints(Bytes bytes) {
  return {{_mm512_cvtepu8_epi32(_mm512_castsi512_si128(bytes)),
           _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bytes, 1)),
           _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bytes, 2)),
           _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bytes, 3))}};
}

static inline Quad widened(Bytes bytes, float zero) {
  Quad quad;
#ifdef __AVX512VBMI__
  // A byte below the upper bytes of 2^23 is the float 2^23 + byte: one permutation converts, one subtraction is exact.
  constexpr float kBase = 8388608.0F;
  const __m512i base = _mm512_set1_epi32(0x4B000000);
  const __m512i step = _mm512_set1_epi32(16);
  __m512i places = _mm512_setr_epi32(0x43424100, 0x43424101, 0x43424102, 0x43424103, 0x43424104, 0x43424105, 0x43424106,
                                     0x43424107, 0x43424108, 0x43424109, 0x4342410A, 0x4342410B, 0x4342410C, 0x4342410D,
                                     0x4342410E, 0x4342410F);
  for (size_t i = 0; i < 4; ++i) {
    quad.at[i] = _mm512_castsi512_ps(_mm512_permutex2var_epi8(bytes, places, base)) - all(kBase + zero);
    places = _mm512_add_epi32(places, step);
  }
#else
  const IntQuad ints = widened_ints(bytes);
  for (size_t i = 0; i < 4; ++i) quad.at[i] = _mm512_cvtepi32_ps(ints.at[i]) - all(zero);
#endif
  return quad;
}

// Bounds as bytes: the conversion to 16 bits and the one to 8 saturate.
struct Narrow {
  Floats high;
  __m512i zero;
  Bytes low_code;
  Bytes flip;
};

static inline Narrow narrowing(const CodesOut& out) {
  return {all(out.high), _mm512_set1_epi16(static_cast<int16_t>(out.zero)),
          all_bytes(static_cast<uint8_t>(static_cast<int32_t>(out.low) + out.zero)), all_bytes(out.flip)};
}

static inline Bytes narrowed(const Quad& quad, const Narrow& narrow) {
  Ints ints[4];
  // What is far below the range, or no number, becomes the least integer.
  for (size_t i = 0; i < 4; ++i) ints[i] = _mm512_cvtps_epi32(lesser(narrow.high, quad.at[i]));
  const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(ints[0], ints[1]), narrow.zero);
  const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(ints[2], ints[3]), narrow.zero);
  const Bytes mixed = _mm512_packus_epi16(first, second);
  const Bytes codes = _mm512_permutexvar_epi32(
      _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), mixed);
  return _mm512_xor_si512(_mm512_max_epu8(codes, narrow.low_code), narrow.flip);
}
