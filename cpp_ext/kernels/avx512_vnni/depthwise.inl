// Depthwise convolutions, 64 channels at a time: of four lines, the bytes of each channel are put side by side, once
// for all outputs that they are part of; then vpdpbusd sums over four lines at once.

namespace graphopt::kernels::avx512_vnni {

// Vectors that lie ready: 16 KB of the first cache are for them, more only where a window needs it.
constexpr int kDepthwiseReady = 64;
constexpr int kDepthwiseMost = 256;

// Four lines, of each stream, at places of their own.
template <int Streams>
struct Lines {
  const uint8_t* from[4][Streams];
  int64_t pixels[4][Streams];
};

// `count` places from pixel `at` on, to every `step`th four vectors of `to`. `Same`: pixels lie equally far from each other
// in all lines.
template <int Streams, bool Flip, bool Same>
static inline void interleave(const Lines<Streams>& lines, int64_t at, int64_t advance, int64_t count, __mmask64 mask,
                              __m512i* to, int64_t step) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  for (; count > 0; --count, at += advance, to += step * 4) {
    __m512i codes[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const uint8_t* from[Streams];
#pragma GCC unroll 4
      for (int stream = 0; stream < Streams; ++stream) {
        from[stream] = lines.from[i][stream] + at * lines.pixels[Same ? 0 : i][Same ? 0 : stream];
      }
      codes[i] = channels_of<Streams>(from, mask);
      if (Flip) codes[i] = _mm512_xor_si512(codes[i], flip);
    }
    const __m512i left_low = _mm512_unpacklo_epi8(codes[0], codes[1]);
    const __m512i left_high = _mm512_unpackhi_epi8(codes[0], codes[1]);
    const __m512i right_low = _mm512_unpacklo_epi8(codes[2], codes[3]);
    const __m512i right_high = _mm512_unpackhi_epi8(codes[2], codes[3]);
    _mm512_store_si512(to, _mm512_unpacklo_epi16(left_low, right_low));
    _mm512_store_si512(to + 1, _mm512_unpackhi_epi16(left_low, right_low));
    _mm512_store_si512(to + 2, _mm512_unpacklo_epi16(left_high, right_high));
    _mm512_store_si512(to + 3, _mm512_unpackhi_epi16(left_high, right_high));
  }
}

// `count` places from pixel `first` on of `Groups` groups, where no line is shifted. `Same` as above.
template <int Streams, bool Flip, int Groups, bool Same>
static inline void make_places(const DepthwiseStrip& strip, int64_t first, int64_t count, __mmask64 mask, __m512i* to) {
  Lines<Streams> lines[Groups];
  for (int group = 0; group < Groups; ++group) {
    for (int i = 0; i < 4; ++i) {
      for (int stream = 0; stream < Streams; ++stream) {
        const int line = (stream * Groups + group) * 4 + i;
        lines[group].pixels[i][stream] = strip.pixels[line];
        lines[group].from[i][stream] = strip.lines[line] + strip.channel;
      }
    }
  }
  const int64_t left = first >= 0 ? 0 : -first < count ? -first : count;
  const int64_t right = strip.width - first < left ? left : strip.width - first < count ? strip.width - first : count;
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  Fours blank;
  if (left > 0 || right < count) {
    const uint8_t* from[Streams];
    for (int stream = 0; stream < Streams; ++stream) from[stream] = strip.blank + strip.channel;
    __m512i codes = channels_of<Streams>(from, mask);
    if (Flip) codes = _mm512_xor_si512(codes, flip);
    blank = interleaved(codes, codes, codes, codes);
  }
  const auto blanks = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * Groups; i < end * Groups; ++i) {
      for (int quarter = 0; quarter < 4; ++quarter) _mm512_store_si512(to + i * 4 + quarter, blank.of[quarter]);
    }
  };
  blanks(0, left);
  const int64_t pixel = lines[0].pixels[0][0];
  int64_t offset = (first + left) * pixel;
  __m512i* at = to + left * Groups * 4;
  for (int64_t place = left; place < right; ++place, offset += pixel) {
#pragma GCC unroll 2
    for (int group = 0; group < Groups; ++group, at += 4) {
      __m512i codes[4];
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const uint8_t* from[Streams];
#pragma GCC unroll 4
        for (int stream = 0; stream < Streams; ++stream) {
          const int64_t further = Same ? offset : (first + place) * lines[group].pixels[i][stream];
          from[stream] = lines[group].from[i][stream] + further;
        }
        codes[i] = channels_of<Streams>(from, mask);
        if (Flip) codes[i] = _mm512_xor_si512(codes[i], flip);
      }
      const Fours four = interleaved(codes[0], codes[1], codes[2], codes[3]);
#pragma GCC unroll 4
      for (int quarter = 0; quarter < 4; ++quarter) _mm512_store_si512(at + quarter, four.of[quarter]);
    }
  }
  blanks(right, count);
}

template <int Streams, bool Flip, int Groups>
static inline void make_places(const DepthwiseStrip& strip, int64_t first, int64_t count, __mmask64 mask, __m512i* to) {
  bool same = true;
  for (int line = 1; line < 4 * Groups * Streams; ++line) same = same && strip.pixels[line] == strip.pixels[0];
  if (same) return make_places<Streams, Flip, Groups, true>(strip, first, count, mask, to);
  return make_places<Streams, Flip, Groups, false>(strip, first, count, mask, to);
}

// `count` places from pixel `first` on: of each place, four vectors for each group of four lines.
template <int Streams, bool Flip>
static inline void make_ready(const DepthwiseStrip& strip, int64_t first, int64_t count, __mmask64 mask, __m512i* to) {
  if (strip.shift == 0 && strip.groups == 1) return make_places<Streams, Flip, 1>(strip, first, count, mask, to);
  if (strip.shift == 0 && strip.groups == 2) return make_places<Streams, Flip, 2>(strip, first, count, mask, to);
  const int64_t inside = strip.width - 3 * strip.shift;
  const int64_t step = strip.groups;
  for (int group = 0; group < strip.groups; ++group, to += 4) {
    Lines<Streams> lines;
    bool same = true;
    for (int i = 0; i < 4; ++i) {
      for (int stream = 0; stream < Streams; ++stream) {
        const int line = (stream * strip.groups + group) * 4 + i;
        const int64_t pixel = strip.pixels[line];
        lines.pixels[i][stream] = pixel;
        lines.from[i][stream] = strip.lines[line] + i * strip.shift * pixel + strip.channel;
        same = same && pixel == lines.pixels[0][0];
      }
    }
    for (int64_t place = 0; place < count;) {
      const int64_t at = first + place * strip.advance;
      if (at >= 0 && at < inside) {
        const int64_t most = strip.advance == 1 ? inside - at : (inside - at - 1) / strip.advance + 1;
        const int64_t run = count - place < most ? count - place : most;
        if (same) {
          interleave<Streams, Flip, true>(lines, at, strip.advance, run, mask, to + place * step * 4, step);
        } else {
          interleave<Streams, Flip, false>(lines, at, strip.advance, run, mask, to + place * step * 4, step);
        }
        place += run;
        continue;
      }
      if (strip.shift == 0) {
        const uint8_t* from[Streams];
        for (int stream = 0; stream < Streams; ++stream) from[stream] = strip.blank + strip.channel;
        __m512i codes = channels_of<Streams>(from, mask);
        if (Flip) codes = _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80)));
        const __m512i low = _mm512_unpacklo_epi8(codes, codes);
        const __m512i high = _mm512_unpackhi_epi8(codes, codes);
        __m512i* all = to + place * step * 4;
        _mm512_store_si512(all, _mm512_unpacklo_epi16(low, low));
        _mm512_store_si512(all + 1, _mm512_unpackhi_epi16(low, low));
        _mm512_store_si512(all + 2, _mm512_unpacklo_epi16(high, high));
        _mm512_store_si512(all + 3, _mm512_unpackhi_epi16(high, high));
        ++place;
        continue;
      }
      Lines<Streams> edge = lines;
      for (int i = 0; i < 4; ++i) {
        if (at + i * strip.shift >= 0 && at + i * strip.shift < strip.width) continue;
        for (int stream = 0; stream < Streams; ++stream) {
          edge.from[i][stream] = strip.blank + strip.channel;
          edge.pixels[i][stream] = 0;
        }
      }
      interleave<Streams, Flip, false>(edge, at, 1, 1, mask, to + place * step * 4, step);
      ++place;
    }
  }
}

// Sums of `X` neighbouring outputs for `Q` fourths of the channels: as many sums at a time as vpdpbusd needs to be at
// work in each cycle. `W`, `S`, `G`: width of the window, stride and groups where they are known, else 0.
template <int W, int S, int G, int X, int Q>
static inline void depthwise_sums(const DepthwiseStrip& strip, const __m512i* ready, const int8_t* weights, int quarter,
                                  __m512i (&acc)[Q][X]) {
  const int groups = G != 0 ? G : strip.groups;
  const int width = W != 0 ? W : strip.kernel_width;
  const int64_t stride = S != 0 ? S : strip.stride;
  const int64_t dilation = W != 0 ? 1 : strip.dilation;
#pragma GCC unroll 2
  for (int q = 0; q < Q; ++q) {
    const __m512i bias = _mm512_loadu_si512(strip.bias + 16 * (quarter + q));
#pragma GCC unroll 4
    for (int x = 0; x < X; ++x) acc[q][x] = bias;
  }
  if (W != 0) {
#pragma GCC unroll 2
    for (int group = 0; group < groups; ++group) {
      __m512i taps[Q][W != 0 ? W : 1];
#pragma GCC unroll 2
      for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 8
        for (int tap = 0; tap < W; ++tap) {
          taps[q][tap] = _mm512_load_si512(weights + ((group * W + tap) * 4 + quarter + q) * 64);
        }
      }
#pragma GCC unroll 16
      for (int place = 0; place < (X - 1) * S + W; ++place) {
#pragma GCC unroll 2
        for (int q = 0; q < Q; ++q) {
          const __m512i codes = _mm512_load_si512(ready + (place * groups + group) * 4 + quarter + q);
#pragma GCC unroll 4
          for (int x = 0; x < X; ++x) {
            const int tap = place - x * S;
            if (tap >= 0 && tap < W) acc[q][x] = _mm512_dpbusd_epi32(acc[q][x], codes, taps[q][tap]);
          }
        }
      }
    }
    return;
  }
  for (int group = 0; group < groups; ++group) {
    for (int tap = 0; tap < width; ++tap) {
      const int8_t* from = weights + ((group * width + tap) * 4 + quarter) * 64;
      const __m512i* codes = ready + (tap * dilation * groups + group) * 4 + quarter;
#pragma GCC unroll 2
      for (int q = 0; q < Q; ++q) {
        const __m512i one = _mm512_load_si512(from + 64 * q);
#pragma GCC unroll 4
        for (int x = 0; x < X; ++x) {
          acc[q][x] = _mm512_dpbusd_epi32(acc[q][x], _mm512_load_si512(codes + x * stride * groups * 4 + q), one);
        }
      }
    }
  }
}

// Places of a block behind each other, as f32: channels of all streams.
template <int W, int S, int G>
__attribute__((noinline)) static void depthwise_numbers(const DepthwiseStrip& strip, const __m512i* ready, const int8_t* weights, int row,
                              int64_t output) {
  for (int quarter = 0; quarter < 4; ++quarter) {
    __m512i acc[1][1];
    depthwise_sums<W, S, G, 1, 1>(strip, ready, weights, quarter, acc);
    __m512 numbers = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[0][0]), _mm512_loadu_ps(strip.out.scale + 16 * quarter));
    if (strip.out.shift != nullptr) numbers = _mm512_add_ps(numbers, _mm512_loadu_ps(strip.out.shift + 16 * quarter));
    float all[16];
    _mm512_storeu_ps(all, numbers);
    for (int i = 0; i < 16; ++i) {
      const int place = i / 4 * 16 + 4 * quarter + i % 4;
      const int stream = place / (64 / strip.streams);
      const int channel = place % (64 / strip.streams);
      if (channel >= strip.channels) continue;
      static_cast<float*>(strip.to[stream * strip.rows + row])[output * strip.pitch + channel] = all[i];
    }
  }
}

template <int W, int S, int G, int Streams, int X>
static inline void depthwise_codes(const DepthwiseStrip& strip, const __m512i* ready, const int8_t* weights,
                                   __mmask64 mask, const Codes& codes, const UnsignedCodes& bytes,
                                   uint8_t* const* to, int64_t output) {
  __m512i words[2][X];
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half) {
    __m512i acc[2][X];
    depthwise_sums<W, S, G, X, 2>(strip, ready, weights, 2 * half, acc);
    const __m512 left = _mm512_loadu_ps(strip.out.scale + 32 * half);
    const __m512 right = _mm512_loadu_ps(strip.out.scale + 32 * half + 16);
#pragma GCC unroll 4
    for (int x = 0; x < X; ++x) {
      words[half][x] = _mm512_packs_epi32(rounded(acc[0][x], left, codes), rounded(acc[1][x], right, codes));
    }
  }
#pragma GCC unroll 4
  for (int x = 0; x < X; ++x) {
    store_channels<Streams>(to, (output + x) * strip.pitch, unsigned_codes(words[0][x], words[1][x], bytes), mask);
  }
}

template <int W, int S, int G, int Streams, bool Large>
static void depthwise_lines(const DepthwiseStrip& strip) {
  __m512i ready[kDepthwiseMost * 4];
  const int64_t stride = S != 0 ? S : strip.stride;
  const int64_t groups = G != 0 ? G : strip.groups;
  const int64_t extent = (strip.kernel_width - 1) * strip.dilation + 1;
  const int64_t room = (extent * 2 * groups <= kDepthwiseReady ? kDepthwiseReady : kDepthwiseMost) / groups;
  int64_t step = (room - extent) / stride + 1;
  // No fours that overlap but at the end of a line.
  if (step > 4) step -= step % 4;
  const __mmask64 mask = ~__mmask64{0} >> (64 - strip.channels);
  Codes codes(strip.out);
  codes.large = Large;
  const UnsignedCodes bytes(strip.out);
  const int64_t size = groups * strip.kernel_width * 256;
  for (int64_t begin = 0; begin < strip.count; begin += step) {
    const int64_t count = strip.count - begin < step ? strip.count - begin : step;
    const int64_t places = (count - 1) * stride + extent;
    if (strip.flip) {
      make_ready<Streams, true>(strip, strip.first + begin * stride * strip.advance, places, mask, ready);
    } else {
      make_ready<Streams, false>(strip, strip.first + begin * stride * strip.advance, places, mask, ready);
    }
    for (int row = 0; row < strip.rows; ++row) {
      const int8_t* weights = strip.weights + row * size;
      if (strip.out.type == Type::kF32) {
        for (int64_t output = 0; output < count; ++output) {
          depthwise_numbers<W, S, G>(strip, ready + output * stride * groups * 4, weights, row, begin + output);
        }
        continue;
      }
      uint8_t* to[Streams];
      for (int stream = 0; stream < Streams; ++stream) {
        to[stream] = static_cast<uint8_t*>(strip.to[stream * strip.rows + row]);
      }
      if (count < 4) {
        for (int64_t output = 0; output < count; ++output) {
          depthwise_codes<W, S, G, Streams, 1>(strip, ready + output * stride * groups * 4, weights, mask, codes, bytes,
                                               to, begin + output);
        }
        continue;
      }
      for (int64_t next = 0; next < count; next += 4) {
        // The last four may overlap with those before.
        const int64_t output = next < count - 4 ? next : count - 4;
        depthwise_codes<W, S, G, Streams, 4>(strip, ready + output * stride * groups * 4, weights, mask, codes, bytes,
                                             to, begin + output);
      }
    }
  }
}

template <int W, int S, int G, int Streams>
static void depthwise_lines(const DepthwiseStrip& strip) {
  // Rare: the general form will do.
  if (strip.out.large) return depthwise_lines<0, 0, 0, Streams, true>(strip);
  return depthwise_lines<W, S, G, Streams, false>(strip);
}

template <int W, int S, int G>
static void depthwise_lines(const DepthwiseStrip& strip) {
  if (strip.streams == 1) return depthwise_lines<W, S, G, 1>(strip);
  if (strip.streams == 2) return depthwise_lines<W, S, G, 2>(strip);
  return depthwise_lines<W, S, G, 4>(strip);
}

static void depthwise_strip(const DepthwiseStrip& strip) {
  if (strip.direct) return strip.kernel_width == 3 ? pairs_of_lines(strip) : fives_of_lines(strip);
  const bool near = strip.dilation == 1;
  if (near && strip.groups == 1 && strip.kernel_width == 3 && strip.stride == 1) return depthwise_lines<3, 1, 1>(strip);
  if (near && strip.groups == 1 && strip.kernel_width == 3 && strip.stride == 2) return depthwise_lines<3, 2, 1>(strip);
  if (near && strip.groups == 1 && strip.kernel_width == 2 && strip.stride == 1) return depthwise_lines<2, 1, 1>(strip);
  if (near && strip.groups == 2 && strip.kernel_width == 5 && strip.stride == 1) return depthwise_lines<5, 1, 2>(strip);
  if (near && strip.groups == 2 && strip.kernel_width == 5 && strip.stride == 2) return depthwise_lines<5, 2, 2>(strip);
  return depthwise_lines<0, 0, 0>(strip);
}

static const Depthwise depthwise = {
    64,
    16,
    {0,  1,  2,  3,  16, 17, 18, 19, 32, 33, 34, 35, 48, 49, 50, 51, 4,  5,  6,  7,  20, 21,
     22, 23, 36, 37, 38, 39, 52, 53, 54, 55, 8,  9,  10, 11, 24, 25, 26, 27, 40, 41, 42, 43,
     56, 57, 58, 59, 12, 13, 14, 15, 28, 29, 30, 31, 44, 45, 46, 47, 60, 61, 62, 63},
    kDepthwiseMost,
    true,
    &depthwise_strip};

}  // namespace graphopt::kernels::avx512_vnni
