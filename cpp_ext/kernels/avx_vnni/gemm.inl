// Products of u8 and s8 by vpdpbusd, in tiles of 6 x 16.

namespace graphopt::kernels::avx_vnni {

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
  const auto step = [&](const auto& codes_of) __attribute__((always_inline)) {
    __m256i columns[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) columns[v] = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights + 32 * v));
    weights += 32 * V;
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) {
      __m256i codes = _mm256_set1_epi32(codes_of(r));
      if (Flip) codes = _mm256_xor_si256(codes, flip);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) acc[r][v] = Dot::add(acc[r][v], codes, columns[v]);
    }
  };
  const int64_t whole = tile.depth & ~int64_t{3};
  const int64_t tail = tile.depth & 3;
  for (int64_t segment = 0; segment < tile.segments; ++segment) {
    const uint8_t* rows[R];
#pragma GCC unroll 6
    for (int r = 0; r < R; ++r) rows[r] = part_of(tile, segment, r);
    for (int64_t k = 0; k < whole; k += 4) {
      step([&](int r) __attribute__((always_inline)) { return four(rows[r] + k); });
    }
    if (tail != 0) step([&](int r) __attribute__((always_inline)) { return fewer(rows[r] + whole, tail); });
  }
  store_tile<R, V>(tile, acc);
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

static void gemm_panels(const GemmTile& panel) {
  const Tile* tiles = kGemmTiles[panel.flip][(panel.columns - 1) / 8];
  even_tiles(panel, 6, [&](const GemmTile& tile) { tiles[tile.count - 1](tile); });
}

}  // namespace graphopt::kernels::avx_vnni
