// Depthwise windows of 5 x 5, two pixels from one to the next: an output a step, of two more columns of five lines.
// What vpdpbusd takes stays in registers, for to store it costs as much as to multiply it. Fours are made of the first
// four lines of each column, and, of the last line, of a window's last four pixels; its first one is the second of the
// four before.

namespace graphopt::kernels::avx512_vnni {

// Neighbouring outputs: five lines, how far in each the fourth column of the first one's window lies, bytes from pixel
// to pixel, and how many there are; none ends a list of runs.
struct RunOfFives {
  const uint8_t* const* lines;
  int64_t offset;
  int64_t pixel;
  int64_t count;
  // Of the last output, masks of both new columns, and the bias: a column outside is read as 0, in place of one inside,
  // and what blanks would add to the sums is part of the bias.
  __mmask64 last_masks[2];
  const __m512i* last_bias;
  // To the column that is read first, and from it to the second.
  int64_t last_shift;
  int64_t last_pixel;
};

// Outputs whose new columns are copied, at a time.
constexpr int64_t kFivesCopied = 16;

// What assembler is given: it knows where these lie.
struct Fives {
  __m512i bias[4];
  __m512 scale[4];
  UnsignedCodes codes;
  int64_t pitch;
  // Of the first window's first three columns: so many are blank, the others lie before the first run's.
  int64_t outside;
  RunOfFives runs[4];
  __m512i blank;
  Fours blanks;
  // With blanks in the last column.
  __m512i last_bias[4];

  explicit Fives(const DepthwiseStrip& strip) : codes(strip.out), pitch(strip.pitch), outside(0) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      bias[quarter] = _mm512_loadu_si512(strip.bias + 16 * quarter);
      scale[quarter] = _mm512_loadu_ps(strip.out.scale + 16 * quarter);
    }
  }
};
static_assert(__builtin_offsetof(Fives, codes) == 512 && __builtin_offsetof(UnsignedCodes, zero) == 192);
static_assert(__builtin_offsetof(UnsignedCodes, clamped) == 256 && __builtin_offsetof(Fives, pitch) == 832);
static_assert(__builtin_offsetof(Fives, outside) == 840 && __builtin_offsetof(Fives, runs) == 848);
static_assert(__builtin_offsetof(Fives, blank) == 1152 && __builtin_offsetof(Fives, blanks) == 1216);
static_assert(sizeof(RunOfFives) == 72);

// Registers: 0 to 11 the first three columns, 12 to 15 the four of the last line before this output's, 16 and 17 the
// pairs that its four begins with; 18 to 21 and 22 to 25 the two new columns by twos of lines, low halves first; 26 and
// 27 the new pairs of the last line; 28 to 31 what is at work.
#define GRAPHOPT_READ(from, mask, to) "vmovdqu8 (" from "), %%zmm" to "%{%[" mask "]%}%{z%}\n\t"
#define GRAPHOPT_LINES \
  "movq (%[run]), %[bias]\n\t" \
  "movq 8(%[run]), %[count]\n\t" \
  "movq 16(%[run]), %[pixel]\n\t" \
  "movq (%[bias]), %[line0]\n\t" \
  "movq 8(%[bias]), %[line1]\n\t" \
  "movq 16(%[bias]), %[line2]\n\t" \
  "movq 24(%[bias]), %[line3]\n\t" \
  "movq 32(%[bias]), %[line4]\n\t" \
  "addq %[count], %[line0]\n\t" \
  "addq %[count], %[line1]\n\t" \
  "addq %[count], %[line2]\n\t" \
  "addq %[count], %[line3]\n\t" \
  "addq %[count], %[line4]\n\t"
#define GRAPHOPT_TWO(low, high, left, right) \
  "vpunpcklbw %%zmm" right ", %%zmm" left ", %%zmm" low "\n\t" \
  "vpunpckhbw %%zmm" right ", %%zmm" left ", %%zmm" high "\n\t"
#define GRAPHOPT_FOUR(half, to, left, right) "vpunpck" half "wd %%zmm" right ", %%zmm" left ", %%zmm" to "\n\t"
// One of the first columns, `back` bytes before the first run: of the last line, as it is.
#define GRAPHOPT_FIRST(back, q0, q1, q2, q3, last) \
  GRAPHOPT_READ("%[line0], " back, "mask", "28") GRAPHOPT_READ("%[line1], " back, "mask", "29") \
  GRAPHOPT_READ("%[line2], " back, "mask", "30") GRAPHOPT_READ("%[line3], " back, "mask", "31") \
  GRAPHOPT_READ("%[line4], " back, "mask", last) \
  GRAPHOPT_TWO("18", "20", "28", "29") GRAPHOPT_TWO("19", "21", "30", "31") \
  GRAPHOPT_FOUR("l", q0, "18", "19") GRAPHOPT_FOUR("h", q1, "18", "19") \
  GRAPHOPT_FOUR("l", q2, "20", "21") GRAPHOPT_FOUR("h", q3, "20", "21")
#define GRAPHOPT_BLANK(q0, q1, q2, q3) \
  "vmovdqa64 1216(%[fives]), %%zmm" q0 "\n\t" \
  "vmovdqa64 1216+64(%[fives]), %%zmm" q1 "\n\t" \
  "vmovdqa64 1216+128(%[fives]), %%zmm" q2 "\n\t" \
  "vmovdqa64 1216+192(%[fives]), %%zmm" q3 "\n\t"
#define GRAPHOPT_TIMES(tap, quarter, codes, sum) \
  "vpdpbusd 64*(4*" tap "+" quarter ")(%[weights]), %%zmm" codes ", %%zmm" sum "\n\t"
#define GRAPHOPT_QUARTER(quarter, half, c0, c1, c2, last, old, left3, right3, left4, right4, young, sum) \
  "vmovdqa64 64*" quarter "(%[bias]), %%zmm" sum "\n\t" \
  GRAPHOPT_TIMES("0", quarter, c0, sum) \
  GRAPHOPT_TIMES("1", quarter, c1, sum) \
  GRAPHOPT_TIMES("2", quarter, c2, sum) \
  GRAPHOPT_TIMES("5", quarter, last, sum) \
  "vmovdqa64 %%zmm" c2 ", %%zmm" c0 "\n\t" \
  GRAPHOPT_FOUR(half, c1, left3, right3) \
  GRAPHOPT_FOUR(half, c2, left4, right4) \
  GRAPHOPT_FOUR(half, last, old, young) \
  GRAPHOPT_TIMES("3", quarter, c1, sum) \
  GRAPHOPT_TIMES("4", quarter, c2, sum) \
  GRAPHOPT_TIMES("6", quarter, last, sum) \
  "vcvtdq2ps %%zmm" sum ", %%zmm" sum "\n\t" \
  "vmulps 256+64*" quarter "(%[fives]), %%zmm" sum ", %%zmm" sum "\n\t" \
  "vcvtps2dq %%zmm" sum ", %%zmm" sum "\n\t"

// Runs of outputs of a line, one behind the other.
static inline __attribute__((always_inline)) void runs_of_fives(const Fives& fives, const int8_t* weights,
                                                                __mmask64 mask, uint8_t* to) {
  const RunOfFives* run = fives.runs;
  const uint8_t *line0, *line1, *line2, *line3, *line4;
  int64_t pixel, count;
  const __m512i* bias;
  __mmask64 first, second;
  asm volatile(
      GRAPHOPT_LINES
      "movq 840(%[fives]), %[bias]\n\t"
      "negq %[pixel]\n\t"
      "leaq (%[pixel], %[pixel], 2), %[count]\n\t"
      "cmpq $2, %[bias]\n\t"
      "jg 6f\n\t"
      "je 7f\n\t"
      "testq %[bias], %[bias]\n\t"
      "jne 8f\n\t"
      GRAPHOPT_FIRST("%[count]", "0", "1", "2", "3", "26")
      GRAPHOPT_TWO("18", "19", "26", "26")
      GRAPHOPT_FOUR("l", "12", "18", "18") GRAPHOPT_FOUR("h", "13", "18", "18")
      GRAPHOPT_FOUR("l", "14", "19", "19") GRAPHOPT_FOUR("h", "15", "19", "19")
      "5:\n\t"
      GRAPHOPT_FIRST("%[pixel], 2", "4", "5", "6", "7", "26")
      "9:\n\t"
      GRAPHOPT_FIRST("%[pixel]", "8", "9", "10", "11", "27")
      "10:\n\t"
      GRAPHOPT_TWO("16", "17", "26", "27")
      "0:\n\t"
      "cmpq $0, 24(%[run])\n\t"
      "je 3f\n\t"
      GRAPHOPT_LINES
      "movq 24(%[run]), %[count]\n\t"
      "movq %[fives], %[bias]\n\t"
      "kmovq %[mask], %[first]\n\t"
      "kmovq %[mask], %[second]\n\t"
      ".p2align 5\n"
      "1:\n\t"
      "cmpq $1, %[count]\n\t"
      "jne 4f\n\t"
      "kmovq 32(%[run]), %[first]\n\t"
      "kmovq 40(%[run]), %[second]\n\t"
      "movq 48(%[run]), %[bias]\n\t"
      "movq 56(%[run]), %[pixel]\n\t"
      "addq %[pixel], %[line0]\n\t"
      "addq %[pixel], %[line1]\n\t"
      "addq %[pixel], %[line2]\n\t"
      "addq %[pixel], %[line3]\n\t"
      "addq %[pixel], %[line4]\n\t"
      "movq 64(%[run]), %[pixel]\n\t"
      "4:\n\t"
      GRAPHOPT_READ("%[line0]", "first", "28") GRAPHOPT_READ("%[line1]", "first", "29")
      GRAPHOPT_READ("%[line2]", "first", "30") GRAPHOPT_READ("%[line3]", "first", "31")
      GRAPHOPT_TWO("18", "20", "28", "29") GRAPHOPT_TWO("19", "21", "30", "31")
      GRAPHOPT_READ("%[line0], %[pixel]", "second", "28") GRAPHOPT_READ("%[line1], %[pixel]", "second", "29")
      GRAPHOPT_READ("%[line2], %[pixel]", "second", "30") GRAPHOPT_READ("%[line3], %[pixel]", "second", "31")
      GRAPHOPT_TWO("22", "24", "28", "29") GRAPHOPT_TWO("23", "25", "30", "31")
      GRAPHOPT_READ("%[line4]", "first", "28") GRAPHOPT_READ("%[line4], %[pixel]", "second", "29")
      GRAPHOPT_TWO("26", "27", "28", "29")
      "leaq (%[line0], %[pixel], 2), %[line0]\n\t"
      "leaq (%[line1], %[pixel], 2), %[line1]\n\t"
      "leaq (%[line2], %[pixel], 2), %[line2]\n\t"
      "leaq (%[line3], %[pixel], 2), %[line3]\n\t"
      "leaq (%[line4], %[pixel], 2), %[line4]\n\t"
      GRAPHOPT_QUARTER("0", "l", "0", "4", "8", "12", "16", "18", "19", "22", "23", "26", "28")
      GRAPHOPT_QUARTER("1", "h", "1", "5", "9", "13", "16", "18", "19", "22", "23", "26", "29")
      "vmovdqa64 %%zmm26, %%zmm16\n\t"
      "vpackssdw %%zmm29, %%zmm28, %%zmm28\n\t"
      GRAPHOPT_QUARTER("2", "l", "2", "6", "10", "14", "17", "20", "21", "24", "25", "27", "29")
      GRAPHOPT_QUARTER("3", "h", "3", "7", "11", "15", "17", "20", "21", "24", "25", "27", "30")
      "vmovdqa64 %%zmm27, %%zmm17\n\t"
      "vpackssdw %%zmm30, %%zmm29, %%zmm29\n\t"
      "vpaddsw 512+192(%[fives]), %%zmm28, %%zmm28\n\t"
      "vpaddsw 512+192(%[fives]), %%zmm29, %%zmm29\n\t"
      "vpackuswb %%zmm29, %%zmm28, %%zmm28\n\t"
      "cmpq $0, 512+256(%[fives])\n\t"
      "je 2f\n\t"
      "vpmaxub 512(%[fives]), %%zmm28, %%zmm28\n\t"
      "vpminub 512+64(%[fives]), %%zmm28, %%zmm28\n\t"
      "vpxord 512+128(%[fives]), %%zmm28, %%zmm28\n\t"
      "2:\n\t"
      "vmovdqu8 %%zmm28, (%[to])%{%[mask]%}\n\t"
      "addq 832(%[fives]), %[to]\n\t"
      "decq %[count]\n\t"
      "jnz 1b\n\t"
      "addq $72, %[run]\n\t"
      "jmp 0b\n\t"
      // One, two or three columns that are blank.
      "8:\n\t"
      GRAPHOPT_BLANK("0", "1", "2", "3")
      GRAPHOPT_BLANK("12", "13", "14", "15")
      "jmp 5b\n\t"
      "7:\n\t"
      GRAPHOPT_BLANK("0", "1", "2", "3")
      GRAPHOPT_BLANK("12", "13", "14", "15")
      GRAPHOPT_BLANK("4", "5", "6", "7")
      "vmovdqa64 1152(%[fives]), %%zmm26\n\t"
      "jmp 9b\n\t"
      "6:\n\t"
      GRAPHOPT_BLANK("0", "1", "2", "3")
      GRAPHOPT_BLANK("12", "13", "14", "15")
      GRAPHOPT_BLANK("4", "5", "6", "7")
      GRAPHOPT_BLANK("8", "9", "10", "11")
      "vmovdqa64 1152(%[fives]), %%zmm26\n\t"
      "vmovdqa64 %%zmm26, %%zmm27\n\t"
      "jmp 10b\n\t"
      "3:\n\t"
      : [line0] "=&r"(line0), [line1] "=&r"(line1), [line2] "=&r"(line2), [line3] "=&r"(line3),
        [line4] "=&r"(line4), [pixel] "=&r"(pixel), [count] "=&r"(count), [bias] "=&r"(bias), [first] "=&Yk"(first),
        [second] "=&Yk"(second), [run] "+r"(run), [to] "+r"(to)
      : [fives] "r"(&fives), [weights] "r"(weights), [mask] "Yk"(mask)
      : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22",
        "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

#undef GRAPHOPT_QUARTER
#undef GRAPHOPT_TIMES
#undef GRAPHOPT_BLANK
#undef GRAPHOPT_FIRST
#undef GRAPHOPT_FOUR
#undef GRAPHOPT_TWO
#undef GRAPHOPT_LINES
#undef GRAPHOPT_READ

// The channels of pixels `first` to `first + count` of five lines, line by line.
template <int Streams, bool Flip>
static inline void copy_columns(const DepthwiseStrip& strip, const uint8_t* const* const* windows, int64_t first,
                                int64_t count, __mmask64 mask, __m512i* to) {
  const int64_t left = first >= 0 ? 0 : -first < count ? -first : count;
  const int64_t right = strip.width - first < left ? left : strip.width - first < count ? strip.width - first : count;
  const int64_t pixel = strip.pixels[0];
  const uint8_t* from[Streams];
  for (int stream = 0; stream < Streams; ++stream) from[stream] = strip.blank + strip.channel;
  const __m512i blank = flipped<Flip>(channels_of<Streams>(from, mask));
  for (int line = 0; line < 5; ++line, to += count) {
    for (int64_t column = 0; column < left; ++column) _mm512_store_si512(to + column, blank);
#pragma GCC unroll 4
    for (int stream = 0; stream < Streams; ++stream) {
      from[stream] = windows[stream][line] + strip.channel + (first + left) * pixel;
    }
    for (int64_t column = left; column < right; ++column) {
      _mm512_store_si512(to + column, flipped<Flip>(channels_of<Streams>(from, mask)));
#pragma GCC unroll 4
      for (int stream = 0; stream < Streams; ++stream) from[stream] += pixel;
    }
    for (int64_t column = right; column < count; ++column) _mm512_store_si512(to + column, blank);
  }
}

// Outputs `output` to `output + count` of a line of each stream: of those from `begin` to `end`, new columns are read
// where they lie, of at most kFivesCopied others they are copied first. Of the one before `end`, `outside` of the new
// columns are.
template <int Streams, bool Flip>
static inline void fives_of_line(const DepthwiseStrip& strip, Fives& fives, const uint8_t* const* const* windows,
                                 int64_t output, int64_t count, int64_t begin, int64_t end, int64_t outside,
                                 __mmask64 mask, uint8_t* const* to) {
  constexpr bool kDirect = Streams == 1 && !Flip;
  // Of each run that is copied, with the three columns before its new ones.
  __m512i copies[2 * 15 + 10 * kFivesCopied];
  const uint8_t* copied[2][5];
  __m512i* free = copies;
  const uint8_t*(*pointers)[5] = copied;
  RunOfFives* run = fives.runs;
  const auto add = [&](int64_t from, int64_t to, bool inside) __attribute__((always_inline)) {
    if (from >= to) return;
    const int64_t column = strip.first + 2 * from + 3;
    run->count = to - from;
    run->pixel = inside ? strip.pixels[0] : 64;
    const __mmask64 all = kDirect ? mask : ~__mmask64{0};
    run->last_masks[0] = inside && outside == 2 ? 0 : all;
    run->last_masks[1] = inside && outside > 0 ? 0 : all;
    run->last_bias = inside && outside > 0 ? fives.last_bias : fives.bias;
    run->last_shift = inside && outside == 2 ? -run->pixel : 0;
    run->last_pixel = inside && outside > 0 ? 0 : run->pixel;
    run->lines = windows[0];
    run->offset = column * run->pixel + strip.channel;
    if (!inside) {
      const int64_t columns = 3 + 2 * run->count;
      copy_columns<Streams, Flip>(strip, windows, column - 3, columns, mask, free);
      for (int line = 0; line < 5; ++line, free += columns) {
        (*pointers)[line] = reinterpret_cast<const uint8_t*>(free + 3);
      }
      run->lines = *pointers++;
      run->offset = 0;
    }
    ++run;
  };
  add(output, begin, false);
  add(begin, end, true);
  add(end, output + count, false);
  run->count = 0;
  if constexpr (Streams == 1) {
    runs_of_fives(fives, strip.weights, mask, to[0] + output * strip.pitch);
  } else {
    __m512i outputs[kFivesCopied];
    runs_of_fives(fives, strip.weights, ~__mmask64{0}, reinterpret_cast<uint8_t*>(outputs));
    for (int64_t i = 0; i < count; ++i) store_channels<Streams>(to, (output + i) * strip.pitch, outputs[i], mask);
  }
}

template <int Streams, bool Flip>
static void fives_of_lines(const DepthwiseStrip& strip) {
  Fives fives(strip);
  if (Streams > 1) fives.pitch = 64;
  const __mmask64 mask = ~__mmask64{0} >> (64 - strip.channels);
  fives.blank = flipped<Flip>(_mm512_maskz_loadu_epi8(mask, strip.blank + strip.channel));
  fives.blanks = interleaved(fives.blank, fives.blank, fives.blank, fives.blank);
  // Outputs whose new columns are inside.
  int64_t begin = strip.first >= -3 ? 0 : (-2 - strip.first) / 2;
  int64_t end = strip.width < strip.first + 5 ? 0 : (strip.width - strip.first - 5) / 2 + 1;
  if (end > strip.count) end = strip.count;
  // New columns of the next one that are not, if it is the last.
  int64_t outside = 0;
  if (end + 1 == strip.count && end >= begin && strip.width - strip.first - 2 * end >= 3) {
    outside = strip.first + 2 * end + 5 - strip.width;
    ++end;
    const __m512i none = _mm512_setzero_si512();
    const Fours& column = fives.blanks;
    const Fours last = interleaved(none, none, outside == 2 ? fives.blank : none, fives.blank);
    for (int quarter = 0; quarter < 4; ++quarter) {
      const auto add = [&](__m512i sum, __m512i fours, int tap) {
        return _mm512_dpbusd_epi32(sum, fours, _mm512_load_si512(strip.weights + (4 * tap + quarter) * 64));
      };
      const __m512i sum = add(add(fives.bias[quarter], last.of[quarter], 6), column.of[quarter], 4);
      fives.last_bias[quarter] = outside == 2 ? add(sum, column.of[quarter], 3) : sum;
    }
  }
  const bool direct = Streams == 1 && !Flip && begin < end && strip.count - (end - begin) <= kFivesCopied;
  const int64_t step = direct ? strip.count : kFivesCopied;
  if (direct && strip.first < 0) fives.outside = strip.first < -3 ? 3 : -strip.first;
  for (int64_t row = 0; row < strip.height; ++row) {
    const uint8_t* const* const* windows = strip.windows + row * Streams;
    uint8_t* to[Streams];
    for (int stream = 0; stream < Streams; ++stream) {
      to[stream] = static_cast<uint8_t*>(strip.to[row * Streams + stream]);
    }
    for (int64_t output = 0; output < strip.count; output += step) {
      const int64_t count = strip.count - output < step ? strip.count - output : step;
      fives_of_line<Streams, Flip>(strip, fives, windows, output, count, direct ? begin : output + count,
                                   direct ? end : output + count, outside, mask, to);
    }
  }
}

static void fives_of_lines(const DepthwiseStrip& strip) {
  if (strip.flip) {
    if (strip.streams == 1) return fives_of_lines<1, true>(strip);
    if (strip.streams == 2) return fives_of_lines<2, true>(strip);
    return fives_of_lines<4, true>(strip);
  }
  if (strip.streams == 1) return fives_of_lines<1, false>(strip);
  if (strip.streams == 2) return fives_of_lines<2, false>(strip);
  return fives_of_lines<4, false>(strip);
}

}  // namespace graphopt::kernels::avx512_vnni
