// Products of u8 and s8 by vpdpbusd: tiles of up to 24 sums, rows by pointers, weights by whole vectors.

namespace graphopt::kernels::avx512_vnni {

#include "kernels/generic/tiles.inl"

// In place: gcc 12 copies sums that live on from one loop to the next.
static inline __attribute__((always_inline)) void add_dots(__m512i& sum, __m512i codes, __m512i weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(weights));
}

// Read where it is used, and not kept in registers, which are for sums.
template <typename T>
static inline __attribute__((always_inline)) const T& in_memory(const T& given) {
  const T* at = &given;
  asm volatile("" : "+r"(at));
  return *at;
}

// Kept in a register until it is used for the last time.
static inline __attribute__((always_inline)) __m512i weights_at(const int8_t* from) {
  __m512i weights;
  asm("vmovdqa64 %1, %0" : "=v"(weights) : "m"(*reinterpret_cast<const __m512i*>(from)));
  return weights;
}

// The columns of `mask` of one row, or of two rows of two vectors, or of four of one.
template <int V>
static inline __attribute__((always_inline)) void store_rows(uint8_t* to, int64_t pitch, int rows, __mmask64 mask,
                                                             __m512i bytes) {
  if (V >= 3) {
    _mm512_mask_storeu_epi8(to, mask, bytes);
  } else if (V == 2) {
    _mm256_mask_storeu_epi8(to, static_cast<__mmask32>(mask), _mm512_castsi512_si256(bytes));
    if (rows > 1) {
      _mm256_mask_storeu_epi8(to + pitch, static_cast<__mmask32>(mask), _mm512_extracti64x4_epi64(bytes, 1));
    }
  } else {
    const auto few = static_cast<__mmask16>(mask);
    _mm_mask_storeu_epi8(to, few, _mm512_castsi512_si128(bytes));
    if (rows > 1) _mm_mask_storeu_epi8(to + pitch, few, _mm512_extracti32x4_epi32(bytes, 1));
    if (rows > 2) _mm_mask_storeu_epi8(to + 2 * pitch, few, _mm512_extracti32x4_epi32(bytes, 2));
    if (rows > 3) _mm_mask_storeu_epi8(to + 3 * pitch, few, _mm512_extracti32x4_epi32(bytes, 3));
  }
}

template <int V>
static inline __attribute__((always_inline)) __m512i load_rows(const uint8_t* from, int64_t pitch, int rows,
                                                               __mmask64 mask) {
  if (V >= 3) return _mm512_maskz_loadu_epi8(mask, from);
  if (V == 2) {
    const auto some = static_cast<__mmask32>(mask);
    const __m512i first = _mm512_zextsi256_si512(_mm256_maskz_loadu_epi8(some, from));
    return rows > 1 ? _mm512_inserti64x4(first, _mm256_maskz_loadu_epi8(some, from + pitch), 1) : first;
  }
  const auto few = static_cast<__mmask16>(mask);
  __m512i all = _mm512_zextsi128_si512(_mm_maskz_loadu_epi8(few, from));
  if (rows > 1) all = _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(few, from + pitch), 1);
  if (rows > 2) all = _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(few, from + 2 * pitch), 2);
  if (rows > 3) all = _mm512_inserti32x4(all, _mm_maskz_loadu_epi8(few, from + 3 * pitch), 3);
  return all;
}

// Weights of the next panel, fetched a little at a time while those of this one are used: no processor foresees as many,
// and they may come from memory.
struct Ahead {
  const char* at;
  const char* end;
  int64_t lines;  // at a time

  // By so many times.
  Ahead(const GemmTile& tile, int64_t times)
      : at(reinterpret_cast<const char*>(tile.next)), end(at), lines(0) {
    if (tile.next == nullptr) return;
    end += tile.next_bytes;
    lines = (tile.next_bytes / 64 + times - 1) / times;
  }

  inline __attribute__((always_inline)) void go() {
    for (int64_t left = at < end ? lines : 0; left > 0; --left, at += 64) _mm_prefetch(at, _MM_HINT_T1);
  }
};

// From rows that are added to those that are fetched for later.
constexpr int kRowsAhead = 12;

// Of R rows and V vectors of columns.
template <int R, int V, bool Flip>
struct Sums {
  // Few sums would each wait for its last product: there are two of each, of every other step.
  static constexpr bool kTwice = R * V < 8;

  __m512i of[R][V];

  // Four codes of each row by four weights of each column.
  template <typename CodesOf>
  inline __attribute__((always_inline)) void step(const int8_t* weights, const CodesOf& codes_of) {
    __m512i columns[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) columns[v] = weights_at(weights + 64 * v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      __m512i codes = _mm512_set1_epi32(codes_of(r));
      if (Flip) codes = _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) add_dots(of[r][v], codes, columns[v]);
    }
  }

  inline __attribute__((always_inline)) void clear() {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) of[r][v] = _mm512_setzero_si512();
    }
  }

  inline __attribute__((always_inline)) void add(const Sums& others) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) of[r][v] = _mm512_add_epi32(of[r][v], others.of[r][v]);
    }
  }

  // Of the rows from `row` on. What `between` does of its first `Parts` parts is strewn among the first products.
  // A line from `next_line` on is fetched every other step, if `Fetches`.
  template <int Parts, bool Fetches, typename Between>
  inline __attribute__((always_inline)) void add_up(const GemmTile& tile, int64_t row, const char* next_line,
                                                    const Between& between) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const __m512i bias = _mm512_loadu_si512(tile.bias + 16 * v);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) of[r][v] = bias;
    }
    Sums others;
    if (kTwice) others.clear();
    const int8_t* weights = tile.weights;
    const int64_t whole = tile.depth & ~int64_t{3};
    const int64_t tail = tile.depth & 3;
    for (int64_t segment = 0; segment < tile.segments; ++segment) {
      const uint8_t* from[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) from[r] = part_of(tile, segment, row + r);
      int64_t k = 0;
      const auto up_to = [&](int64_t end) __attribute__((always_inline)) {
        const auto next = [&](Sums& sums) __attribute__((always_inline)) {
          sums.step(weights, [&](int r) __attribute__((always_inline)) { return four(from[r] + k); });
          k += 4;
          weights += 64 * V;
        };
        while ((Fetches || kTwice) && k < end - 4) {
          next(*this);
          next(kTwice ? others : *this);
          if (!Fetches) continue;
          _mm_prefetch(next_line, _MM_HINT_T1);
          next_line += 64;
        }
        while (k < end) next(*this);
      };
      if (Parts > 0 && segment == 0) {
        const int64_t some = whole / (4 * (Parts + 1)) * 4;
#pragma GCC unroll 8
        for (int part = 0; part < Parts; ++part) {
          up_to(k + some);
          between(part);
        }
      }
      up_to(whole);
      if (tail != 0) {
        step(weights, [&](int r) __attribute__((always_inline)) { return fewer(from[r] + whole, tail); });
        weights += 64 * V;
      }
    }
    if (kTwice) add(others);
  }

  // Rows whose codes are made and stored together: those of four vectors.
  static constexpr int kTogether = V == 1 ? 4 : V == 2 ? 2 : 1;
  static constexpr int kParts = (R + kTogether - 1) / kTogether;

  // The codes of a part, as s8: of u8, less by 128; or, if `to_u8`, as u8. All codes of the type are within bounds, if
  // `whole_range`. No scale is 1 or more.
  template <bool whole_range, bool to_u8, typename ScaleOf>
  inline __attribute__((always_inline)) __m512i codes_of(int part, const ScaleOf& scale_of, const Codes& codes) const {
    __m512i whole[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int row = part * kTogether + (kTogether > 1 ? i / V : 0);
      const int v = kTogether > 1 ? i % V : i;
      if (row < R && v < V) {
        const __m512 product = _mm512_mul_ps(_mm512_cvtepi32_ps(of[row][v]), scale_of(v));
        whole[i] = _mm512_cvtps_epi32(product);
      } else {
        whole[i] = _mm512_setzero_si512();
      }
    }
    const __m512i words[2] = {_mm512_packs_epi32(whole[0], whole[1]), _mm512_packs_epi32(whole[2], whole[3])};
    if (to_u8) {
      return in_order(_mm512_packus_epi16(_mm512_adds_epi16(words[0], codes.zero_of_u8),
                                          _mm512_adds_epi16(words[1], codes.zero_of_u8)));
    }
    if (whole_range) return in_order(saturated_bytes(words[0], words[1], codes));
    return in_order(packed_bytes(words[0], words[1], codes));
  }

  // Stores all codes; u8, all of which are within bounds, if `whole_range`.
  template <bool whole_range>
  inline __attribute__((always_inline)) void store(const GemmTile& tile, uint8_t* to, const Codes& codes) const {
    __m512 scale[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) scale[v] = _mm512_loadu_ps(tile.out.scale + 16 * v);
    const auto scale_of = [&](int v) __attribute__((always_inline)) { return scale[v]; };
#pragma GCC unroll 8
    for (int part = 0; part < kParts; ++part) {
      const __m512i made = codes_of<whole_range, whole_range>(part, scale_of, codes);
      store(tile, part, to, whole_range ? made : _mm512_xor_si512(made, codes.flip));
    }
  }

  static constexpr int rows_of(int part) { return R - part * kTogether < kTogether ? R - part * kTogether : kTogether; }

  // Stores a part.
  static inline __attribute__((always_inline)) void store(const GemmTile& tile, int part, uint8_t* to, __m512i codes) {
    store_rows<V>(to + part * kTogether * tile.pitch, tile.pitch, rows_of(part), first_bytes(tile.columns), codes);
  }

  // The sums of the codes of a part and others; u8, all of which are within bounds, if `whole_range`.
  template <bool whole_range>
  static inline __attribute__((always_inline)) __m512i added(const GemmTile& tile, int part, const uint8_t* other,
                                                             __m512i codes, const SumTerms& terms) {
    const uint8_t* const from = other + part * kTogether * tile.other_pitch;
    // A line of each row: no processor foresees which.
    for (int row = 0; row < rows_of(part); ++row) {
      _mm_prefetch(reinterpret_cast<const char*>(from + (kRowsAhead + row) * tile.other_pitch), _MM_HINT_T0);
    }
    const __m512i others = load_rows<V>(from, tile.other_pitch, rows_of(part), first_bytes(tile.columns));
    return integer_sums<!whole_range, !whole_range>(codes, others, terms);
  }
};

// Zero points of weights, numbers, and scales of 1 or more are for `gemm_store`.
static inline bool plain(const GemmTile& tile) {
  return tile.zeros == nullptr && tile.out.type != Type::kF32 && !tile.out.large;
}

// What few tiles need. Apart, so that the code of tiles stays short.
template <int V>
__attribute__((noinline)) static void gemm_store(const GemmTile& tile, const __m512i* acc) {
  const Codes codes(tile.out);
  const __mmask64 mask = first_bytes(tile.columns);
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
      continue;
    }
    auto* const to = static_cast<uint8_t*>(tile.to) + r * tile.pitch;
    if (tile.other == nullptr) {
      store_codes<V>(to, row, scale, mask, codes);
      continue;
    }
    // What is added may lie where the sums will.
    alignas(64) uint8_t made[64];
    store_codes<V>(made, row, scale, mask, codes);
    const auto columns = static_cast<size_t>(tile.columns);
    add_integers(made, tile.other + r * tile.other_pitch, to, {1, columns, 0, 0, 0, 1, 1}, *tile.sum);
  }
}

template <int R, int V, bool Flip>
static void gemm_tile(const GemmTile& tile, Ahead& ahead) {
  Sums<R, V, Flip> sums;
  if (R > 1 && ahead.at < ahead.end) {
    sums.template add_up<0, true>(tile, 0, ahead.at, [](int) {});
    ahead.at += tile.segments * (tile.depth / 8) * 64;
  } else {
    sums.template add_up<0, false>(tile, 0, nullptr, [](int) {});
  }
  if (plain(tile) && tile.other == nullptr) {
    sums.template store<false>(tile, static_cast<uint8_t*>(tile.to), Codes(tile.out));
    return;
  }
  const Sums<R, V, Flip> copy = sums;
  gemm_store<V>(tile, &copy.of[0][0]);
}

// What becomes of the sums of a tile while those of the next are made.
enum class Then { kStore, kStoreAmong, kAddAmong };

// Any number of tiles of R rows. What becomes of the sums of one is done behind or among the products of the next: the
// processor does both at a time, but would wait for the last sums if their use came right behind them.
// `whole_range`: all codes are within bounds, and results are u8.
template <int R, int V, bool Flip, Then then, bool whole_range>
static void gemm_tiles(const GemmTile& given, Ahead& shared_ahead) {
  using Tile = Sums<R, V, Flip>;
  constexpr bool kAdds = then == Then::kAddAmong;
  // Adding is a part by itself: what waits for results is not to fill the queues that products wait in.
  constexpr int kPieces = kAdds ? 2 * Tile::kParts : Tile::kParts;
  const GemmTile tile = given;
  const Codes codes(tile.out);
  const SumTerms terms(kAdds ? *tile.sum : IntegerSum{});
  auto* to = static_cast<uint8_t*>(tile.to);
  const auto* other = tile.other;
  int64_t row = 0;
  Ahead ahead = shared_ahead;
  __m512i some;
  const auto scale_of = [&](int v) __attribute__((always_inline)) { return _mm512_loadu_ps(tile.out.scale + 16 * v); };
  const auto use = [&](const Tile& sums, int piece) __attribute__((always_inline)) {
    const Codes& near = in_memory(codes);
    if (!kAdds && whole_range) {
      sums.store(tile, piece, to, sums.template codes_of<true, true>(piece, scale_of, near));
    } else if (!kAdds) {
      const __m512i made = sums.template codes_of<false, false>(piece, scale_of, near);
      sums.store(tile, piece, to, _mm512_xor_si512(made, near.flip));
    } else if (piece % 2 == 0) {
      some = sums.template codes_of<whole_range, false>(piece / 2, scale_of, near);
    } else {
      sums.store(tile, piece / 2, to,
                 sums.template added<whole_range>(tile, piece / 2, other, some, in_memory(terms)));
    }
  };
  const auto last = [&](const Tile& sums) __attribute__((always_inline)) {
    if (!kAdds) return sums.template store<whole_range>(tile, to, codes);
#pragma GCC unroll 8
    for (int piece = 0; piece < kPieces; ++piece) use(sums, piece);
  };
  const auto next = [&](Tile& sums, const Tile& before) __attribute__((always_inline)) {
    sums.template add_up<then == Then::kStore ? 0 : kPieces, false>(
        tile, row += R, nullptr, [&](int piece) __attribute__((always_inline)) {
          if (piece % 2 == 0) ahead.go();
          use(before, piece);
        });
    if (then == Then::kStore) last(before);
    to += R * tile.pitch;
    if (kAdds) other += R * tile.other_pitch;
  };
  Tile even;
  Tile odd;
  even.template add_up<0, false>(tile, row, nullptr, [](int) {});
  for (int left = tile.count - R;; left -= 2 * R) {
    if (left <= 0) return last(even);
    next(odd, even);
    if (left <= R) return last(odd);
    next(even, odd);
  }
}

using Tile = void (*)(const GemmTile&, Ahead&);

// Rows of half a tile, by vectors: as many sums as keep a processor busy, and room for as many that are stored.
constexpr int kGemmHalf[] = {0, 8, 6, 4, 3};
constexpr int kGemmRows[] = {0, 8, 8, 8, 6};
// Halves read weights twice as often: these must come from the first cache.
constexpr int64_t kGemmBytes = 36 * 1024;
// Parts in which they are fetched meanwhile.
constexpr int64_t kFetches = 16;
// Products of a sum that are too few for anything to be strewn among them.
constexpr int64_t kGemmFew = 36;

#define GRAPHOPT_ROWS(V, Flip) \
  { \
    gemm_tiles<kGemmHalf[V], V, Flip, Then::kStoreAmong, false>, gemm_tile<1, V, Flip>, gemm_tile<2, V, Flip>, gemm_tile<3, V, Flip>, \
        gemm_tile<4, V, Flip>, gemm_tile<5, V, Flip>, gemm_tile<6, V, Flip>, \
        V < 4 ? gemm_tile<7, V < 4 ? V : 1, Flip> : nullptr, V < 4 ? gemm_tile<8, V < 4 ? V : 1, Flip> : nullptr \
  }

static const Tile kGemmTiles[2][4][9] = {
    {GRAPHOPT_ROWS(1, false), GRAPHOPT_ROWS(2, false), GRAPHOPT_ROWS(3, false), GRAPHOPT_ROWS(4, false)},
    {GRAPHOPT_ROWS(1, true), GRAPHOPT_ROWS(2, true), GRAPHOPT_ROWS(3, true), GRAPHOPT_ROWS(4, true)}};

#undef GRAPHOPT_ROWS

#define GRAPHOPT_ALL(Flip, then, whole_range) \
  { \
    gemm_tiles<kGemmHalf[1], 1, Flip, then, whole_range>, gemm_tiles<kGemmHalf[2], 2, Flip, then, whole_range>, \
        gemm_tiles<kGemmHalf[3], 3, Flip, then, whole_range>, gemm_tiles<kGemmHalf[4], 4, Flip, then, whole_range> \
  }

static const Tile kGemmAdding[2][4] = {GRAPHOPT_ALL(false, Then::kAddAmong, false),
                                       GRAPHOPT_ALL(true, Then::kAddAmong, false)};
static const Tile kGemmShort[2][4] = {GRAPHOPT_ALL(false, Then::kStore, false),
                                      GRAPHOPT_ALL(true, Then::kStore, false)};
// Of codes that are u8 and lead to u8, as nearly all do.
static const Tile kWholeAdding[4] = GRAPHOPT_ALL(false, Then::kAddAmong, true);
static const Tile kWholeStoring[4] = GRAPHOPT_ALL(false, Then::kStoreAmong, true);
static const Tile kWholeShort[4] = GRAPHOPT_ALL(false, Then::kStore, true);

#undef GRAPHOPT_ALL

// Whether no bounds and no signs are to be seen to.
static bool is_whole(const GemmTile& tile) {
  const bool is_u8 = tile.out.type == Type::kU8;
  const int least = is_u8 ? 0 : -128;
  if (tile.flip || tile.out.low > least || tile.out.high < least + 255) return false;
  if (tile.other == nullptr) return is_u8;
  return !is_bounded(*tile.sum) && tile.sum->y_flip == 0;
}

static void gemm_panels(const GemmTile& given) {
  const int vectors = (given.columns + 15) / 16;
  const Tile* tiles = kGemmTiles[given.flip][vectors - 1];
  const int most = kGemmRows[vectors];
  const int64_t bytes = given.segments * ((given.depth + 3) / 4) * 64 * vectors;
  // Among no products nothing is done.
  const bool few_rows = given.count <= most || bytes > kGemmBytes || !plain(given) || given.segments == 0;
  Ahead ahead(given, kFetches);
  const auto tile_of = [&](const GemmTile& tile) { tiles[tile.count](tile, ahead); };
  const int half = kGemmHalf[vectors];
  // Not copied: that would wait until what was written of it last is in the cache.
  if (given.count <= most) return tile_of(given);
  if (few_rows) {
    even_tiles(given, most, tile_of);
    return;
  }
  GemmTile tile = given;
  // Rows left over make a tile with half a tile of those before.
  const int over = given.count % half;
  const int last = over == 0 ? 0 : over + half <= most ? over + half : over;
  tile.count = given.count - last;
  const bool few = given.segments * given.depth <= kGemmFew;
  const bool whole = is_whole(given);
  const int v = vectors - 1;
  const Tile adding = whole ? kWholeAdding[v] : kGemmAdding[given.flip][v];
  const Tile among = whole ? kWholeStoring[v] : tiles[0];
  const Tile behind = whole ? kWholeShort[v] : kGemmShort[given.flip][v];
  const Tile storing = few ? behind : among;
  const Tile all = tile.other != nullptr ? adding : storing;
  all(tile, ahead);
  next_rows(tile, tile.count);
  tile.count = last;
  if (last != 0) tile_of(tile);
}

}  // namespace graphopt::kernels::avx512_vnni
