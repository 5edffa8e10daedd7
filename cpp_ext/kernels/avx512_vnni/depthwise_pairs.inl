// Depthwise windows of 3 x 3, two pixels from one to the next: two outputs a step, of five columns of three lines.
// Fours are made of a column and a code of the one before it, or of what is left of two columns, and need not lie
// ready, for hardly one is used more than once. The first column is the last one of the step before.

namespace graphopt::kernels::avx512_vnni {

static inline __attribute__((always_inline)) __m512i nearest(__m512i sum, __m512 scale) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale));
}

// Three lines, from some place on, of each stream.
template <int Streams>
struct ThreeLines {
  const uint8_t* from[3][Streams];
  int64_t pixel;
  __mmask64 mask;

  inline __attribute__((always_inline)) __m512i at(int line, int64_t place) const {
    const uint8_t* all[Streams];
#pragma GCC unroll 4
    for (int stream = 0; stream < Streams; ++stream) all[stream] = from[line][stream] + place * pixel;
    return channels_of<Streams>(all, mask);
  }

  inline __attribute__((always_inline)) void move(int64_t places) {
    // Else each place of each line would have a pointer of its own, and there are not so many registers.
    asm("" : "+r"(pixel));
#pragma GCC unroll 3
    for (int line = 0; line < 3; ++line) {
#pragma GCC unroll 4
      for (int stream = 0; stream < Streams; ++stream) from[line][stream] += places * pixel;
    }
  }
};

// The same where not all places are inside.
template <int Streams>
struct EdgeLines {
  ThreeLines<Streams> lines;
  const uint8_t* blank;
  int64_t first;
  int64_t width;

  inline __attribute__((always_inline)) __m512i at(int line, int64_t place) const {
    const int64_t all = first + place;
    const bool inside = all >= 0 && all < width;
    const uint8_t* from[Streams];
#pragma GCC unroll 4
    for (int stream = 0; stream < Streams; ++stream) {
      from[stream] = inside ? lines.from[line][stream] + all * lines.pixel : blank;
    }
    return channels_of<Streams>(from, lines.mask);
  }

  inline __attribute__((always_inline)) void move(int64_t places) { first += places; }
};

// s8 as u8 that are greater by 128.
template <bool Flip>
static inline __attribute__((always_inline)) __m512i flipped(__m512i codes) {
  return Flip ? _mm512_xor_si512(codes, _mm512_set1_epi8(static_cast<char>(0x80))) : codes;
}

// A vector that is read once, into a register: reading is what these steps do most.
static inline __attribute__((always_inline)) __m512i kept(const void* from) {
  __m512i value = _mm512_loadu_si512(from);
  asm("" : "+v"(value));
  return value;
}

// One step: two outputs, or the first of them. `first` is the first column, and becomes that of the next step.
template <int Streams, bool Flip, int Outputs, typename Lines>
static inline __attribute__((always_inline)) void outputs_of_step(const DepthwiseStrip& strip, const Lines& lines,
                                                                  Fours& first, __mmask64 mask,
                                                                  const UnsignedCodes& codes, uint8_t* const* to,
                                                                  int64_t output) {
  const auto at = [&](int line, int64_t place) __attribute__((always_inline)) {
    return flipped<Flip>(lines.at(line, place));
  };
  const __m512i middle = at(1, 1);
  const __m512i lower = at(2, 1);
  const Fours rest =
      Outputs == 2 ? interleaved(middle, lower, at(1, 3), at(2, 3)) : interleaved(middle, lower, middle, lower);
  const Fours second = interleaved(at(0, 2), at(1, 2), at(2, 2), at(0, 1));
  const Fours third = Outputs == 2 ? interleaved(at(0, 4), at(1, 4), at(2, 4), at(0, 3)) : first;
  __m512i whole[Outputs][4];
#pragma GCC unroll 4
  for (int quarter = 0; quarter < 4; ++quarter) {
    const auto taps = [&](int kind) __attribute__((always_inline)) {
      return kept(strip.weights + (kind * 4 + quarter) * 64);
    };
    const __m512i start = kept(strip.bias + 16 * quarter);
    const __m512i column = taps(0);
    const __m512i next = taps(1);
    const auto scale = _mm512_castsi512_ps(kept(strip.out.scale + 16 * quarter));
    __m512i left = _mm512_dpbusd_epi32(start, first.of[quarter], column);
    left = _mm512_dpbusd_epi32(left, second.of[quarter], next);
    left = _mm512_dpbusd_epi32(left, rest.of[quarter], taps(2));
    whole[0][quarter] = nearest(left, scale);
    if (Outputs == 1) continue;
    __m512i right = _mm512_dpbusd_epi32(start, second.of[quarter], column);
    right = _mm512_dpbusd_epi32(right, third.of[quarter], next);
    right = _mm512_dpbusd_epi32(right, rest.of[quarter], taps(3));
    whole[Outputs - 1][quarter] = nearest(right, scale);
  }
  first = third;
#pragma GCC unroll 2
  for (int which = 0; which < Outputs; ++which) {
    const __m512i* all = whole[which];
    const __m512i bytes =
        unsigned_codes(_mm512_packs_epi32(all[0], all[1]), _mm512_packs_epi32(all[2], all[3]), codes);
    store_channels<Streams>(to, (output + which) * strip.pitch, bytes, mask);
  }
}

// Steps of one stream of u8. In assembler, for compilers run out of registers here; what happens in one quarter of the
// channels is the same as above. Registers: 0 to 11 lines side by side by twos (those left over, the second column, the
// third one, each of the low and of the high half), 12 to 15 what is at work, 16 and 17 weights, 18 to 21 bias, 22 to 25
// scales.
#define GRAPHOPT_READ(from, to) "vmovdqu8 (" from "), %%zmm" to "%{%[mask]%}%{z%}\n\t"
#define GRAPHOPT_TWOS(a, b, c, d, low, other_low, high, other_high) \
  GRAPHOPT_READ(a, "12") GRAPHOPT_READ(b, "13") GRAPHOPT_READ(c, "14") GRAPHOPT_READ(d, "15") \
  "vpunpcklbw %%zmm13, %%zmm12, %%zmm" low "\n\t" \
  "vpunpckhbw %%zmm13, %%zmm12, %%zmm" high "\n\t" \
  "vpunpcklbw %%zmm15, %%zmm14, %%zmm" other_low "\n\t" \
  "vpunpckhbw %%zmm15, %%zmm14, %%zmm" other_high "\n\t"
#define GRAPHOPT_NEAREST(scale, sum) \
  "vcvtdq2ps %%zmm" sum ", %%zmm" sum "\n\t" \
  "vmulps %%zmm" scale ", %%zmm" sum ", %%zmm" sum "\n\t" \
  "vcvtps2dq %%zmm" sum ", %%zmm" sum "\n\t"
#define GRAPHOPT_QUARTER(quarter, half, rest, rests, second, seconds, third, thirds, bias, scale, left, right) \
  "vpunpck" half "wd %%zmm" seconds ", %%zmm" second ", %%zmm12\n\t" \
  "vmovdqa64 64*" quarter "(%[weights]), %%zmm16\n\t" \
  "vmovdqa64 %%zmm" bias ", %%zmm" left "\n\t" \
  "vpdpbusd %%zmm16, %[first" quarter "], %%zmm" left "\n\t" \
  "vmovdqa64 64*(4+" quarter ")(%[weights]), %%zmm17\n\t" \
  "vpunpck" half "wd %%zmm" thirds ", %%zmm" third ", %[first" quarter "]\n\t" \
  "vmovdqa64 %%zmm" bias ", %%zmm" right "\n\t" \
  "vpunpck" half "wd %%zmm" rests ", %%zmm" rest ", %%zmm13\n\t" \
  "vpdpbusd %%zmm16, %%zmm12, %%zmm" right "\n\t" \
  "vpdpbusd %%zmm17, %%zmm12, %%zmm" left "\n\t" \
  "vpdpbusd %%zmm17, %[first" quarter "], %%zmm" right "\n\t" \
  "vpdpbusd 64*(8+" quarter ")(%[weights]), %%zmm13, %%zmm" left "\n\t" \
  "vpdpbusd 64*(12+" quarter ")(%[weights]), %%zmm13, %%zmm" right "\n\t" \
  GRAPHOPT_NEAREST(scale, left) \
  GRAPHOPT_NEAREST(scale, right)
#define GRAPHOPT_CLAMP(codes) \
  "vpmaxub (%[codes]), %%zmm" codes ", %%zmm" codes "\n\t" \
  "vpminub 64(%[codes]), %%zmm" codes ", %%zmm" codes "\n\t" \
  "vpxord 128(%[codes]), %%zmm" codes ", %%zmm" codes "\n\t"

static inline __attribute__((always_inline)) void pairs_inside(const DepthwiseStrip& strip, const ThreeLines<1>& lines,
                                                               Fours& first, const UnsignedCodes& codes,
                                                               uint8_t* to, int64_t pairs) {
  const uint8_t* line0 = lines.from[0][0];
  const uint8_t* line1 = lines.from[1][0];
  const uint8_t* line2 = lines.from[2][0];
  const int64_t pixel = lines.pixel;
  asm volatile(
      "vmovdqu64 (%[bias]), %%zmm18\n\t"
      "vmovdqu64 64(%[bias]), %%zmm19\n\t"
      "vmovdqu64 128(%[bias]), %%zmm20\n\t"
      "vmovdqu64 192(%[bias]), %%zmm21\n\t"
      "vmovups (%[scale]), %%zmm22\n\t"
      "vmovups 64(%[scale]), %%zmm23\n\t"
      "vmovups 128(%[scale]), %%zmm24\n\t"
      "vmovups 192(%[scale]), %%zmm25\n\t"
      ".p2align 5\n"
      "1:\n\t"
      GRAPHOPT_TWOS("%[line0], %[pixel], 2", "%[line1], %[pixel], 2", "%[line2], %[pixel], 2", "%[line0], %[pixel]",
                    "4", "5", "6", "7")
      GRAPHOPT_TWOS("%[line1], %[pixel]", "%[line2], %[pixel]", "%[line1], %[pixel3]", "%[line2], %[pixel3]",
                    "0", "1", "2", "3")
      GRAPHOPT_TWOS("%[line0], %[pixel], 4", "%[line1], %[pixel], 4", "%[line2], %[pixel], 4", "%[line0], %[pixel3]",
                    "8", "9", "10", "11")
      "leaq (%[line0], %[pixel], 4), %[line0]\n\t"
      "leaq (%[line1], %[pixel], 4), %[line1]\n\t"
      "leaq (%[line2], %[pixel], 4), %[line2]\n\t"
      GRAPHOPT_QUARTER("0", "l", "0", "1", "4", "5", "8", "9", "18", "22", "14", "15")
      GRAPHOPT_QUARTER("1", "h", "0", "1", "4", "5", "8", "9", "19", "23", "4", "5")
      "vpackssdw %%zmm4, %%zmm14, %%zmm14\n\t"
      "vpackssdw %%zmm5, %%zmm15, %%zmm15\n\t"
      GRAPHOPT_QUARTER("2", "l", "2", "3", "6", "7", "10", "11", "20", "24", "0", "1")
      GRAPHOPT_QUARTER("3", "h", "2", "3", "6", "7", "10", "11", "21", "25", "4", "5")
      "vpackssdw %%zmm4, %%zmm0, %%zmm0\n\t"
      "vpackssdw %%zmm5, %%zmm1, %%zmm1\n\t"
      "vpaddsw %[zero], %%zmm14, %%zmm14\n\t"
      "vpaddsw %[zero], %%zmm15, %%zmm15\n\t"
      "vpaddsw %[zero], %%zmm0, %%zmm0\n\t"
      "vpaddsw %[zero], %%zmm1, %%zmm1\n\t"
      "vpackuswb %%zmm0, %%zmm14, %%zmm14\n\t"
      "vpackuswb %%zmm1, %%zmm15, %%zmm15\n\t"
      "cmpq $0, 256(%[codes])\n\t"
      "je 2f\n\t"
      GRAPHOPT_CLAMP("14")
      GRAPHOPT_CLAMP("15")
      "2:\n\t"
      "vmovdqu8 %%zmm14, (%[to])%{%[mask]%}\n\t"
      "vmovdqu8 %%zmm15, (%[to], %[pitch])%{%[mask]%}\n\t"
      "leaq (%[to], %[pitch], 2), %[to]\n\t"
      "decq %[pairs]\n\t"
      "jnz 1b\n\t"
      : [first0] "+v"(first.of[0]), [first1] "+v"(first.of[1]), [first2] "+v"(first.of[2]), [first3] "+v"(first.of[3]),
        [line0] "+r"(line0), [line1] "+r"(line1), [line2] "+r"(line2), [to] "+r"(to), [pairs] "+r"(pairs)
      : [pixel] "r"(pixel), [pixel3] "r"(3 * pixel), [pitch] "r"(strip.pitch), [weights] "r"(strip.weights),
        [bias] "r"(strip.bias), [scale] "r"(strip.out.scale), [codes] "r"(&codes), [zero] "v"(codes.zero),
        [mask] "Yk"(lines.mask)
      : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",
        "xmm23", "xmm24", "xmm25");
}

#undef GRAPHOPT_CLAMP
#undef GRAPHOPT_QUARTER
#undef GRAPHOPT_NEAREST
#undef GRAPHOPT_TWOS
#undef GRAPHOPT_READ

template <int Streams, bool Flip>
static inline __attribute__((always_inline)) void pairs_of_line(const DepthwiseStrip& strip, EdgeLines<Streams>& edge,
                                                                const Fours& blanks, const UnsignedCodes& codes,
                                                                uint8_t* const* to) {
  const __mmask64 mask = edge.lines.mask;
  edge.first = strip.first;
  Fours first = blanks;
  if (strip.first >= 0) {
    __m512i column[3];
    for (int line = 0; line < 3; ++line) column[line] = flipped<Flip>(edge.at(line, 0));
    // The weight of the fourth is 0.
    first = interleaved(column[0], column[1], column[2], column[0]);
  }
  const int64_t even = strip.count & ~int64_t{1};
  int64_t output = 0;
  const auto at_edge = [&](int64_t end) __attribute__((always_inline)) {
    for (; output < end; output += 2, edge.move(4)) {
      outputs_of_step<Streams, Flip, 2>(strip, edge, first, mask, codes, to, output);
    }
  };
  // Steps need the four places behind the first one.
  const int64_t outside = strip.first >= -1 ? 0 : (2 - strip.first) / 4 * 2;
  at_edge(outside < even ? outside : even);
  const int64_t room = strip.width - edge.first - 5;
  int64_t pairs = room < 0 ? 0 : room / 4 + 1;
  if (pairs > (even - output) / 2) pairs = (even - output) / 2;
  if (pairs > 0) {
    ThreeLines<Streams> lines = edge.lines;
    lines.move(edge.first);
    if constexpr (Streams == 1 && !Flip) {
      pairs_inside(strip, lines, first, codes, to[0] + output * strip.pitch, pairs);
      output += 2 * pairs;
    } else {
      for (const int64_t end = output + 2 * pairs; output < end; output += 2, lines.move(4)) {
        outputs_of_step<Streams, Flip, 2>(strip, lines, first, mask, codes, to, output);
      }
    }
    edge.move(4 * pairs);
  }
  at_edge(even);
  if (output < strip.count) outputs_of_step<Streams, Flip, 1>(strip, edge, first, mask, codes, to, output);
}

template <int Streams, bool Flip>
static void pairs_of_lines(const DepthwiseStrip& strip) {
  const UnsignedCodes codes(strip.out);
  EdgeLines<Streams> edge;
  edge.width = strip.width;
  edge.blank = strip.blank + strip.channel;
  edge.lines.pixel = strip.pixels[0];
  edge.lines.mask = ~__mmask64{0} >> (64 - strip.channels);
  const uint8_t* blank[Streams];
  for (int stream = 0; stream < Streams; ++stream) blank[stream] = edge.blank;
  const __m512i column = flipped<Flip>(channels_of<Streams>(blank, edge.lines.mask));
  const Fours blanks = interleaved(column, column, column, column);
  for (int64_t row = 0; row < strip.height; ++row) {
    const uint8_t* const* const* windows = strip.windows + row * Streams;
    uint8_t* to[Streams];
    for (int stream = 0; stream < Streams; ++stream) {
      for (int line = 0; line < 3; ++line) edge.lines.from[line][stream] = windows[stream][line] + strip.channel;
      to[stream] = static_cast<uint8_t*>(strip.to[row * Streams + stream]);
    }
    pairs_of_line<Streams, Flip>(strip, edge, blanks, codes, to);
  }
}

static void pairs_of_lines(const DepthwiseStrip& strip) {
  if (strip.flip) {
    if (strip.streams == 1) return pairs_of_lines<1, true>(strip);
    if (strip.streams == 2) return pairs_of_lines<2, true>(strip);
    return pairs_of_lines<4, true>(strip);
  }
  if (strip.streams == 1) return pairs_of_lines<1, false>(strip);
  if (strip.streams == 2) return pairs_of_lines<2, false>(strip);
  return pairs_of_lines<4, false>(strip);
}

}  // namespace graphopt::kernels::avx512_vnni
