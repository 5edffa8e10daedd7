// Accumulators to codes or numbers, eight columns a vector. Included by each tier of 256 bits, which names itself.

namespace graphopt::kernels::GRAPHOPT_TIER {

struct Codes {
  bool is_signed;
  bool large;
  __m256 limit;
  __m256i zero;  // words
  __m256i low;   // bytes
  __m256i high;

  explicit Codes(const Requantize& out)
      : is_signed(out.type == Type::kS8),
        large(out.large),
        limit(_mm256_set1_ps(1048576.0f)),
        zero(_mm256_set1_epi16(static_cast<short>(out.zero))),
        low(_mm256_set1_epi8(static_cast<char>(out.low))),
        high(_mm256_set1_epi8(static_cast<char>(out.high))) {}
};

// Rounded, to the nearest, halves to even. Where a product is below 2^31, conversion cannot overflow upwards; and
// downwards it gives the least number, which stays the least.
static inline __m256i rounded(__m256i acc, __m256 scale, const Codes& codes) {
  __m256 product = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), scale);
  if (codes.large) product = _mm256_min_ps(product, codes.limit);
  return _mm256_cvtps_epi32(product);
}

// To bytes, by packing with saturation: what saturates lies outside `low`..`high` in any case. Within each 128 bits,
// four bytes of each vector.
static inline __m256i packed_codes(__m256i first, __m256i second, __m256i third, __m256i fourth, const Codes& codes) {
  const __m256i left = _mm256_adds_epi16(_mm256_packs_epi32(first, second), codes.zero);
  const __m256i right = _mm256_adds_epi16(_mm256_packs_epi32(third, fourth), codes.zero);
  __m256i bytes;
  if (codes.is_signed) {
    bytes = _mm256_packs_epi16(left, right);
    bytes = _mm256_min_epi8(_mm256_max_epi8(bytes, codes.low), codes.high);
  } else {
    bytes = _mm256_packus_epi16(left, right);
    bytes = _mm256_min_epu8(_mm256_max_epu8(bytes, codes.low), codes.high);
  }
  return bytes;
}

// The same, one vector after the other.
static inline __m256i to_codes(__m256i first, __m256i second, __m256i third, __m256i fourth, const Codes& codes) {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return _mm256_permutevar8x32_epi32(packed_codes(first, second, third, fourth, codes), order);
}

// The first `count` of 16 bytes.
static inline void store_bytes(uint8_t* to, __m128i bytes, int count) {
  if (count == 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
    return;
  }
  if (count & 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), bytes);
    bytes = _mm_srli_si128(bytes, 8);
    to += 8;
  }
  if (count & 4) {
    const int32_t part = _mm_cvtsi128_si32(bytes);
    __builtin_memcpy(to, &part, 4);
    bytes = _mm_srli_si128(bytes, 4);
    to += 4;
  }
  if (count & 2) {
    const auto part = static_cast<int16_t>(_mm_cvtsi128_si32(bytes));
    __builtin_memcpy(to, &part, 2);
    bytes = _mm_srli_si128(bytes, 2);
    to += 2;
  }
  if (count & 1) *to = static_cast<uint8_t>(_mm_cvtsi128_si32(bytes));
}

// The first `count` of V * 8 columns of a row, V at most 2, as u8 or s8.
template <int V>
static inline void store_codes(uint8_t* to, const __m256i* acc, const __m256* scale, int count, const Codes& codes) {
  const __m256i none = _mm256_setzero_si256();
  const __m256i first = rounded(acc[0], scale[0], codes);
  const __m256i second = V > 1 ? rounded(acc[V - 1], scale[V - 1], codes) : none;
  store_bytes(to, _mm256_castsi256_si128(to_codes(first, second, none, none, codes)), count);
}

static inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// The same as f32.
template <int V>
static inline void store_numbers(float* to, const __m256i* acc, const __m256* scale, const float* shift, int count) {
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    __m256 number = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[v]), scale[v]);
    if (shift != nullptr) number = _mm256_add_ps(number, _mm256_loadu_ps(shift + 8 * v));
    if (count >= 8 * (v + 1)) {
      _mm256_storeu_ps(to + 8 * v, number);
    } else {
      _mm256_maskstore_ps(to + 8 * v, first_lanes(count - 8 * v), number);
    }
  }
}

// The sums of a tile of products, V at most 2.
template <int R, int V>
static inline __attribute__((always_inline)) void store_tile(const GemmTile& tile, __m256i (&acc)[R][V]) {
  if (tile.zeros != nullptr) {
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      const __m256i sum = _mm256_set1_epi32(tile.sums[r]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const __m256i zeros = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.zeros + 8 * v));
        acc[r][v] = _mm256_sub_epi32(acc[r][v], _mm256_mullo_epi32(zeros, sum));
      }
    }
  }
  __m256 scale[V];
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) scale[v] = _mm256_loadu_ps(tile.out.scale + 8 * v);
  if (tile.out.type == Type::kF32) {
    auto* to = static_cast<float*>(tile.to);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) store_numbers<V>(to + r * tile.pitch, acc[r], scale, tile.out.shift, tile.columns);
  } else {
    const Codes codes(tile.out);
    auto* to = static_cast<uint8_t*>(tile.to);
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) store_codes<V>(to + r * tile.pitch, acc[r], scale, tile.columns, codes);
  }
}

}  // namespace graphopt::kernels::GRAPHOPT_TIER
