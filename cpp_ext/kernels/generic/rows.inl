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
  add_to(lanes, count, [&](size_t at, size_t left) {
    const Floats value = exp_of_low(load(from + at, left) - all(most));
    store(to + at, left, value);
    return value;
  });
}

static void scale(const float* from, float* to, size_t count, float factor) {
  each_float(from, to, count, [&](Floats x) { return x * all(factor); });
}

static void add_up(const float* from, size_t count, float* lanes) {
  add_to(lanes, count, [&](size_t at, size_t left) { return load(from + at, left); });
}

static void add_up_doubles(const float* from, size_t count, double* lanes) {
  DoubleLanes sums = load_doubles(lanes);
  size_t at = 0;
  for (; at + kLanes <= count; at += kLanes) {
    for (size_t i = 0; i < kLanes / kFloats; ++i) add_doubles(sums, i, load(from + at + i * kFloats, kFloats));
  }
  store_doubles(lanes, sums);
  for (; at < count; ++at) lanes[at % kLanes] += static_cast<double>(from[at]);
}

static void add_squares(const float* from, size_t count, float mean, float* lanes) {
  Eight sums = load_eight(lanes);
  for (size_t at = 0; at + kSquareLanes <= count; at += kSquareLanes) {
    sums = with_squares(sums, load_eight(from + at), mean);
  }
  store_eight(lanes, sums);
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

static const Rows rows = {greatest, raise, scale, add_up, add_up_doubles, add_squares, normalize, square, respond};
