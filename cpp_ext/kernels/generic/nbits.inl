// Floats by weights of few bits in blocks along the depth; written with the vectors of the tier that includes it.
// All paths add up a column of a row alike: fused products in the order of the depth, by blocks.

constexpr size_t kNbitsVectors = 4;
// Of a tile that keeps its sums in registers.
constexpr size_t kNbitsWide = 2;
constexpr size_t kNbitsRows = kFloats == 1 ? 4 : 6;
constexpr int64_t kNbitsBlock = 256;

// A number of rows as a type.
template <int64_t kRows>
struct NbitsCount {
  static constexpr int64_t kCount = kRows;
};

// The weights of a vector of columns at one place, without their scale; their codes leave the words.
template <int kBits>
static inline Floats next_weights(Ints& words, Floats zero) {
  const Floats weights = low_code<kBits>(words) - zero;
  words = without_low_code<kBits>(words);
  return weights;
}

template <int kBits>
static inline void nbits_row(const NbitsPanel& panel, const float* x, float* to) {
  constexpr int64_t kCodes = 32 / kBits;
  constexpr size_t kColumns = kNbitsVectors * kFloats;
  const uint32_t* from = panel.words;
  Floats total[kNbitsVectors];
  for (size_t v = 0; v < kNbitsVectors; ++v) total[v] = load(panel.bias + v * kFloats, kFloats);
  for (int64_t first = 0, block = 0; first < panel.depth; first += panel.block, ++block) {
    const int64_t count = panel.depth - first < panel.block ? panel.depth - first : panel.block;
    const size_t place = static_cast<size_t>(block) * kColumns;
    Floats zero[kNbitsVectors];
    Floats sum[kNbitsVectors];
    for (size_t v = 0; v < kNbitsVectors; ++v) {
      zero[v] = load(panel.zeros + place + v * kFloats, kFloats);
      sum[v] = all(0);
    }
    for (int64_t k = 0; k < count; k += kCodes, from += kColumns) {
      Ints words[kNbitsVectors];
      for (size_t v = 0; v < kNbitsVectors; ++v) words[v] = load_words(from + v * kFloats);
      const auto step = [&](int64_t i) {
        const Floats number = all(x[first + k + i]);
        for (size_t v = 0; v < kNbitsVectors; ++v) {
          sum[v] = fused(number, next_weights<kBits>(words[v], zero[v]), sum[v]);
        }
      };
      if (count - k >= kCodes) {
        for (int64_t i = 0; i < kCodes; ++i) step(i);
      } else {
        for (int64_t i = 0; i < count - k; ++i) step(i);
      }
    }
    for (size_t v = 0; v < kNbitsVectors; ++v) {
      total[v] = fused(sum[v], load(panel.scales + place + v * kFloats, kFloats), total[v]);
    }
  }
  for (size_t v = 0; v < kNbitsVectors && v * kFloats < panel.columns; ++v) {
    store(to + v * kFloats, panel.columns - v * kFloats, total[v]);
  }
}

// Adds the parts of some blocks, of `depth` numbers together, to a tile of `kRows` rows and, at most, `kNbitsWide`
// vectors of columns.
template <size_t kRows>
static inline void nbits_tile(const NbitsPanel& panel, const float* weights, int64_t depth, const float* scales,
                              const float* x, float* to, size_t columns) {
  Floats total[kRows][kNbitsWide];
  const auto at = [&](size_t r, size_t v) { return to + static_cast<int64_t>(r) * panel.to_pitch + v * kFloats; };
  for (size_t v = 0; v < kNbitsWide; ++v) {
    const size_t left = columns > v * kFloats ? columns - v * kFloats : 0;
    for (size_t r = 0; r < kRows; ++r) total[r][v] = left != 0 ? load(at(r, v), left) : all(0);
  }
  for (int64_t first = 0; first < depth; first += panel.block, scales += kNbitsVectors * kFloats) {
    const int64_t count = depth - first < panel.block ? depth - first : panel.block;
    Floats sum[kRows][kNbitsWide];
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kNbitsWide; ++v) sum[r][v] = all(0);
    }
    for (int64_t k = first; k < first + count; ++k, weights += kNbitsWide * kFloats) {
      Floats column[kNbitsWide];
      for (size_t v = 0; v < kNbitsWide; ++v) column[v] = load(weights + v * kFloats, kFloats);
      for (size_t r = 0; r < kRows; ++r) {
        const Floats number = all(x[static_cast<int64_t>(r) * panel.x_pitch + k]);
        for (size_t v = 0; v < kNbitsWide; ++v) sum[r][v] = fused(number, column[v], sum[r][v]);
      }
    }
    for (size_t v = 0; v < kNbitsWide; ++v) {
      const Floats scale = load(scales + v * kFloats, kFloats);
      for (size_t r = 0; r < kRows; ++r) total[r][v] = fused(sum[r][v], scale, total[r][v]);
    }
  }
  for (size_t v = 0; v < kNbitsWide && v * kFloats < columns; ++v) {
    for (size_t r = 0; r < kRows; ++r) store(at(r, v), columns - v * kFloats, total[r][v]);
  }
}

// Weights become floats once for all rows.
template <int kBits>
static inline void nbits_rows(const NbitsPanel& panel) {
  constexpr int64_t kCodes = 32 / kBits;
  constexpr size_t kColumns = kNbitsVectors * kFloats;
  constexpr size_t kWideColumns = kNbitsWide * kFloats;
  alignas(64) float weights[kNbitsBlock * kWideColumns];
  for (int64_t row = 0; row < panel.rows; ++row) {
    float* to = panel.to + row * panel.to_pitch;
    for (size_t n = 0; n < panel.columns; n += kFloats) {
      store(to + n, panel.columns - n, load(panel.bias + n, kFloats));
    }
  }
  for (size_t column = 0; column < panel.columns; column += kWideColumns) {
    for (int64_t first = 0; first < panel.depth; first += kNbitsBlock) {
      const int64_t depth = panel.depth - first < kNbitsBlock ? panel.depth - first : kNbitsBlock;
      const size_t place = static_cast<size_t>(first / panel.block) * kColumns + column;
      for (size_t v = 0; v < kNbitsWide; ++v) {
        const uint32_t* from = panel.words + static_cast<size_t>(first / kCodes) * kColumns + column + v * kFloats;
        float* made = weights + v * kFloats;
        for (int64_t block = 0; block * panel.block < depth; ++block) {
          const Floats zero = load(panel.zeros + place + static_cast<size_t>(block) * kColumns + v * kFloats, kFloats);
          for (int64_t k = 0; k < panel.block; k += kCodes, from += kColumns) {
            Ints words = load_words(from);
            for (int64_t i = 0; i < kCodes; ++i, made += kWideColumns) {
              store(made, kFloats, next_weights<kBits>(words, zero));
            }
          }
        }
      }
      const float* x = panel.x + first;
      float* to = panel.to + column;
      int64_t left = panel.rows;
      const auto tiles = [&](auto rows) {
        constexpr int64_t kRows = decltype(rows)::kCount;
        for (; left >= kRows; left -= kRows, x += kRows * panel.x_pitch, to += kRows * panel.to_pitch) {
          nbits_tile<kRows>(panel, weights, depth, panel.scales + place, x, to, panel.columns - column);
        }
      };
      tiles(NbitsCount<kNbitsRows>());
      if (kNbitsRows > 4) tiles(NbitsCount<4>());
      tiles(NbitsCount<2>());
      tiles(NbitsCount<1>());
    }
  }
}

template <int kBits>
static inline void nbits_panel(const NbitsPanel& panel) {
  if (panel.rows > 1 && panel.block <= kNbitsBlock) {
    nbits_rows<kBits>(panel);
  } else {
    for (int64_t row = 0; row < panel.rows; ++row) {
      nbits_row<kBits>(panel, panel.x + row * panel.x_pitch, panel.to + row * panel.to_pitch);
    }
  }
}

static void matmul_nbits_panel(const NbitsPanel& panel) {
  if (panel.bits == 4) {
    nbits_panel<4>(panel);
  } else {
    nbits_panel<8>(panel);
  }
}

static const MatmulNbits matmul_nbits = {kNbitsVectors * kFloats, &matmul_nbits_panel};
