// Weights to panels, in blocks of 16 of the depth by 16 columns. Included by each tier, which names itself.

namespace graphopt::kernels::GRAPHOPT_TIER {

// The first `count` of 16 bytes, zeros behind them.
static inline __m128i load_first(const void* from, int64_t count) {
  if (count >= 16) return _mm_loadu_si128(static_cast<const __m128i*>(from));
  alignas(16) uint8_t part[16] = {};
  __builtin_memcpy(part, from, static_cast<size_t>(count));
  return _mm_load_si128(reinterpret_cast<const __m128i*>(part));
}

// Column i becomes row i, in four rounds, each of which interleaves the upper half of the rows with the lower one.
static inline void transpose_bytes_of(__m128i (&block)[16]) {
  for (int round = 0; round < 4; ++round) {
    __m128i mixed[16];
    for (size_t i = 0; i < 8; ++i) {
      mixed[2 * i] = _mm_unpacklo_epi8(block[i], block[i + 8]);
      mixed[2 * i + 1] = _mm_unpackhi_epi8(block[i], block[i + 8]);
    }
    for (size_t i = 0; i < 16; ++i) block[i] = mixed[i];
  }
}

// Sums of groups of bytes, 16 of them as s32.
template <int Group>
struct GroupSums {
  __m256i of[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};

  // The groups of eight columns.
  inline __attribute__((always_inline)) void add(int half, __m128i first, __m128i second) {
    if (Group == 4) {
      const __m256i bytes = _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);
      const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
      of[half] = _mm256_add_epi32(of[half], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    } else {
      const __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), first);
      of[half] = _mm256_add_epi32(of[half], _mm256_cvtepi16_epi32(pairs));
    }
  }
};

template <int Group>
static void pack_columns(const Packing& packing) {
  const __m128i flip = _mm_set1_epi8(static_cast<char>(packing.flip));
  for (int64_t n = 0; n < packing.padded; n += 16) {
    const int64_t columns = packing.columns - n;
    const bool whole = packing.padded - n >= 16;
    // Only what is there is flipped.
    const __m128i ones = _mm_set1_epi8(-1);
    const __m128i column_mask = columns >= 16 ? flip : _mm_and_si128(flip, load_first(&ones, columns < 0 ? 0 : columns));
    GroupSums<Group> sums;
    for (int64_t k = 0; k < packing.depth; k += 16) {
      const int64_t depth = packing.depth - k;
      __m128i rows[16];
      if (packing.step == 1) {
        for (int64_t i = 0; i < 16; ++i) {
          rows[i] = i < columns ? load_first(packing.from + (n + i) * packing.column_step + k, depth) : _mm_setzero_si128();
        }
        transpose_bytes_of(rows);
      } else {
        for (int64_t i = 0; i < 16; ++i) {
          rows[i] = i < depth && columns > 0 ? load_first(packing.from + n + (k + i) * packing.step, columns)
                                             : _mm_setzero_si128();
        }
      }
      int8_t* to = packing.to + (k / Group * packing.padded + n) * Group;
      for (int64_t i = 0; i < 16 && i < depth; i += Group, to += Group * packing.padded) {
        __m128i row[Group];
        for (int64_t j = 0; j < Group; ++j) {
          row[j] = i + j < depth ? _mm_xor_si128(rows[i + j], column_mask) : _mm_setzero_si128();
        }
        __m128i out[4];
        if (Group == 4) {
          const __m128i low[2] = {_mm_unpacklo_epi8(row[0], row[1]), _mm_unpacklo_epi8(row[Group - 2], row[Group - 1])};
          const __m128i high[2] = {_mm_unpackhi_epi8(row[0], row[1]), _mm_unpackhi_epi8(row[Group - 2], row[Group - 1])};
          out[0] = _mm_unpacklo_epi16(low[0], low[1]);
          out[1] = _mm_unpackhi_epi16(low[0], low[1]);
          out[2] = _mm_unpacklo_epi16(high[0], high[1]);
          out[3] = _mm_unpackhi_epi16(high[0], high[1]);
        } else {
          out[0] = out[1] = _mm_unpacklo_epi8(row[0], row[1]);
          out[2] = out[3] = _mm_unpackhi_epi8(row[0], row[1]);
        }
        sums.add(0, out[0], out[1]);
        sums.add(1, out[2], out[3]);
        constexpr int kVectors = Group / 2;  // of eight columns
        for (int v = 0; v < kVectors; ++v) _mm_storeu_si128(reinterpret_cast<__m128i*>(to) + v, out[v]);
        if (!whole) continue;
        for (int v = 0; v < kVectors; ++v) _mm_storeu_si128(reinterpret_cast<__m128i*>(to) + kVectors + v, out[2 + v]);
      }
    }
    if (packing.sums == nullptr) continue;
    for (int half = 0; half < (whole ? 2 : 1); ++half) {
      auto* place = reinterpret_cast<__m256i*>(packing.sums + n + 8 * half);
      _mm256_storeu_si256(place, _mm256_add_epi32(_mm256_loadu_si256(place), sums.of[half]));
    }
  }
}

}  // namespace graphopt::kernels::GRAPHOPT_TIER
