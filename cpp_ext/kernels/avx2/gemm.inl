// Products of u8 and s8 in tiles of 6 x 16. vpmaddubsw would saturate: codes become words, those of a tile's rows once
// for all columns of its panel, weights as they are read, and vpmaddwd adds up two products at a time.

namespace graphopt::kernels::avx2 {

#include "kernels/generic/tiles.inl"

constexpr int kGemmRows = 6;
constexpr int kGemmColumns = 16;
// Codes of a row that are words at a time: with the weights that they meet, they stay near.
constexpr int64_t kGemmWords = 2048;

// One row after the other, but not at equal places of pages.
struct GemmWords {
  alignas(32) uint16_t of[kGemmRows][kGemmWords + 32];
};

// `count` codes, and 0 behind an odd number. Apart, so that its vectors take no registers from sums.
template <bool Flip>
__attribute__((noinline)) static void to_words(const uint8_t* from, int64_t count, uint16_t* to) {
  const __m128i flip = _mm_set1_epi8(Flip ? static_cast<char>(0x80) : 0);
  const auto words_of = [&](__m128i codes) { return _mm256_cvtepu8_epi16(Flip ? _mm_xor_si128(codes, flip) : codes); };
  int64_t k = 0;
  for (; k + 16 <= count; k += 16) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k), words_of(codes));
  }
  for (; k + 4 <= count; k += 4) {
    const __m128i words = _mm256_castsi256_si128(words_of(_mm_cvtsi32_si128(four(from + k))));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to + k), words);
  }
  for (; k < count; ++k) to[k] = static_cast<uint16_t>(Flip ? from[k] ^ 0x80 : from[k]);
  if ((count & 1) != 0) to[count] = 0;
}

// Of R rows and V vectors of columns.
template <int R, int V>
struct Sums {
  __m256i of[R][V];

  inline __attribute__((always_inline)) void begin(const int32_t* bias) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bias + 8 * v));
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) of[r][v] = first;
    }
  }

  inline __attribute__((always_inline)) void add_up(const GemmWords& words, int64_t count, const int8_t* weights) {
    for (int64_t k = 0; k < count; k += 2, weights += 16 * V) {
      __m256i columns[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        columns[v] = _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(weights + 16 * v)));
      }
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        int32_t two;
        __builtin_memcpy(&two, words.of[r] + k, 4);
        const __m256i codes = _mm256_set1_epi32(two);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) of[r][v] = _mm256_add_epi32(of[r][v], _mm256_madd_epi16(codes, columns[v]));
      }
    }
  }
};

// The part of a panel that `V` vectors are, of rows whose words are there already if `ready`.
template <int R, int V, bool Flip>
static void gemm_strip(const GemmTile& tile, GemmWords& words, bool ready) {
  const int64_t even = (tile.depth + 1) & ~int64_t{1};
  Sums<R, V> sums;
  sums.begin(tile.bias);
  if (ready) {
    sums.add_up(words, tile.segments * even, tile.weights);
  } else {
    const int8_t* weights = tile.weights;
    for (int64_t segment = 0; segment < tile.segments; ++segment) {
      for (int64_t first = 0; first < tile.depth; first += kGemmWords) {
        const int64_t count = tile.depth - first < kGemmWords ? tile.depth - first : kGemmWords;
        for (int r = 0; r < R; ++r) to_words<Flip>(part_of(tile, segment, r) + first, count, words.of[r]);
        sums.add_up(words, count, weights);
        weights += ((count + 1) & ~int64_t{1}) * 8 * V;
      }
    }
  }
  store_tile<R, V>(tile, sums.of);
}

template <int R, bool Flip>
static void gemm_tile(const GemmTile& all) {
  GemmWords words;
  const int64_t even = (all.depth + 1) & ~int64_t{1};
  const bool ready = all.segments * even <= kGemmWords;
  for (int64_t segment = 0; ready && segment < all.segments; ++segment) {
    for (int r = 0; r < R; ++r) to_words<Flip>(part_of(all, segment, r), all.depth, words.of[r] + segment * even);
  }
  GemmTile tile = all;
  for (int left = all.columns; left > 0; left -= kGemmColumns) {
    tile.columns = left < kGemmColumns ? left : kGemmColumns;
    if (tile.columns > 8) {
      gemm_strip<R, 2, Flip>(tile, words, ready);
    } else {
      gemm_strip<R, 1, Flip>(tile, words, ready);
    }
    tile.weights += (all.panel_segments - all.first_segment) * even * kGemmColumns;
    tile.weights += all.first_segment * even * (left - kGemmColumns > 8 ? kGemmColumns : 8);
    tile.bias += kGemmColumns;
    if (tile.zeros != nullptr) tile.zeros += kGemmColumns;
    tile.out.scale += kGemmColumns;
    if (tile.out.shift != nullptr) tile.out.shift += kGemmColumns;
    tile.to = static_cast<uint8_t*>(tile.to) + kGemmColumns * (tile.out.type == Type::kF32 ? 4 : 1);
  }
}

using Tile = void (*)(const GemmTile&);

#define GRAPHOPT_ROWS(Flip) \
  { \
    gemm_tile<1, Flip>, gemm_tile<2, Flip>, gemm_tile<3, Flip>, gemm_tile<4, Flip>, gemm_tile<5, Flip>, \
        gemm_tile<6, Flip> \
  }

static const Tile kGemmTiles[2][kGemmRows] = {GRAPHOPT_ROWS(false), GRAPHOPT_ROWS(true)};

#undef GRAPHOPT_ROWS

static void gemm_panels(const GemmTile& panels) {
  even_tiles(panels, kGemmRows, [&](const GemmTile& tile) { kGemmTiles[tile.flip][tile.count - 1](tile); });
}

static const Gemm gemm = {8, 2, 2, 8, {0, kGemmRows, kGemmRows, 0, 0}, false, &gemm_panels, nullptr, nullptr, &pack_columns<2>};

}  // namespace graphopt::kernels::avx2
