// The vectors that generic kernels are written with, of 8 floats and 32 bytes.

using Floats = __m256;
using Ints = __m256i;
using Bytes = __m256i;

constexpr size_t kFloats = 8;
constexpr size_t kBytes = 32;

static inline __m256i first_ints(size_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// Only the first `count`, if they are fewer than a vector holds; the others count as 0.
static inline Floats load(const float* from, size_t count) {
  if (count >= kFloats) return _mm256_loadu_ps(from);
  return _mm256_maskload_ps(from, first_ints(count));
}

static inline void store(float* to, size_t count, Floats values) {
  if (count >= kFloats) {
    _mm256_storeu_ps(to, values);
  } else {
    _mm256_maskstore_ps(to, first_ints(count), values);
  }
}

static inline Floats all(float value) { return _mm256_set1_ps(value); }
// The second where either is no number.
static inline Floats greater(Floats a, Floats b) { return _mm256_max_ps(a, b); }
static inline Floats lesser(Floats a, Floats b) { return _mm256_min_ps(a, b); }
static inline Ints sum(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
static inline Ints all_ints(int32_t value) { return _mm256_set1_epi32(value); }
static inline Floats to_floats(Ints values) { return _mm256_cvtepi32_ps(values); }
// a * b + c, rounded once.
static inline Floats fused(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }

static inline Ints load_words(const uint32_t* from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

// The lowest bits of each word, as a number; and what is above them.
template <int kBits>
static inline Floats low_code(Ints words) {
  return to_floats(_mm256_and_si256(words, all_ints((1 << kBits) - 1)));
}

template <int kBits>
static inline Ints without_low_code(Ints words) {
  return _mm256_srli_epi32(words, kBits);
}

// As load, with `fill` behind the first `count`.
static inline Floats load_or(const float* from, size_t count, float fill) {
  if (count >= kFloats) return _mm256_loadu_ps(from);
  return _mm256_blendv_ps(_mm256_set1_ps(fill), load(from, count), _mm256_castsi256_ps(first_ints(count)));
}
// `no` where either is no number.
static inline Floats where_less(Floats a, Floats b, Floats yes, Floats no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline Ints bits_of(Floats values) { return _mm256_castps_si256(values); }
static inline Floats magnitude(Floats values) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), values); }
static inline Floats minus_magnitude(Floats values) { return _mm256_or_ps(_mm256_set1_ps(-0.0F), values); }
// Numbers that have no sign, with those of `signs`.
static inline Floats signed_as(Floats values, Floats signs) {
  return _mm256_or_ps(values, _mm256_and_ps(_mm256_set1_ps(-0.0F), signs));
}
static inline Ints difference(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
static inline Floats power_of_two(Ints exponents) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(exponents, _mm256_set1_epi32(127)), 23));
}
// value * 2^n; `exponent` is n as an integer, -160 to 160 (else anything, if value is no number). The power may be none
// of float's: it is multiplied in two steps, of which only the last one may round.
static inline Floats times_power(Floats value, Floats, Ints exponent) {
  const Ints first = _mm256_srai_epi32(exponent, 1);
  return value * power_of_two(first) * power_of_two(difference(exponent, first));
}
// 2^power * rest is a positive number that is not too small for an exponent of its own; `rest` is from sqrt(1/2) up to
// below sqrt(2).
struct Parts {
  Floats power;
  Floats rest;
};
static inline Parts parts_of(Floats x) {
  const Ints least = all_ints(0x3F3504F3);
  const Ints above = difference(bits_of(x), least);
  return {to_floats(_mm256_srai_epi32(above, 23)),
          _mm256_castsi256_ps(sum(_mm256_and_si256(above, all_ints(0x7FFFFF)), least))};
}
// All are numbers.
static inline float greatest_of(Floats values) {
  const __m128 half = _mm_max_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  const __m128 quarter = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(quarter, _mm_movehdup_ps(quarter)));
}
static inline Floats square_root(Floats x) { return _mm256_sqrt_ps(x); }
static inline Floats rounded_down(Floats x) { return _mm256_floor_ps(x); }
static inline Floats rounded_up(Floats x) { return _mm256_ceil_ps(x); }
static inline Floats rounded_even(Floats x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// The sum of kLanes floats: of each of the first half and the one so far behind it, until one is left.
static inline float total_of(const Floats (&lanes)[2]) {
  const __m256 eight = lanes[0] + lanes[1];
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
  __m256d at[4];
};
static inline DoubleLanes load_doubles(const double* from) {
  return {{_mm256_loadu_pd(from), _mm256_loadu_pd(from + 4), _mm256_loadu_pd(from + 8), _mm256_loadu_pd(from + 12)}};
}
static inline void store_doubles(double* to, const DoubleLanes& lanes) {
  for (size_t i = 0; i < 4; ++i) _mm256_storeu_pd(to + 4 * i, lanes.at[i]);
}
// To the lanes of vector `part`.
static inline void add_doubles(DoubleLanes& lanes, size_t part, Floats values) {
  lanes.at[2 * part] = lanes.at[2 * part] + _mm256_cvtps_pd(_mm256_castps256_ps128(values));
  lanes.at[2 * part + 1] = lanes.at[2 * part + 1] + _mm256_cvtps_pd(_mm256_extractf128_ps(values, 1));
}

static inline Bytes load_bytes(const uint8_t* from, size_t count) {
  if (count >= kBytes) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  alignas(32) uint8_t whole[kBytes] = {};
  __builtin_memcpy(whole, from, count);
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(whole));
}

static inline void store_bytes(uint8_t* to, size_t count, Bytes bytes) {
  if (count >= kBytes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
    return;
  }
  alignas(32) uint8_t whole[kBytes];
  _mm256_store_si256(reinterpret_cast<__m256i*>(whole), bytes);
  __builtin_memcpy(to, whole, count);
}

static inline Bytes all_bytes(uint8_t value) { return _mm256_set1_epi8(static_cast<char>(value)); }
static inline Bytes flipped(Bytes bytes, uint8_t flip) { return _mm256_xor_si256(bytes, all_bytes(flip)); }
static inline Bytes exclusive_or(Bytes a, Bytes b) { return _mm256_xor_si256(a, b); }
static inline Bytes greater_bytes(Bytes a, Bytes b) { return _mm256_max_epu8(a, b); }

static inline Bytes lesser_bytes(Bytes a, Bytes b) { return _mm256_min_epu8(a, b); }

// Words of two bytes; interleaving and packing are within 16 bytes each.
static inline Ints all_words(int16_t value) { return _mm256_set1_epi16(value); }
static inline Ints word_pairs(int16_t first, int16_t second) {
  return _mm256_set1_epi32(static_cast<int32_t>((static_cast<uint32_t>(static_cast<uint16_t>(second)) << 16) |
                                                static_cast<uint16_t>(first)));
}
static inline Ints even_bytes_up(Bytes bytes) { return _mm256_slli_epi16(bytes, 8); }
static inline Ints odd_bytes(Bytes bytes) { return _mm256_and_si256(bytes, _mm256_set1_epi16(-256)); }
static inline Ints interleaved_low(Ints a, Ints b) { return _mm256_unpacklo_epi16(a, b); }
static inline Ints interleaved_high(Ints a, Ints b) { return _mm256_unpackhi_epi16(a, b); }
// acc + a pair's first times the other's first + second times second.
static inline Ints dot(Ints acc, Ints a, Ints b) { return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b)); }
template <int kBits>
static inline Ints shifted_right(Ints values) {
  return _mm256_srai_epi32(values, kBits);
}
// The upper words of both, those of `even` first in each pair.
static inline Ints upper_words(Ints even, Ints odd) {
  return _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xAA);
}
static inline Ints sum_saturated(Ints a, Ints b) { return _mm256_adds_epi16(a, b); }
// By so many bits in each word, the same in all.
static inline Ints shifted_words(Ints words, Ints bits) {
  return _mm256_sra_epi16(words, _mm_cvtepu16_epi64(_mm256_castsi256_si128(bits)));
}
static inline Bytes saturated(Ints first, Ints second) { return _mm256_packus_epi16(first, second); }

// The floats of four times as many bytes as a vector of floats holds; in order.
struct Quad {
  Floats at[4];
};

struct IntQuad {
  Ints at[4];
};

static inline IntQuad widened_ints(Bytes bytes) {
  const __m128i low = _mm256_castsi256_si128(bytes);
  const __m128i high = _mm256_extracti128_si256(bytes, 1);
  return {{_mm256_cvtepu8_epi32(low), _mm256_cvtepu8_epi32(_mm_srli_si128(low, 8)), _mm256_cvtepu8_epi32(high),
           _mm256_cvtepu8_epi32(_mm_srli_si128(high, 8))}};
}

static inline Quad widened(Bytes bytes, float zero) {
  const IntQuad ints = widened_ints(bytes);
  Quad quad;
  for (size_t i = 0; i < 4; ++i) quad.at[i] = _mm256_cvtepi32_ps(ints.at[i]) - all(zero);
  return quad;
}

// Bounds as bytes: the conversion to 16 bits and the one to 8 saturate.
struct Narrow {
  Floats high;
  __m256i zero;
  Bytes low_code;
  Bytes flip;
};

static inline Narrow narrowing(const CodesOut& out) {
  return {all(out.high), _mm256_set1_epi16(static_cast<int16_t>(out.zero)),
          all_bytes(static_cast<uint8_t>(static_cast<int32_t>(out.low) + out.zero)), all_bytes(out.flip)};
}

static inline Bytes narrowed(const Quad& quad, const Narrow& narrow) {
  Ints ints[4];
  // What is far below the range, or no number, becomes the least integer.
  for (size_t i = 0; i < 4; ++i) ints[i] = _mm256_cvtps_epi32(lesser(narrow.high, quad.at[i]));
  const __m256i first = _mm256_adds_epi16(_mm256_packs_epi32(ints[0], ints[1]), narrow.zero);
  const __m256i second = _mm256_adds_epi16(_mm256_packs_epi32(ints[2], ints[3]), narrow.zero);
  const Bytes mixed = _mm256_packus_epi16(first, second);
  const Bytes codes = _mm256_permutevar8x32_epi32(mixed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  return _mm256_xor_si256(_mm256_max_epu8(codes, narrow.low_code), narrow.flip);
}
