// Arithmetic on codes: add, mul, affine, quantize, dequantize; written with the vectors of the tier that includes it.

template <typename Combine>
static inline void combine_codes(const uint8_t* a, const uint8_t* b, uint8_t* y, const Grid& grid,
                                 const CodesPair& pair, const Combine& combine) {
  const Narrow narrow = narrowing(pair.y);
  const auto operand = [](const uint8_t* from, size_t step, size_t column, size_t count, const CodesIn& codes) {
    const Bytes bytes = step == 0 ? all_bytes(*from) : load_bytes(from + column, count);
    return widened(flipped(bytes, codes.flip), codes.zero);
  };
  const auto row_part = [&](size_t row, size_t column, size_t count, const Quad& right) {
    const Quad left = operand(a + row * grid.a_row, grid.a_step, column, count, pair.a);
    Quad both;
    for (size_t i = 0; i < 4; ++i) both.at[i] = combine(left.at[i], right.at[i]);
    store_bytes(y + row * grid.y_row + column, count, narrowed(both, narrow));
  };
  if (grid.b_row == 0 && grid.rows > 1) {
    // What is the same in all rows is converted once.
    for (size_t column = 0; column < grid.columns; column += kBytes) {
      const size_t count = grid.columns - column < kBytes ? grid.columns - column : kBytes;
      const Quad right = operand(b, grid.b_step, column, count, pair.b);
      if (count == kBytes) {
        for (size_t row = 0; row < grid.rows; ++row) row_part(row, column, kBytes, right);
      } else {
        for (size_t row = 0; row < grid.rows; ++row) row_part(row, column, count, right);
      }
    }
    return;
  }
  for (size_t row = 0; row < grid.rows; ++row) {
    const uint8_t* from = b + row * grid.b_row;
    size_t column = 0;
    for (; column + kBytes <= grid.columns; column += kBytes) {
      row_part(row, column, kBytes, operand(from, grid.b_step, column, kBytes, pair.b));
    }
    if (column < grid.columns) {
      const size_t count = grid.columns - column;
      row_part(row, column, count, operand(from, grid.b_step, column, count, pair.b));
    }
  }
}

static void add_codes(const uint8_t* a, const uint8_t* b, uint8_t* y, const Grid& grid, const CodesPair& pair) {
  const Floats start = all(pair.start);
  const Floats a_factor = all(pair.a_factor);
  const Floats b_factor = all(pair.b_factor);
  if (pair.a_first) {
    combine_codes(a, b, y, grid, pair, [&](Floats left, Floats right) {
      return fused(right, b_factor, fused(left, a_factor, start));
    });
  } else {
    combine_codes(a, b, y, grid, pair, [&](Floats left, Floats right) {
      return fused(left, a_factor, fused(right, b_factor, start));
    });
  }
}

static void mul_codes(const uint8_t* a, const uint8_t* b, uint8_t* y, const Grid& grid, const CodesPair& pair) {
  const Floats start = all(pair.start);
  const Floats factor = all(pair.a_factor);
  combine_codes(a, b, y, grid, pair, [&](Floats left, Floats right) { return left * right * factor + start; });
}

static void affine_codes(const uint8_t* from, uint8_t* to, const Grid& grid, const CodesIn& in, const float* factors,
                         const float* offsets, const CodesOut& out) {
  const Narrow narrow = narrowing(out);
  for (size_t column = 0; column < grid.columns; column += kBytes) {
    Quad factor;
    Quad offset;
    for (size_t i = 0; i < 4; ++i) {
      factor.at[i] = load(factors + column + i * kFloats, kFloats);
      offset.at[i] = load(offsets + column + i * kFloats, kFloats);
    }
    const auto part = [&](size_t row, size_t count) {
      Quad quad = widened(flipped(load_bytes(from + row * grid.a_row + column, count), in.flip), in.zero);
      for (size_t i = 0; i < 4; ++i) quad.at[i] = fused(quad.at[i], factor.at[i], offset.at[i]);
      store_bytes(to + row * grid.y_row + column, count, narrowed(quad, narrow));
    };
    const size_t count = grid.columns - column;
    if (count >= kBytes) {
      for (size_t row = 0; row < grid.rows; ++row) part(row, kBytes);
    } else {
      for (size_t row = 0; row < grid.rows; ++row) part(row, count);
    }
  }
}

static inline size_t floats_left(size_t count, size_t done) {
  return count <= done ? 0 : count - done < kFloats ? count - done : kFloats;
}

static void quantize(const float* from, uint8_t* to, size_t count, float scale, const CodesOut& codes) {
  const Narrow narrow = narrowing(codes);
  const Floats divisor = all(scale);
  size_t i = 0;
  for (; i + kBytes <= count; i += kBytes) {
    Quad quad;
    for (size_t part = 0; part < 4; ++part) quad.at[part] = load(from + i + part * kFloats, kFloats) / divisor;
    store_bytes(to + i, kBytes, narrowed(quad, narrow));
  }
  if (i == count) return;
  Quad quad;
  for (size_t part = 0; part < 4; ++part) {
    const size_t left = floats_left(count - i, part * kFloats);
    quad.at[part] = left == 0 ? all(0) : load(from + i + part * kFloats, left) / divisor;
  }
  store_bytes(to + i, count - i, narrowed(quad, narrow));
}

static void dequantize(const uint8_t* from, float* to, size_t count, float scale, const CodesIn& codes) {
  const Floats factor = all(scale);
  size_t i = 0;
  for (; i + kBytes <= count; i += kBytes) {
    const Quad quad = widened(flipped(load_bytes(from + i, kBytes), codes.flip), codes.zero);
    for (size_t part = 0; part < 4; ++part) store(to + i + part * kFloats, kFloats, quad.at[part] * factor);
  }
  if (i == count) return;
  const Quad quad = widened(flipped(load_bytes(from + i, count - i), codes.flip), codes.zero);
  for (size_t part = 0; part < 4; ++part) {
    const size_t left = floats_left(count - i, part * kFloats);
    if (left != 0) store(to + i + part * kFloats, left, quad.at[part] * factor);
  }
}
