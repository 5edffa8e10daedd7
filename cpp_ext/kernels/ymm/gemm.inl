// Products of u8 and s8 in tiles of 6 x 16, rows by pointers. Each tier brings its own `Dot`.

namespace graphopt::kernels::GRAPHOPT_TIER {

#include "kernels/generic/tiles.inl"

template <int R, int V, bool Flip>
static void gemm_tile(const GemmTile& tile) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
  __m256i acc[R][V];
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    const __m256i bias = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.bias + 8 * v));
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) acc[r][v] = bias;
  }
  const int8_t* weights = tile.weights;
  const auto step = [&](__m256i (&sums)[R][V], const auto& codes_of) __attribute__((always_inline)) {
#pragma GCC unroll 2
    for (int part = 0; part < Dot::kParts; ++part) {
      __m256i columns[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        columns[v] =
            Dot::weights(_mm256_load_si256(reinterpret_cast<const __m256i*>(weights + 32 * v)), part);
      }
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        __m256i codes = _mm256_set1_epi32(codes_of(r));
        if (Flip) codes = _mm256_xor_si256(codes, flip);
        codes = Dot::codes(codes, part);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sums[r][v] = Dot::add(sums[r][v], codes, columns[v]);
      }
    }
    weights += 32 * V;
  };
  const int64_t whole = tile.depth & ~int64_t{3};
  const int64_t tail = tile.depth & 3;
  for (int64_t segment = 0; segment < tile.segments; ++segment) {
    const uint8_t* rows[R];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) rows[r] = part_of(tile, segment, r);
    for (int64_t k = 0; k < whole; k += 4) {
      step(acc, [&](int r) __attribute__((always_inline)) { return four(rows[r] + k); });
    }
    if (tail != 0) {
      step(acc, [&](int r) __attribute__((always_inline)) { return fewer(rows[r] + whole, tail); });
    }
  }
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

using Tile = void (*)(const GemmTile&);

#define GRAPHOPT_ROWS(V, Flip) \
  { \
    gemm_tile<1, V, Flip>, gemm_tile<2, V, Flip>, gemm_tile<3, V, Flip>, gemm_tile<4, V, Flip>, \
        gemm_tile<5, V, Flip>, gemm_tile<6, V, Flip> \
  }

static const Tile kGemmTiles[2][2][6] = {{GRAPHOPT_ROWS(1, false), GRAPHOPT_ROWS(2, false)},
                                         {GRAPHOPT_ROWS(1, true), GRAPHOPT_ROWS(2, true)}};

#undef GRAPHOPT_ROWS

static void gemm_panel(const GemmTile& panel) {
  const Tile* tiles = kGemmTiles[panel.flip][(panel.columns - 1) / 8];
  even_tiles(panel, 6, [&](const GemmTile& tile) { tiles[tile.count - 1](tile); });
}

static const Gemm gemm = {8, 2, {0, 6, 6, 0, 0}, &gemm_panel};

}  // namespace graphopt::kernels::GRAPHOPT_TIER
