// Products by weights of which groups are left out: one vector of columns at a time, as each has groups of its own.

namespace graphopt::kernels::avx512_vnni {

constexpr int kSparseRows = 12;

// Sums of R rows, each in S parts: few rows alone would keep few sums at work.
template <int R, int S, bool Flip>
struct SparseSums {
  __m512i of[S][R];

  template <typename CodesOf>
  inline __attribute__((always_inline)) void step(int s, const int8_t* weights, const CodesOf& codes_of) {
    const __m512i columns = _mm512_load_si512(weights);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      __m512i codes = _mm512_set1_epi32(codes_of(r));
      if (Flip) codes = _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
      add_dots(of[s][r], codes, columns);
    }
  }

  inline __attribute__((always_inline)) void add_up(const GemmTile& tile, int v) {
    const __m512i bias = _mm512_loadu_si512(tile.bias + 16 * v);
#pragma GCC unroll 8
    for (int s = 0; s < S; ++s) {
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) of[s][r] = s == 0 ? bias : _mm512_setzero_si512();
    }
    const int64_t whole = tile.depth & ~int64_t{3};
    const int32_t* begins = tile.begins + v * tile.panel_segments;
    for (int64_t segment = 0; segment < tile.segments; ++segment) {
      const uint8_t* from[R];
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) from[r] = part_of(tile, segment, r);
      int64_t i = begins[segment];
      int64_t end = begins[segment + 1];
      const bool tail = end > i && tile.places[end - 1] + 4 > tile.depth;
      end -= tail ? 1 : 0;
      const int8_t* weights = tile.weights + 64 * i;
      for (; i + S <= end; i += S, weights += 64 * S) {
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) {
          const int64_t k = tile.places[i + s];
          step(s, weights + 64 * s, [&](int r) __attribute__((always_inline)) { return four(from[r] + k); });
        }
      }
      for (; S > 1 && i < end; ++i, weights += 64) {
        const int64_t k = tile.places[i];
        step(0, weights, [&](int r) __attribute__((always_inline)) { return four(from[r] + k); });
      }
      if (tail) {
        const int64_t count = tile.depth - whole;
        step(0, weights, [&](int r) __attribute__((always_inline)) { return fewer(from[r] + whole, count); });
      }
    }
#pragma GCC unroll 8
    for (int s = 1; s < S; ++s) {
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) of[0][r] = _mm512_add_epi32(of[0][r], of[s][r]);
    }
  }
};

template <int V>
static void store_sums(const GemmTile& tile, const __m512i* sums) {
  if (!plain(tile) || tile.other != nullptr) {
    gemm_store<V>(tile, sums);
    return;
  }
  const Codes codes(tile.out);
  const __mmask64 mask = first_bytes(tile.columns);
  __m512 scale[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) scale[v] = _mm512_loadu_ps(tile.out.scale + 16 * v);
  auto* to = static_cast<uint8_t*>(tile.to);
  for (int r = 0; r < tile.count; ++r, to += tile.pitch) store_codes<V>(to, sums + r * V, scale, mask, codes);
}

template <int R, bool Flip>
static void sparse_tile(const GemmTile& tile) {
  constexpr int kParts = R == 1 ? 8 : R <= 4 ? 4 : R <= 6 ? 2 : 1;
  static constexpr void (*kStore[])(const GemmTile&, const __m512i*) = {store_sums<1>, store_sums<2>, store_sums<3>,
                                                                        store_sums<4>};
  const int vectors = (tile.columns + 15) / 16;
  __m512i all[R * 4];
  for (int v = 0; v < vectors; ++v) {
    SparseSums<R, kParts, Flip> sums;
    sums.add_up(tile, v);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) all[r * vectors + v] = sums.of[0][r];
  }
  kStore[vectors - 1](tile, all);
}

#define GRAPHOPT_ROWS(Flip) \
  { \
    sparse_tile<1, Flip>, sparse_tile<2, Flip>, sparse_tile<3, Flip>, sparse_tile<4, Flip>, sparse_tile<5, Flip>, \
        sparse_tile<6, Flip>, sparse_tile<7, Flip>, sparse_tile<8, Flip>, sparse_tile<9, Flip>, \
        sparse_tile<10, Flip>, sparse_tile<11, Flip>, sparse_tile<12, Flip> \
  }

using SparseTile = void (*)(const GemmTile&);

static const SparseTile kSparseTiles[2][kSparseRows] = {GRAPHOPT_ROWS(false), GRAPHOPT_ROWS(true)};

#undef GRAPHOPT_ROWS

static void sparse_panel(const GemmTile& panel) {
  const SparseTile* tiles = kSparseTiles[panel.flip];
  even_tiles(panel, kSparseRows, [&](const GemmTile& tile) { tiles[tile.count - 1](tile); });
}

}  // namespace graphopt::kernels::avx512_vnni
