// Sums of codes in integers; written with the words of the tier that includes it.

struct SumTerms {
  Ints high;
  Ints low;
  Ints start;
  Ints offset;
  Bytes least;
  Bytes greatest;
  // From codes to those less 128, as s8, and of the sums.
  Bytes b_flip;
  Bytes y_flip;
  Ints shift;

  explicit SumTerms(const IntegerSum& sum)
      : high(word_pairs(sum.a_high, sum.b_high)),
        low(word_pairs(sum.a_low, sum.b_low)),
        start(all_ints(sum.start)),
        offset(all_words(sum.offset)),
        least(all_bytes(sum.low)),
        greatest(all_bytes(sum.high)),
        b_flip(all_bytes(static_cast<uint8_t>(sum.b_flip ^ 0x80))),
        y_flip(all_bytes(sum.y_flip)),
        shift(all_words(static_cast<int16_t>(sum.shift))) {}
};

// Each code lies in the upper byte of a word, beside one of the other operand: the even ones of the operands in two
// vectors, the odd ones in two more, so that the upper words of sums interleave to codes in order. `a` is less by 128.
static inline Bytes saturated_sums(Bytes a, Bytes given, const SumTerms& sum) {
  const Bytes b = exclusive_or(given, sum.b_flip);
  const auto words = [&](Ints even, Ints odd) {
    const auto product = [&](Ints codes) {
      return dot(shifted_right<15>(dot(sum.start, codes, sum.low)), codes, sum.high);
    };
    const Ints both = upper_words(product(even), product(odd));
    return shifted_words(sum_saturated(both, sum.offset), sum.shift);
  };
  const Ints a_even = even_bytes_up(a);
  const Ints a_odd = odd_bytes(a);
  const Ints b_even = even_bytes_up(b);
  const Ints b_odd = odd_bytes(b);
  return saturated(words(interleaved_low(a_even, b_even), interleaved_low(a_odd, b_odd)),
                   words(interleaved_high(a_even, b_even), interleaved_high(a_odd, b_odd)));
}

// Of codes that have bounds of their own, and of those whose top bit is inverted.
template <bool Bounded, bool Flipped>
static inline Bytes integer_sums(Bytes a, Bytes given, const SumTerms& sum) {
  Bytes codes = saturated_sums(a, given, sum);
  if (Bounded) codes = lesser_bytes(greater_bytes(codes, sum.least), sum.greatest);
  return Flipped ? exclusive_or(codes, sum.y_flip) : codes;
}

template <bool Bounded, bool Flipped>
static void add_rows(const uint8_t* a, const uint8_t* b, uint8_t* y, const Grid& grid, const IntegerSum& sum) {
  const SumTerms terms(sum);
  const auto a_flip = static_cast<uint8_t>(sum.a_flip ^ 0x80);
  for (size_t row = 0; row < grid.rows; ++row, a += grid.a_row, b += grid.b_row, y += grid.y_row) {
    const auto part = [&](size_t column, size_t count) {
      const Bytes codes = flipped(load_bytes(a + column, count), a_flip);
      store_bytes(y + column, count, integer_sums<Bounded, Flipped>(codes, load_bytes(b + column, count), terms));
    };
    size_t column = 0;
    for (; column + kBytes <= grid.columns; column += kBytes) part(column, kBytes);
    if (column < grid.columns) part(column, grid.columns - column);
  }
}

static inline bool is_bounded(const IntegerSum& sum) { return sum.low != 0 || sum.high != 255; }

static void add_integers(const uint8_t* a, const uint8_t* b, uint8_t* y, const Grid& grid, const IntegerSum& sum) {
  if (is_bounded(sum)) return add_rows<true, true>(a, b, y, grid, sum);
  if (sum.y_flip != 0) return add_rows<false, true>(a, b, y, grid, sum);
  add_rows<false, false>(a, b, y, grid, sum);
}
