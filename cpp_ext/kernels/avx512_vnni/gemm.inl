// Products of u8 and s8 by vpdpbusd: tiles of up to 24 sums, rows by pointers, weights by whole vectors.

namespace graphopt::kernels::avx512_vnni {

#include "kernels/generic/tiles.inl"

// In place: gcc 12 copies sums that live on from one loop to the next.
static inline __attribute__((always_inline)) void add_dots(__m512i& sum, __m512i codes, __m512i weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(weights));
}

// Of R rows and V vectors of columns.
template <int R, int V, bool Flip>
struct Sums {
  __m512i of[R][V];

  // Four codes of each row by four weights of each column.
  template <typename CodesOf>
  inline __attribute__((always_inline)) void step(const int8_t* weights, const CodesOf& codes_of) {
    __m512i columns[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) columns[v] = _mm512_load_si512(weights + 64 * v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      __m512i codes = _mm512_set1_epi32(codes_of(r));
      if (Flip) codes = _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) add_dots(of[r][v], codes, columns[v]);
    }
  }

  // Of the rows from `row` on.
  inline __attribute__((always_inline)) void add_up(const GemmTile& tile, int64_t row) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const __m512i bias = _mm512_loadu_si512(tile.bias + 16 * v);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) of[r][v] = bias;
    }
    const int8_t* weights = tile.weights;
    const int64_t whole = tile.depth & ~int64_t{3};
    const int64_t tail = tile.depth & 3;
    for (int64_t segment = 0; segment < tile.segments; ++segment) {
      const uint8_t* from[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) from[r] = part_of(tile, segment, row + r);
      for (int64_t k = 0; k < whole; k += 4, weights += 64 * V) {
        step(weights, [&](int r) __attribute__((always_inline)) { return four(from[r] + k); });
      }
      if (tail != 0) {
        step(weights, [&](int r) __attribute__((always_inline)) { return fewer(from[r] + whole, tail); });
        weights += 64 * V;
      }
    }
  }

  inline __attribute__((always_inline)) void store(const GemmTile& tile, uint8_t* to, const Codes& codes) const {
    const __mmask64 mask = first_bytes(tile.columns);
    __m512 scale[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) scale[v] = _mm512_loadu_ps(tile.out.scale + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) store_codes<V>(to + r * tile.pitch, of[r], scale, mask, codes);
  }
};

// Zero points of weights, numbers, and scales of 1 or more are for `gemm_store`.
static inline bool plain(const GemmTile& tile) {
  return tile.zeros == nullptr && tile.out.type != Type::kF32 && !tile.out.large;
}

static inline Codes plain_codes(const GemmTile& tile) {
  Codes codes(tile.out);
  codes.large = false;
  return codes;
}

// What few tiles need. Apart, so that the code of tiles stays short.
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
      store_codes<V>(static_cast<uint8_t*>(tile.to) + r * tile.pitch, row, scale, first_bytes(tile.columns), codes);
    }
  }
}

template <int R, int V, bool Flip>
static void gemm_tile(const GemmTile& tile) {
  Sums<R, V, Flip> sums;
  sums.add_up(tile, 0);
  if (plain(tile)) {
    sums.store(tile, static_cast<uint8_t*>(tile.to), plain_codes(tile));
    return;
  }
  const Sums<R, V, Flip> copy = sums;
  gemm_store<V>(tile, &copy.of[0][0]);
}

// Any number of tiles of R rows. What becomes of the sums of one is done behind the products of the next: the
// processor does both at a time, but would wait for the last sums if their use came right behind them.
template <int R, int V, bool Flip>
static void gemm_tiles(const GemmTile& given) {
  const GemmTile tile = given;
  const Codes codes = plain_codes(tile);
  int64_t row = 0;
  auto* to = static_cast<uint8_t*>(tile.to);
  Sums<R, V, Flip> even;
  Sums<R, V, Flip> odd;
  even.add_up(tile, row);
  for (int left = tile.count - R;; left -= 2 * R) {
    if (left <= 0) {
      even.store(tile, to, codes);
      return;
    }
    odd.add_up(tile, row += R);
    even.store(tile, to, codes);
    to += R * tile.pitch;
    if (left <= R) {
      odd.store(tile, to, codes);
      return;
    }
    even.add_up(tile, row += R);
    odd.store(tile, to, codes);
    to += R * tile.pitch;
  }
}

using Tile = void (*)(const GemmTile&);

// Rows of half a tile, by vectors: as many sums as keep a processor busy, and room for as many that are stored.
constexpr int kGemmHalf[] = {0, 8, 6, 4, 3};
constexpr int kGemmRows[] = {0, 8, 8, 8, 6};
// Halves read weights twice as often: these must come from the first cache.
constexpr int64_t kGemmBytes = 36 * 1024;

#define GRAPHOPT_ROWS(V, Flip) \
  { \
    gemm_tiles<kGemmHalf[V], V, Flip>, gemm_tile<1, V, Flip>, gemm_tile<2, V, Flip>, gemm_tile<3, V, Flip>, \
        gemm_tile<4, V, Flip>, gemm_tile<5, V, Flip>, gemm_tile<6, V, Flip>, \
        V < 4 ? gemm_tile<7, V < 4 ? V : 1, Flip> : nullptr, V < 4 ? gemm_tile<8, V < 4 ? V : 1, Flip> : nullptr \
  }

static const Tile kGemmTiles[2][4][9] = {
    {GRAPHOPT_ROWS(1, false), GRAPHOPT_ROWS(2, false), GRAPHOPT_ROWS(3, false), GRAPHOPT_ROWS(4, false)},
    {GRAPHOPT_ROWS(1, true), GRAPHOPT_ROWS(2, true), GRAPHOPT_ROWS(3, true), GRAPHOPT_ROWS(4, true)}};

#undef GRAPHOPT_ROWS

static void gemm_panels(const GemmTile& given) {
  const int vectors = (given.columns + 15) / 16;
  const Tile* tiles = kGemmTiles[given.flip][vectors - 1];
  const int most = kGemmRows[vectors];
  const auto tile_of = [&](const GemmTile& tile) { tiles[tile.count](tile); };
  const int half = kGemmHalf[vectors];
  const int64_t bytes = given.segments * ((given.depth + 3) / 4) * 64 * vectors;
  if (given.count <= most || bytes > kGemmBytes || !plain(given)) {
    even_tiles(given, most, tile_of);
    return;
  }
  GemmTile tile = given;
  // Rows left over make a tile with half a tile of those before.
  const int over = given.count % half;
  const int last = over == 0 ? 0 : over + half <= most ? over + half : over;
  tile.count = given.count - last;
  tiles[0](tile);
  next_rows(tile, tile.count);
  tile.count = last;
  if (last != 0) tile_of(tile);
}

}  // namespace graphopt::kernels::avx512_vnni
