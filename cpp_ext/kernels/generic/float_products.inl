// Products of floats; written with the vectors of the tier that includes it. All paths add up a column of a row alike.

// Sums that there are registers for, beside what they are made of.
constexpr size_t kFloatSums = kFloats == 16 ? 24 : 12;
constexpr size_t kFloatVectors = kFloats == 8 ? 2 : 4;
constexpr size_t kFloatRows = 8;

// `sums`: of each output.
static constexpr size_t float_rows(size_t vectors, size_t sums) {
  const size_t most = kFloatSums / sums / vectors;
  return most < kFloatRows ? (most == 0 ? 1 : most) : kFloatRows;
}

// `kSums` of each output: place k of a segment is added to sum k % kSums.
template <size_t kSums, size_t kRows, size_t kVectors>
static void float_tile(const FloatTile& tile, int64_t row) {
  Floats sums[kSums][kRows][kVectors];
  for (size_t s = 0; s < kSums; ++s) {
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) sums[s][r][v] = all(0);
    }
  }
  const float* weights = tile.weights;
  for (int64_t segment = 0; segment < tile.segments; ++segment) {
    const float* from[kRows];
    for (size_t r = 0; r < kRows; ++r) {
      const int64_t at_row = row + static_cast<int64_t>(r);
      if (tile.rows == nullptr) {
        from[r] = tile.x + at_row * tile.x_pitch + tile.offset;
      } else {
        from[r] = reinterpret_cast<const float*>(tile.rows[segment * tile.stride + at_row]) + tile.offset;
      }
    }
    const int64_t depth = kSums == 1 ? tile.depth : static_cast<int64_t>(kSums);
    for (int64_t first = 0; first < depth; first += static_cast<int64_t>(kSums)) {
      for (size_t s = 0; s < kSums; ++s, weights += kVectors * kFloats) {
        Floats column[kVectors];
        for (size_t v = 0; v < kVectors; ++v) column[v] = load(weights + v * kFloats, kFloats);
        for (size_t r = 0; r < kRows; ++r) {
          const Floats number = all(from[r][first + static_cast<int64_t>(s)]);
          for (size_t v = 0; v < kVectors; ++v) sums[s][r][v] = fused(number, column[v], sums[s][r][v]);
        }
      }
    }
  }
  Floats(&sum)[kRows][kVectors] = sums[0];
  for (size_t s = 1; s < kSums; ++s) {
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) sum[r][v] = sum[r][v] + sums[s][r][v];
    }
  }
  float* to = tile.to + row * tile.pitch;
  const auto left = [&](size_t v) { return tile.columns - v * kFloats; };
  const auto at = [&](size_t r, size_t v) { return to + static_cast<int64_t>(r) * tile.pitch + v * kFloats; };
  if (tile.add) {
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) sum[r][v] = load(at(r, v), left(v)) + sum[r][v];
    }
  }
  if (tile.bias != nullptr) {
    for (size_t v = 0; v < kVectors; ++v) {
      const Floats bias = load(tile.bias + v * kFloats, kFloats);
      for (size_t r = 0; r < kRows; ++r) sum[r][v] = sum[r][v] + bias;
    }
  }
  const Floats scale = all(tile.scale);
  const Floats low = all(tile.low);
  const Floats high = all(tile.high);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t v = 0; v < kVectors; ++v) store(at(r, v), left(v), within(sum[r][v] * scale, low, high));
  }
}

// Tiles of heights as even as they get: a low one at the end would keep few sums at work.
template <size_t kSums, size_t kVectors, size_t kRows>
static void float_tiles(const FloatTile& tile, int64_t& row, int64_t& tiles) {
  for (; tiles > 0; --tiles, row += kRows) {
    if ((tile.count - row + tiles - 1) / tiles < static_cast<int64_t>(kRows)) break;
    float_tile<kSums, kRows, kVectors>(tile, row);
  }
  if constexpr (kRows > 1) float_tiles<kSums, kVectors, kRows - 1>(tile, row, tiles);
}

template <size_t kSums, size_t kVectors>
static void float_vectors(const FloatTile& tile) {
  constexpr int64_t kMost = float_rows(kVectors, kSums);
  int64_t row = 0;
  int64_t tiles = (tile.count + kMost - 1) / kMost;
  float_tiles<kSums, kVectors, kMost>(tile, row, tiles);
}

static void float_panel(const FloatTile& tile) {
  constexpr auto kMany = static_cast<size_t>(kColours);
  const size_t vectors = (tile.columns + kFloats - 1) / kFloats;
  if (tile.colours) return vectors == 1 ? float_vectors<kMany, 1>(tile) : float_vectors<kMany, 2>(tile);
  switch (vectors) {
    case 1: return float_vectors<1, 1>(tile);
    case 2: return float_vectors<1, 2>(tile);
    case 3: return float_vectors<1, kFloatVectors < 3 ? 1 : 3>(tile);
    default: return float_vectors<1, kFloatVectors>(tile);
  }
}

// `kWhole`: all channels of the vectors are there.
template <size_t kRows, size_t kVectors, bool kWhole>
static inline void float_pixels(const FloatDepthwise& pixels, int64_t row, size_t channel) {
  const auto left = [&](size_t v) { return kWhole ? kFloats : pixels.channels - channel - v * kFloats; };
  Floats sum[kRows][kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    for (size_t r = 0; r < kRows; ++r) sum[r][v] = all(0);
  }
  const float* weights = pixels.weights + channel;
  for (int64_t tap = 0; tap < pixels.taps; ++tap, weights += pixels.channels) {
    Floats weight[kVectors];
    for (size_t v = 0; v < kVectors; ++v) weight[v] = load(weights + v * kFloats, left(v));
    for (size_t r = 0; r < kRows; ++r) {
      const unsigned char* pixel = pixels.rows[tap * pixels.stride + row + static_cast<int64_t>(r)];
      const float* from = reinterpret_cast<const float*>(pixel) + channel;
      for (size_t v = 0; v < kVectors; ++v) {
        sum[r][v] = fused(load(from + v * kFloats, left(v)), weight[v], sum[r][v]);
      }
    }
  }
  const Floats low = all(pixels.low);
  const Floats high = all(pixels.high);
  for (size_t r = 0; r < kRows; ++r) {
    float* to = pixels.to + (row + static_cast<int64_t>(r)) * pixels.pitch + channel;
    for (size_t v = 0; v < kVectors; ++v) {
      const Floats bias = load(pixels.bias + channel + v * kFloats, left(v));
      store(to + v * kFloats, left(v), within(sum[r][v] + bias, low, high));
    }
  }
}

template <size_t kRows>
static void float_depthwise_rows(const FloatDepthwise& pixels, int64_t& row) {
  constexpr size_t kWide = kFloats == 16 ? 4 : 2;
  for (; pixels.count - row >= static_cast<int64_t>(kRows); row += kRows) {
    size_t channel = 0;
    for (; pixels.channels - channel >= kWide * kFloats; channel += kWide * kFloats) {
      float_pixels<kRows, kWide, true>(pixels, row, channel);
    }
    for (; pixels.channels - channel >= kFloats; channel += kFloats) float_pixels<kRows, 1, true>(pixels, row, channel);
    if (channel < pixels.channels) float_pixels<kRows, 1, false>(pixels, row, channel);
  }
}

static void float_depthwise(const FloatDepthwise& pixels) {
  int64_t row = 0;
  float_depthwise_rows<4>(pixels, row);
  float_depthwise_rows<1>(pixels, row);
}

static const FloatProducts float_products = {kFloats, kFloatVectors, &float_panel, &float_depthwise};
