// Products by weights of groups of few columns: each lane reads the codes of its column's group.

namespace graphopt::kernels::avx512_vnni {

constexpr int kGroupedRows = 4;

// What a vector of columns reads of a row: one group's codes, four of them for all lanes, or those of several groups,
// 16 bytes or up to 64.
enum class Reads { kGroup, kShort, kLong };

struct GroupOrder {
  // Of lane l, the first four codes of its group.
  __m512i begins;
  // Fours that a vector reads.
  __mmask16 mask;
  // Codes from those of one vector to those of the next.
  int64_t step;

  explicit GroupOrder(const GemmTile& tile) {
    const int groups = 16 / tile.group_columns;
    const auto fours = static_cast<int32_t>(tile.depth / 4);
    alignas(64) int32_t places[16];
    int32_t* place = places;
    for (int32_t group = 0; group < groups; ++group) {
      for (int column = 0; column < tile.group_columns; ++column) *place++ = group * fours;
    }
    begins = _mm512_load_si512(places);
    step = groups * tile.depth;
    mask = step >= 64 ? 0xFFFF : static_cast<__mmask16>((1 << (step / 4)) - 1);
  }
};

template <Reads reads>
static inline __attribute__((always_inline)) __m512i codes_of_groups(const uint8_t* from, int64_t k, __m512i order,
                                                                     __mmask16 mask) {
  if (reads == Reads::kGroup) return _mm512_set1_epi32(four(from + k));
  if (reads == Reads::kLong) return _mm512_permutexvar_epi32(order, _mm512_maskz_loadu_epi32(mask, from));
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm512_permutexvar_epi32(order, _mm512_broadcast_i32x4(codes));
}

template <int R, int V, Reads reads, bool Flip>
static void grouped_tile(const GemmTile& tile, const GroupOrder& order) {
  Sums<R, V, Flip> sums;
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const __m512i bias = _mm512_loadu_si512(tile.bias + 16 * v);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) sums.of[r][v] = bias;
  }
  const int8_t* weights = tile.weights;
  for (int64_t segment = 0; segment < tile.segments; ++segment) {
    const uint8_t* from[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) from[r] = part_of(tile, segment, r);
    __m512i at = order.begins;
    for (int64_t k = 0; k < tile.depth; k += 4, weights += 64 * V) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const __m512i columns = weights_at(weights + 64 * v);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
          __m512i codes = codes_of_groups<reads>(from[r] + v * order.step, k, at, order.mask);
          if (Flip) codes = _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
          add_dots(sums.of[r][v], codes, columns);
        }
      }
      at = _mm512_add_epi32(at, _mm512_set1_epi32(1));
    }
  }
  if (plain(tile) && tile.other == nullptr) {
    sums.template store<false>(tile, static_cast<uint8_t*>(tile.to), Codes(tile.out));
    return;
  }
  const Sums<R, V, Flip> copy = sums;
  gemm_store<V>(tile, &copy.of[0][0]);
}

#define GRAPHOPT_ROWS(V, reads, Flip) \
  { \
    grouped_tile<1, V, reads, Flip>, grouped_tile<2, V, reads, Flip>, grouped_tile<3, V, reads, Flip>, \
        grouped_tile<4, V, reads, Flip> \
  }
#define GRAPHOPT_VECTORS(reads, Flip) \
  { \
    GRAPHOPT_ROWS(1, reads, Flip), GRAPHOPT_ROWS(2, reads, Flip), GRAPHOPT_ROWS(3, reads, Flip), \
        GRAPHOPT_ROWS(4, reads, Flip) \
  }

using GroupedTile = void (*)(const GemmTile&, const GroupOrder&);

static const GroupedTile kGroupedTiles[3][2][4][kGroupedRows] = {
    {GRAPHOPT_VECTORS(Reads::kGroup, false), GRAPHOPT_VECTORS(Reads::kGroup, true)},
    {GRAPHOPT_VECTORS(Reads::kShort, false), GRAPHOPT_VECTORS(Reads::kShort, true)},
    {GRAPHOPT_VECTORS(Reads::kLong, false), GRAPHOPT_VECTORS(Reads::kLong, true)}};

#undef GRAPHOPT_VECTORS
#undef GRAPHOPT_ROWS

static void grouped_panel(const GemmTile& panel) {
  const GroupOrder order(panel);
  const Reads reads = panel.group_columns == 16 ? Reads::kGroup : order.step == 16 ? Reads::kShort : Reads::kLong;
  const GroupedTile* tiles = kGroupedTiles[static_cast<int>(reads)][panel.flip][panel.columns / 16 - 1];
  even_tiles(panel, kGroupedRows, [&](const GemmTile& tile) { tiles[tile.count - 1](tile, order); });
}

static const Gemm gemm = {16,   4,            4,             1,              {0, 8, 8, 8, 6},
                          true, &gemm_panels, &sparse_panel, &grouped_panel, &pack_columns<4>};

}  // namespace graphopt::kernels::avx512_vnni
