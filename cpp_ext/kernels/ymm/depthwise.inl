// Depthwise convolutions, 32 channels at a time: of four lines, the bytes of each channel are put side by side, once
// for all outputs that they are part of; then `Dot` sums over four lines at once.

namespace graphopt::kernels::GRAPHOPT_TIER {

// Vectors that lie ready: 16 KB of the first cache are for them, more only where a window needs it.
constexpr int kDepthwiseReady = 128;
constexpr int kDepthwiseMost = 256;

// The first `count` of 32 bytes, and zeros.
static inline __m256i load_bytes(const uint8_t* from, int count) {
  if (count == 32) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  alignas(32) uint8_t bytes[32] = {};
  uint8_t* to = bytes;
  if (count & 16) {
    __builtin_memcpy(to, from, 16);
    to += 16;
    from += 16;
  }
  if (count & 8) {
    __builtin_memcpy(to, from, 8);
    to += 8;
    from += 8;
  }
  for (int i = 0; i < (count & 7); ++i) to[i] = from[i];
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(bytes));
}

// From pixel `pixel` of all lines on: for each group of four lines, four vectors.
static inline void interleave(const DepthwiseStrip& strip, int64_t pixel, __m256i flip, __m256i* to) {
  for (int group = 0; group < strip.groups; ++group, to += 4) {
    __m256i codes[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const int64_t at = pixel + i * strip.shift;
      const bool inside = at >= 0 && at < strip.width;
      const uint8_t* from = inside ? strip.lines[4 * group + i] + at * strip.pixels[4 * group + i] : strip.blank;
      codes[i] = _mm256_xor_si256(load_bytes(from + strip.channel, strip.channels), flip);
    }
    const __m256i left_low = _mm256_unpacklo_epi8(codes[0], codes[1]);
    const __m256i left_high = _mm256_unpackhi_epi8(codes[0], codes[1]);
    const __m256i right_low = _mm256_unpacklo_epi8(codes[2], codes[3]);
    const __m256i right_high = _mm256_unpackhi_epi8(codes[2], codes[3]);
    to[0] = _mm256_unpacklo_epi16(left_low, right_low);
    to[1] = _mm256_unpackhi_epi16(left_low, right_low);
    to[2] = _mm256_unpacklo_epi16(left_high, right_high);
    to[3] = _mm256_unpackhi_epi16(left_high, right_high);
  }
}

// Sums of `X` neighbouring outputs for a fourth of the channels. `W`, `S`, `G`: width of the window, stride and groups
// where they are known, else 0.
template <int W, int S, int G, int X>
static inline void depthwise_sums(const DepthwiseStrip& strip, const __m256i* ready, const int8_t* weights, int quarter,
                                  __m256i* acc) {
  const int groups = G != 0 ? G : strip.groups;
  const int width = W != 0 ? W : strip.kernel_width;
  const int64_t stride = S != 0 ? S : strip.stride;
  const int64_t dilation = W != 0 ? 1 : strip.dilation;
  const __m256i bias = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(strip.bias + 8 * quarter));
#pragma GCC unroll 4
  for (int x = 0; x < X; ++x) acc[x] = bias;
  const auto weights_at = [&](int group, int tap) __attribute__((always_inline)) {
    return _mm256_load_si256(
        reinterpret_cast<const __m256i*>(weights + ((group * width + tap) * 4 + quarter) * 32));
  };
  if (W != 0) {
#pragma GCC unroll 2
    for (int group = 0; group < groups; ++group) {
#pragma GCC unroll 2
      for (int part = 0; part < Dot::kParts; ++part) {
        __m256i taps[W != 0 ? W : 1];
#pragma GCC unroll 8
        for (int tap = 0; tap < W; ++tap) taps[tap] = Dot::weights(weights_at(group, tap), part);
#pragma GCC unroll 16
        for (int place = 0; place < (X - 1) * S + W; ++place) {
          const __m256i codes = Dot::codes(_mm256_load_si256(ready + (place * groups + group) * 4 + quarter), part);
#pragma GCC unroll 4
          for (int x = 0; x < X; ++x) {
            const int tap = place - x * S;
            if (tap >= 0 && tap < W) acc[x] = Dot::add(acc[x], codes, taps[tap]);
          }
        }
      }
    }
    return;
  }
  for (int group = 0; group < groups; ++group) {
    for (int tap = 0; tap < width; ++tap) {
      const __m256i* from = ready + (tap * dilation * groups + group) * 4 + quarter;
#pragma GCC unroll 2
      for (int part = 0; part < Dot::kParts; ++part) {
        const __m256i one = Dot::weights(weights_at(group, tap), part);
#pragma GCC unroll 4
        for (int x = 0; x < X; ++x) {
          acc[x] = Dot::add(acc[x], Dot::codes(_mm256_load_si256(from + x * stride * groups * 4), part), one);
        }
      }
    }
  }
}

// Four channels of each 128 bits, of the first `channels`.
static inline void store_quarter(float* to, __m256 numbers, int quarter, int channels) {
  float all[8];
  _mm256_storeu_ps(all, numbers);
  for (int i = 0; i < 8; ++i) {
    const int channel = i / 4 * 16 + 4 * quarter + i % 4;
    if (channel < channels) to[channel] = all[i];
  }
}

template <int W, int S, int G, int X>
static inline void depthwise_outputs(const DepthwiseStrip& strip, const __m256i* ready, const int8_t* weights,
                                     const Codes& codes, int row, int64_t output) {
  if (strip.out.type == Type::kF32) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      __m256i acc[X];
      depthwise_sums<W, S, G, X>(strip, ready, weights, quarter, acc);
      for (int x = 0; x < X; ++x) {
        __m256 numbers = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[x]), _mm256_loadu_ps(strip.out.scale + 8 * quarter));
        if (strip.out.shift != nullptr) {
          numbers = _mm256_add_ps(numbers, _mm256_loadu_ps(strip.out.shift + 8 * quarter));
        }
        float* to = static_cast<float*>(strip.to[row]) + (output + x) * strip.pitch;
        store_quarter(to, numbers, quarter, strip.channels);
      }
    }
    return;
  }
  __m256i whole[4][X];
#pragma GCC unroll 4
  for (int quarter = 0; quarter < 4; ++quarter) {
    __m256i acc[X];
    depthwise_sums<W, S, G, X>(strip, ready, weights, quarter, acc);
    const __m256 scale = _mm256_loadu_ps(strip.out.scale + 8 * quarter);
#pragma GCC unroll 4
    for (int x = 0; x < X; ++x) whole[quarter][x] = rounded(acc[x], scale, codes);
  }
  uint8_t* to = static_cast<uint8_t*>(strip.to[row]) + output * strip.pitch;
#pragma GCC unroll 4
  for (int x = 0; x < X; ++x, to += strip.pitch) {
    const __m256i bytes = packed_codes(whole[0][x], whole[1][x], whole[2][x], whole[3][x], codes);
    if (strip.channels == 32) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bytes);
    } else if (strip.channels >= 16) {
      store_bytes(to, _mm256_castsi256_si128(bytes), 16);
      store_bytes(to + 16, _mm256_extracti128_si256(bytes, 1), strip.channels - 16);
    } else {
      store_bytes(to, _mm256_castsi256_si128(bytes), strip.channels);
    }
  }
}

template <int W, int S, int G>
static void depthwise_lines(const DepthwiseStrip& strip) {
  alignas(32) __m256i ready[kDepthwiseMost * 4];
  const int64_t stride = strip.stride;
  const int64_t extent = (strip.kernel_width - 1) * strip.dilation + 1;
  const int64_t room = (extent * 2 * strip.groups <= kDepthwiseReady ? kDepthwiseReady : kDepthwiseMost) / strip.groups;
  const int64_t step = (room - extent) / stride + 1;
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(strip.flip ? 0x80 : 0));
  const Codes codes(strip.out);
  const int64_t size = static_cast<int64_t>(strip.groups) * strip.kernel_width * 128;
  for (int64_t begin = 0; begin < strip.count; begin += step) {
    const int64_t count = strip.count - begin < step ? strip.count - begin : step;
    const int64_t places = (count - 1) * stride + extent;
    for (int64_t place = 0; place < places; ++place) {
      const int64_t pixel = strip.first + (begin * stride + place) * strip.advance;
      interleave(strip, pixel, flip, ready + place * strip.groups * 4);
    }
    for (int row = 0; row < strip.rows; ++row) {
      const int8_t* weights = strip.weights + row * size;
      int64_t output = 0;
      for (; output + 4 <= count; output += 4) {
        depthwise_outputs<W, S, G, 4>(strip, ready + output * stride * strip.groups * 4, weights, codes, row,
                                      begin + output);
      }
      for (; output < count; ++output) {
        depthwise_outputs<W, S, G, 1>(strip, ready + output * stride * strip.groups * 4, weights, codes, row,
                                      begin + output);
      }
    }
  }
}

static void depthwise_strip(const DepthwiseStrip& strip) {
  const bool near = strip.dilation == 1;
  if (near && strip.groups == 1 && strip.kernel_width == 3 && strip.stride == 1) return depthwise_lines<3, 1, 1>(strip);
  if (near && strip.groups == 1 && strip.kernel_width == 3 && strip.stride == 2) return depthwise_lines<3, 2, 1>(strip);
  if (near && strip.groups == 2 && strip.kernel_width == 5 && strip.stride == 1) return depthwise_lines<5, 1, 2>(strip);
  if (near && strip.groups == 2 && strip.kernel_width == 5 && strip.stride == 2) return depthwise_lines<5, 2, 2>(strip);
  return depthwise_lines<0, 0, 0>(strip);
}

static const Depthwise depthwise = {32,
                                    32,
                                    {0,  1,  2,  3,  16, 17, 18, 19, 4,  5,  6,  7,  20, 21, 22, 23,
                                     8,  9,  10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31},
                                    kDepthwiseMost,
                                    false,
                                    &depthwise_strip};

}  // namespace graphopt::kernels::GRAPHOPT_TIER
