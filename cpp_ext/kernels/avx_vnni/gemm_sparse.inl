// Products by weights of which groups are left out: one vector of columns at a time, as each has groups of its own.

namespace graphopt::kernels::avx_vnni {

constexpr int kSparseRows = 8;

// Columns of one vector, each sum in S parts: few rows alone would keep few sums at work.
template <int R, int S, bool Flip>
static void sparse_tile_of(const GemmTile& tile) {
  __m256i sums[S][R];
#pragma GCC unroll 8
  for (int s = 0; s < S; ++s) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      sums[s][r] = s == 0 ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.bias)) : _mm256_setzero_si256();
    }
  }
  const auto step = [&](int s, const int8_t* weights, const auto& codes_of) __attribute__((always_inline)) {
    const __m256i columns = _mm256_load_si256(reinterpret_cast<const __m256i*>(weights));
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      __m256i codes = _mm256_set1_epi32(codes_of(r));
      if (Flip) codes = _mm256_xor_si256(codes, _mm256_set1_epi8(static_cast<char>(0x80)));
      sums[s][r] = Dot::add(sums[s][r], codes, columns);
    }
  };
  const int64_t whole = tile.depth & ~int64_t{3};
  for (int64_t segment = 0; segment < tile.segments; ++segment) {
    const uint8_t* from[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) from[r] = part_of(tile, segment, r);
    int64_t i = tile.begins[segment];
    int64_t end = tile.begins[segment + 1];
    const bool tail = end > i && tile.places[end - 1] + 4 > tile.depth;
    end -= tail ? 1 : 0;
    const int8_t* weights = tile.weights + 32 * i;
    for (; i + S <= end; i += S, weights += 32 * S) {
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) {
        const int64_t k = tile.places[i + s];
        step(s, weights + 32 * s, [&](int r) __attribute__((always_inline)) { return four(from[r] + k); });
      }
    }
    for (; S > 1 && i < end; ++i, weights += 32) {
      const int64_t k = tile.places[i];
      step(0, weights, [&](int r) __attribute__((always_inline)) { return four(from[r] + k); });
    }
    if (tail) {
      const int64_t count = tile.depth - whole;
      step(0, weights, [&](int r) __attribute__((always_inline)) { return fewer(from[r] + whole, count); });
    }
  }
  __m256i all[R][1];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    all[r][0] = sums[0][r];
#pragma GCC unroll 8
    for (int s = 1; s < S; ++s) all[r][0] = _mm256_add_epi32(all[r][0], sums[s][r]);
  }
  store_tile<R, 1>(tile, all);
}

template <int R, bool Flip>
static void sparse_tile(const GemmTile& given) {
  constexpr int kParts = R == 1 ? 8 : R == 2 ? 4 : R <= 4 ? 2 : 1;
  GemmTile tile = given;
  for (int left = given.columns; left > 0; left -= 8) {
    tile.columns = left < 8 ? left : 8;
    sparse_tile_of<R, kParts, Flip>(tile);
    tile.begins += tile.panel_segments;
    tile.bias += 8;
    if (tile.zeros != nullptr) tile.zeros += 8;
    tile.out.scale += 8;
    if (tile.out.shift != nullptr) tile.out.shift += 8;
    tile.to = static_cast<uint8_t*>(tile.to) + 8 * (tile.out.type == Type::kF32 ? sizeof(float) : 1);
  }
}

#define GRAPHOPT_ROWS(Flip) \
  { \
    sparse_tile<1, Flip>, sparse_tile<2, Flip>, sparse_tile<3, Flip>, sparse_tile<4, Flip>, sparse_tile<5, Flip>, \
        sparse_tile<6, Flip>, sparse_tile<7, Flip>, sparse_tile<8, Flip> \
  }

static const Tile kSparseTiles[2][kSparseRows] = {GRAPHOPT_ROWS(false), GRAPHOPT_ROWS(true)};

#undef GRAPHOPT_ROWS

static void sparse_panel(const GemmTile& panel) {
  const Tile* tiles = kSparseTiles[panel.flip];
  even_tiles(panel, kSparseRows, [&](const GemmTile& tile) { tiles[tile.count - 1](tile); });
}

static const Gemm gemm = {8, 2, 4, 1, {0, 6, 6, 0, 0}, false, &gemm_panels, &sparse_panel, nullptr, &pack_columns<4>};

}  // namespace graphopt::kernels::avx_vnni
