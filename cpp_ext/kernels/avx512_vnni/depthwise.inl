// Depthwise convolutions, 64 channels at a time: of four lines, the bytes of each channel are put side by side, once for
// all outputs that they are part of; then vpdpbusd sums over four lines at once.

namespace graphopt::kernels::avx512_vnni {

// Vectors that lie ready: 16 KB of the first cache are for them, more only where a window needs it.
constexpr int kDepthwiseReady = 64;
constexpr int kDepthwiseMost = 256;

// Place `place` of all lines: for each group of four lines, four vectors.
static inline void interleave(const DepthwiseStrip& strip, int64_t place, __mmask64 mask, __m512i flip, __m512i* to) {
  const int64_t last = place + 3 * strip.shift;
  const bool inside = place >= 0 && last < strip.width;
  for (int group = 0; group < strip.groups; ++group, to += 4) {
    const uint8_t* from[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) from[i] = strip.lines[4 * group + i] + (place + i * strip.shift) * strip.pixels[4 * group + i];
    if (!inside) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const int64_t at = place + i * strip.shift;
        if (at < 0 || at >= strip.width) from[i] = strip.blank;
      }
    }
    const __m512i first = _mm512_maskz_loadu_epi8(mask, from[0]);
    const __m512i second = _mm512_maskz_loadu_epi8(mask, from[1]);
    const __m512i third = _mm512_maskz_loadu_epi8(mask, from[2]);
    const __m512i fourth = _mm512_maskz_loadu_epi8(mask, from[3]);
    const __m512i left_low = _mm512_xor_si512(_mm512_unpacklo_epi8(first, second), flip);
    const __m512i left_high = _mm512_xor_si512(_mm512_unpackhi_epi8(first, second), flip);
    const __m512i right_low = _mm512_xor_si512(_mm512_unpacklo_epi8(third, fourth), flip);
    const __m512i right_high = _mm512_xor_si512(_mm512_unpackhi_epi8(third, fourth), flip);
    to[0] = _mm512_unpacklo_epi16(left_low, right_low);
    to[1] = _mm512_unpackhi_epi16(left_low, right_low);
    to[2] = _mm512_unpacklo_epi16(left_high, right_high);
    to[3] = _mm512_unpackhi_epi16(left_high, right_high);
  }
}

// Sums of `X` neighbouring outputs for a fourth of the channels. `W`, `S`, `G`: width of the window, stride and groups
// where they are known, else 0.
template <int W, int S, int G, int X>
static inline void depthwise_sums(const DepthwiseStrip& strip, const __m512i* ready, const int8_t* weights, int quarter,
                                  __m512i* acc) {
  const int groups = G != 0 ? G : strip.groups;
  const int width = W != 0 ? W : strip.kernel_width;
  const int64_t stride = S != 0 ? S : strip.stride;
  const int64_t dilation = W != 0 ? 1 : strip.dilation;
  const __m512i bias = _mm512_loadu_si512(strip.bias + 16 * quarter);
#pragma GCC unroll 4
  for (int x = 0; x < X; ++x) acc[x] = bias;
  if (W != 0) {
#pragma GCC unroll 2
    for (int group = 0; group < groups; ++group) {
      __m512i taps[W != 0 ? W : 1];
#pragma GCC unroll 8
      for (int tap = 0; tap < W; ++tap) {
        taps[tap] = _mm512_load_si512(weights + ((group * W + tap) * 4 + quarter) * 64);
      }
#pragma GCC unroll 16
      for (int place = 0; place < (X - 1) * S + W; ++place) {
        const __m512i codes = _mm512_load_si512(ready + (place * groups + group) * 4 + quarter);
#pragma GCC unroll 4
        for (int x = 0; x < X; ++x) {
          const int tap = place - x * S;
          if (tap >= 0 && tap < W) acc[x] = _mm512_dpbusd_epi32(acc[x], codes, taps[tap]);
        }
      }
    }
    return;
  }
  for (int group = 0; group < groups; ++group) {
    for (int tap = 0; tap < width; ++tap) {
      const __m512i one = _mm512_load_si512(weights + ((group * width + tap) * 4 + quarter) * 64);
      const __m512i* from = ready + (tap * dilation * groups + group) * 4 + quarter;
#pragma GCC unroll 4
      for (int x = 0; x < X; ++x) {
        acc[x] = _mm512_dpbusd_epi32(acc[x], _mm512_load_si512(from + x * stride * groups * 4), one);
      }
    }
  }
}

// Four channels of each 128 bits, of the first `channels`.
static inline void store_quarter(float* to, __m512 numbers, int quarter, int channels) {
  float all[16];
  _mm512_storeu_ps(all, numbers);
  for (int i = 0; i < 16; ++i) {
    const int channel = i / 4 * 16 + 4 * quarter + i % 4;
    if (channel < channels) to[channel] = all[i];
  }
}

template <int W, int S, int G, int X>
static inline void depthwise_outputs(const DepthwiseStrip& strip, const __m512i* ready, const int8_t* weights,
                                     __mmask64 mask, const Codes& codes, int row, int64_t output) {
  if (strip.out.type == Type::kF32) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      __m512i acc[X];
      depthwise_sums<W, S, G, X>(strip, ready, weights, quarter, acc);
      for (int x = 0; x < X; ++x) {
        __m512 numbers = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[x]), _mm512_loadu_ps(strip.out.scale + 16 * quarter));
        if (strip.out.shift != nullptr) {
          numbers = _mm512_add_ps(numbers, _mm512_loadu_ps(strip.out.shift + 16 * quarter));
        }
        store_quarter(static_cast<float*>(strip.to[row]) + (output + x) * strip.pitch, numbers, quarter, strip.channels);
      }
    }
    return;
  }
  __m512i whole[4][X];
#pragma GCC unroll 4
  for (int quarter = 0; quarter < 4; ++quarter) {
    __m512i acc[X];
    depthwise_sums<W, S, G, X>(strip, ready, weights, quarter, acc);
    const __m512 scale = _mm512_loadu_ps(strip.out.scale + 16 * quarter);
#pragma GCC unroll 4
    for (int x = 0; x < X; ++x) whole[quarter][x] = rounded(acc[x], scale, codes);
  }
  uint8_t* to = static_cast<uint8_t*>(strip.to[row]) + output * strip.pitch;
#pragma GCC unroll 4
  for (int x = 0; x < X; ++x) {
    const __m512i bytes = packed_codes(whole[0][x], whole[1][x], whole[2][x], whole[3][x], codes);
    _mm512_mask_storeu_epi8(to + x * strip.pitch, mask, bytes);
  }
}

template <int W, int S, int G>
static void depthwise_lines(const DepthwiseStrip& strip) {
  alignas(64) __m512i ready[kDepthwiseMost * 4];
  const int64_t stride = strip.stride;
  const int64_t extent = (strip.kernel_width - 1) * strip.dilation + 1;
  const int64_t room = (extent * 2 * strip.groups <= kDepthwiseReady ? kDepthwiseReady : kDepthwiseMost) / strip.groups;
  const int64_t step = (room - extent) / stride + 1;
  const __mmask64 mask = ~__mmask64{0} >> (64 - strip.channels);
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(strip.flip ? 0x80 : 0));
  const Codes codes(strip.out);
  const int64_t size = static_cast<int64_t>(strip.groups) * strip.kernel_width * 256;
  for (int64_t begin = 0; begin < strip.count; begin += step) {
    const int64_t count = strip.count - begin < step ? strip.count - begin : step;
    const int64_t places = (count - 1) * stride + extent;
    for (int64_t place = 0; place < places; ++place) {
      interleave(strip, strip.first + begin * stride + place, mask, flip, ready + place * strip.groups * 4);
    }
    for (int row = 0; row < strip.rows; ++row) {
      const int8_t* weights = strip.weights + row * size;
      int64_t output = 0;
      for (; output + 4 <= count; output += 4) {
        depthwise_outputs<W, S, G, 4>(strip, ready + output * stride * strip.groups * 4, weights, mask, codes, row,
                                      begin + output);
      }
      if (output < count && count > 4) {
        // Some of these have been computed before.
        output = count - 4;
        depthwise_outputs<W, S, G, 4>(strip, ready + output * stride * strip.groups * 4, weights, mask, codes, row,
                                      begin + output);
        continue;
      }
      for (; output < count; ++output) {
        depthwise_outputs<W, S, G, 1>(strip, ready + output * stride * strip.groups * 4, weights, mask, codes, row,
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

static const Depthwise depthwise = {
    64,
    {0,  1,  2,  3,  16, 17, 18, 19, 32, 33, 34, 35, 48, 49, 50, 51, 4,  5,  6,  7,  20, 21,
     22, 23, 36, 37, 38, 39, 52, 53, 54, 55, 8,  9,  10, 11, 24, 25, 26, 27, 40, 41, 42, 43,
     56, 57, 58, 59, 12, 13, 14, 15, 28, 29, 30, 31, 44, 45, 46, 47, 60, 61, 62, 63},
    kDepthwiseMost,
    &depthwise_strip};

}  // namespace graphopt::kernels::avx512_vnni
