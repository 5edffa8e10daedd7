// Rows of floats; written with the vectors of the tier that includes it, behind functions.inl.

// The lanes of partial sums, as vectors.
struct Lanes {
  Floats at[kLanes / kFloats];
};

// Calls number(place, count) for each vector of a row's part, and adds what it gives to the lanes.
template <typename Number>
static inline void add_to(float* lanes, size_t count, const Number& number) {
  Lanes sums;
  for (size_t i = 0; i < kLanes / kFloats; ++i) sums.at[i] = load(lanes + i * kFloats, kFloats);
  size_t at = 0;
  for (; at + kLanes <= count; at += kLanes) {
    for (size_t i = 0; i < kLanes / kFloats; ++i) {
      sums.at[i] = sums.at[i] + number(at + i * kFloats, kFloats);
    }
  }
  for (size_t i = 0; i < kLanes / kFloats; ++i) store(lanes + i * kFloats, kFloats, sums.at[i]);
  for (size_t lane = 0; at < count; at += kFloats, lane += kFloats) {
    const size_t left = count - at < kFloats ? count - at : kFloats;
    store(lanes + lane, left, load(lanes + lane, left) + number(at, left));
  }
}

static float greatest(const float* from, size_t count, float least) {
  Floats most[4];
  for (Floats& each : most) each = all(least);
  size_t i = 0;
  for (; i + 4 * kFloats <= count; i += 4 * kFloats) {
    for (size_t part = 0; part < 4; ++part) most[part] = greater(load(from + i + part * kFloats, kFloats), most[part]);
  }
  for (; i < count; i += kFloats) most[0] = greater(load_or(from + i, count - i, least), most[0]);
  return greatest_of(greater(greater(most[0], most[1]), greater(most[2], most[3])));
}

static void raise(const float* from, float* to, size_t count, float most, float* lanes) {
  size_t at = 0;
  if (kWideFloats % kLanes == 0) {
    Lanes sums;
    for (size_t i = 0; i < kLanes / kFloats; ++i) sums.at[i] = load(lanes + i * kFloats, kFloats);
    for (; at + kWideFloats <= count; at += kWideFloats) {
      const Wide values = exp_of_low<Wide>(load_wide(from + at) - all(most));
      store_wide(to + at, values);
      for (size_t i = 0; i < kWide; ++i) {
        Floats& lane = sums.at[i % (kLanes / kFloats)];
        lane = lane + values.at[i];
      }
    }
    for (size_t i = 0; i < kLanes / kFloats; ++i) store(lanes + i * kFloats, kFloats, sums.at[i]);
  }
  add_to(lanes, count - at, [&](size_t place, size_t left) {
    const Floats value = exp_of_low(load(from + at + place, left) - all(most));
    store(to + at + place, left, value);
    return value;
  });
}

static void scale(const float* from, float* to, size_t count, float factor) {
  each_float(from, to, count, [&](Floats x) { return x * all(factor); });
}

static void softmax_columns(float* numbers, size_t pitch, size_t count, size_t rows) {
  for (float* first = numbers; first < numbers + rows; first += kFloats) {
    Floats most = all(-__builtin_inff());
    for (size_t i = 0; i < count; ++i) most = greater(load(first + i * pitch, kFloats), most);
    Floats lanes[kLanes];
    for (Floats& lane : lanes) lane = all(0);
    for (size_t i = 0; i < count; ++i) {
      const Floats power = exp_of_low(load(first + i * pitch, kFloats) - most);
      lanes[i % kLanes] = lanes[i % kLanes] + power;
      store(first + i * pitch, kFloats, power);
    }
    for (size_t half = kLanes / 2; half != 0; half /= 2) {
      for (size_t lane = 0; lane < half; ++lane) lanes[lane] = lanes[lane] + lanes[lane + half];
    }
    const Floats factor = all(1) / lanes[0];
    for (size_t i = 0; i < count; ++i) store(first + i * pitch, kFloats, load(first + i * pitch, kFloats) * factor);
  }
}

// Rows whose sums are added up side by side.
constexpr size_t kRowsOfDoubles = kFloats == 16 ? 4 : 2;

template <size_t kRows>
static inline void sums_of(const float* from, size_t pitch, size_t count, float* to) {
  Lanes sums[kRows];
  for (Lanes& each : sums) {
    for (Floats& lanes : each.at) lanes = all(0);
  }
  size_t at = 0;
  for (; at + kLanes <= count; at += kLanes) {
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t i = 0; i < kLanes / kFloats; ++i) {
        sums[row].at[i] = sums[row].at[i] + load(from + row * pitch + at + i * kFloats, kFloats);
      }
    }
  }
  for (size_t row = 0; row < kRows; ++row) {
    if (at < count) {
      float lanes[kLanes];
      for (size_t i = 0; i < kLanes / kFloats; ++i) store(lanes + i * kFloats, kFloats, sums[row].at[i]);
      for (size_t i = at; i < count; ++i) lanes[i - at] += from[row * pitch + i];
      for (size_t i = 0; i < kLanes / kFloats; ++i) sums[row].at[i] = load(lanes + i * kFloats, kFloats);
    }
    to[row] = total_of(sums[row].at);
  }
}

static void sums(const float* from, size_t pitch, size_t rows, size_t count, float* to) {
  size_t row = 0;
  for (; row + kRowsAtOnce <= rows; row += kRowsAtOnce) {
    sums_of<kRowsAtOnce>(from + row * pitch, pitch, count, to + row);
  }
  for (; row < rows; ++row) sums_of<1>(from + row * pitch, pitch, count, to + row);
}

template <size_t kRows>
static inline void doubles_of(const float* const* from, size_t count, double (*lanes)[kLanes]) {
  DoubleLanes sums[kRows];
  for (size_t row = 0; row < kRows; ++row) sums[row] = load_doubles(lanes[row]);
  size_t at = 0;
  for (; at + kLanes <= count; at += kLanes) {
    for (size_t row = 0; row < kRows; ++row) {
      for (size_t i = 0; i < kLanes / kFloats; ++i) {
        add_doubles(sums[row], i, load(from[row] + at + i * kFloats, kFloats));
      }
    }
  }
  for (size_t row = 0; row < kRows; ++row) {
    store_doubles(lanes[row], sums[row]);
    for (size_t i = at; i < count; ++i) lanes[row][i - at] += static_cast<double>(from[row][i]);
  }
}

static void add_up_doubles(const float* const* from, size_t rows, size_t count, double (*lanes)[kLanes]) {
  size_t row = 0;
  for (; row + kRowsOfDoubles <= rows; row += kRowsOfDoubles) {
    doubles_of<kRowsOfDoubles>(from + row, count, lanes + row);
  }
  for (; row < rows; ++row) doubles_of<1>(from + row, count, lanes + row);
}

template <size_t kRows>
static inline void squares_of(const float* const* from, size_t count, const float* means,
                              float (*lanes)[kSquareLanes]) {
  Eight sums[kRows];
  for (size_t row = 0; row < kRows; ++row) sums[row] = load_eight(lanes[row]);
  for (size_t at = 0; at + kSquareLanes <= count; at += kSquareLanes) {
    for (size_t row = 0; row < kRows; ++row) {
      sums[row] = with_squares(sums[row], load_eight(from[row] + at), means[row]);
    }
  }
  for (size_t row = 0; row < kRows; ++row) store_eight(lanes[row], sums[row]);
}

static void add_squares(const float* const* from, size_t rows, size_t count, const float* means,
                        float (*lanes)[kSquareLanes]) {
  if (rows == kRowsAtOnce) {
    squares_of<kRowsAtOnce>(from, count, means, lanes);
  } else {
    for (size_t row = 0; row < rows; ++row) squares_of<1>(from + row, count, means + row, lanes + row);
  }
}

static void normalize(const float* from, float* to, size_t count, float mean, float factor, const float* gamma,
                      const float* beta) {
  for (size_t i = 0; i < count; i += kFloats) {
    const size_t left = count - i < kFloats ? count - i : kFloats;
    const Floats even = (load(from + i, left) - all(mean)) * all(factor);
    store(to + i, left, fused(even, load(gamma + i, left), load(beta + i, left)));
  }
}

static void square(const float* from, float* to, size_t count) {
  each_float(from, to, count, [](Floats x) { return x * x; });
}

// x^(quarters / 4)
static inline Floats power_of(Floats x, int quarters) {
  if (quarters == 4) return x;
  const Floats root = square_root(x);
  if (quarters == 2) return root;
  return quarters == 1 ? square_root(root) : root * square_root(root);
}

static void respond(const float* from, const float* squares, float* to, size_t count, const Response& response) {
  for (size_t i = 0; i < count; i += kFloats) {
    const size_t left = count - i < kFloats ? count - i : kFloats;
    Floats sum = load(squares + i, left);
    for (size_t place = 1; place < response.size; ++place) sum = sum + load(squares + i + place, left);
    const Floats base = all(response.bias) + all(response.factor) * sum;
    store(to + i, left, load(from + i, left) / power_of(base, response.quarters));
  }
}

static const Rows rows = {greatest,    raise,     scale,  softmax_columns, sums, add_up_doubles,
                          add_squares, normalize, square, respond};
