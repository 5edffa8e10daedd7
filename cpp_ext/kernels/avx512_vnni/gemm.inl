// Products of u8 and s8 by vpdpbusd: tiles of up to 24 accumulators, rows by pointers, weights by whole vectors.

namespace graphopt::kernels::avx512_vnni {

static inline int32_t four(const uint8_t* from) {
  int32_t all;
  __builtin_memcpy(&all, from, 4);
  return all;
}

// 1 to 3 codes, and 0 for those behind.
static inline int32_t fewer(const uint8_t* from, int64_t count) {
  uint32_t all = 0;
  for (int64_t i = 0; i < count; ++i) all |= static_cast<uint32_t>(from[i]) << (8 * i);
  return static_cast<int32_t>(all);
}

// What few tiles need: zero points of weights, numbers, and scales of 1 or more. Apart, so that the code of tiles
// stays short.
template <int V>
__attribute__((noinline)) static void gemm_store(const GemmTile& tile, const __m512i* acc) {
  const Codes codes(tile.out);
  __m512 scale[V];
  for (int v = 0; v < V; ++v) scale[v] = _mm512_loadu_ps(tile.out.scale + 16 * v);
  for (int r = 0; r < tile.count; ++r) {
    __m512i row[V];
    for (int v = 0; v < V; ++v) {
      row[v] = _mm512_load_si512(acc + r * V + v);
      if (tile.zeros != nullptr) {
        const __m512i zeros = _mm512_loadu_si512(tile.zeros + 16 * v);
        row[v] = _mm512_sub_epi32(row[v], _mm512_mullo_epi32(zeros, _mm512_set1_epi32(tile.sums[r])));
      }
    }
    if (tile.out.type == Type::kF32) {
      store_numbers<V>(static_cast<float*>(tile.to) + r * tile.pitch, row, scale, tile.out.shift, tile.columns);
    } else {
      store_codes<V>(static_cast<uint8_t*>(tile.to) + r * tile.pitch, row, scale, first_bytes(tile.columns),
                           codes);
    }
  }
}

template <int R, int V, bool Flip>
static void gemm_tile(const GemmTile& tile) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i acc[R][V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const __m512i bias = _mm512_loadu_si512(tile.bias + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) acc[r][v] = bias;
  }
  const int8_t* weights = tile.weights;
  // Four codes of each row by four weights of each column.
  const auto step = [&](const auto& codes_of) __attribute__((always_inline)) {
    __m512i columns[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) columns[v] = _mm512_load_si512(weights + 64 * v);
    weights += 64 * V;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      __m512i codes = _mm512_set1_epi32(codes_of(r));
      if (Flip) codes = _mm512_xor_si512(codes, flip);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) acc[r][v] = _mm512_dpbusd_epi32(acc[r][v], codes, columns[v]);
    }
  };
  const int64_t whole = tile.depth & ~int64_t{3};
  const int64_t tail = tile.depth & 3;
  for (int64_t segment = 0; segment < tile.segments; ++segment) {
    const uint8_t* rows[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) rows[r] = tile.rows[segment * tile.stride + r];
    for (int64_t k = 0; k < whole; k += 4) {
      step([&](int r) __attribute__((always_inline)) { return four(rows[r] + k); });
    }
    if (tail != 0) step([&](int r) __attribute__((always_inline)) { return fewer(rows[r] + whole, tail); });
  }
  if (tile.zeros != nullptr || tile.out.type == Type::kF32 || tile.out.large) {
    __m512i copy[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) copy[r][v] = acc[r][v];
    }
    gemm_store<V>(tile, &copy[0][0]);
    return;
  }
  Codes codes(tile.out);
  codes.large = false;
  const __mmask64 mask = first_bytes(tile.columns);
  __m512 scale[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) scale[v] = _mm512_loadu_ps(tile.out.scale + 16 * v);
  auto* to = static_cast<uint8_t*>(tile.to);
  const int64_t pitch = tile.pitch;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) store_codes<V>(to + r * pitch, acc[r], scale, mask, codes);
}

using Tile = void (*)(const GemmTile&);

#define GRAPHOPT_ROWS(V, Flip) \
  { \
    gemm_tile<1, V, Flip>, gemm_tile<2, V, Flip>, gemm_tile<3, V, Flip>, gemm_tile<4, V, Flip>, \
        gemm_tile<5, V, Flip>, gemm_tile<6, V, Flip>, V < 4 ? gemm_tile<7, V < 4 ? V : 1, Flip> : nullptr, \
        V < 4 ? gemm_tile<8, V < 4 ? V : 1, Flip> : nullptr \
  }

static const Tile kGemmTiles[2][4][8] = {
    {GRAPHOPT_ROWS(1, false), GRAPHOPT_ROWS(2, false), GRAPHOPT_ROWS(3, false), GRAPHOPT_ROWS(4, false)},
    {GRAPHOPT_ROWS(1, true), GRAPHOPT_ROWS(2, true), GRAPHOPT_ROWS(3, true), GRAPHOPT_ROWS(4, true)}};

#undef GRAPHOPT_ROWS

static void gemm_tile_of(const GemmTile& tile) {
  kGemmTiles[tile.flip][(tile.columns - 1) / 16][tile.count - 1](tile);
}

static const Gemm gemm = {16, 4, {0, 8, 8, 8, 6}, &gemm_tile_of};

}  // namespace graphopt::kernels::avx512_vnni
