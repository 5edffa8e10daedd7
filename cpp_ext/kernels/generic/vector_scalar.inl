// The vectors that generic kernels are written with, of one float and four bytes.

using Floats = float;
using Ints = int32_t;

struct Bytes {
  uint8_t at[4];
};

constexpr size_t kFloats = 1;
constexpr size_t kBytes = 4;

static inline Floats load(const float* from, size_t) { return *from; }
static inline void store(float* to, size_t, Floats values) { *to = values; }
static inline Floats all(float value) { return value; }
// The second where either is no number.
static inline Floats greater(Floats a, Floats b) { return a > b ? a : b; }
static inline Floats lesser(Floats a, Floats b) { return a < b ? a : b; }
static inline Ints sum(Ints a, Ints b) { return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b)); }
static inline Ints all_ints(int32_t value) { return value; }
static inline Floats to_floats(Ints values) { return static_cast<float>(values); }
// a * b + c, rounded once.
static inline Floats fused(Floats a, Floats b, Floats c) { return __builtin_fmaf(a, b, c); }

static inline Ints load_words(const uint32_t* from) { return static_cast<int32_t>(*from); }

// The lowest bits of each word, as a number; and what is above them.
template <int kBits>
static inline Floats low_code(Ints words) {
  return static_cast<float>(words & ((1 << kBits) - 1));
}

template <int kBits>
static inline Ints without_low_code(Ints words) {
  return static_cast<int32_t>(static_cast<uint32_t>(words) >> kBits);
}

// As load, with `fill` behind the first `count`.
static inline Floats load_or(const float* from, size_t, float) { return *from; }
// `no` where either is no number.
static inline Floats where_less(Floats a, Floats b, Floats yes, Floats no) { return a < b ? yes : no; }
static inline uint32_t float_bits(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}
static inline float float_of(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}
static inline Ints bits_of(Floats values) { return static_cast<int32_t>(float_bits(values)); }
static inline Floats magnitude(Floats values) { return float_of(float_bits(values) & 0x7FFFFFFFU); }
static inline Floats minus_magnitude(Floats values) { return float_of(float_bits(values) | 0x80000000U); }
// Numbers that have no sign, with those of `signs`.
static inline Floats signed_as(Floats values, Floats signs) {
  return float_of(float_bits(values) | (float_bits(signs) & 0x80000000U));
}
static inline Ints difference(Ints a, Ints b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) - static_cast<uint32_t>(b));
}
static inline Floats power_of_two(Ints exponents) { return float_of((static_cast<uint32_t>(exponents) + 127) << 23); }
// value * 2^n; `exponent` is n as an integer, -160 to 160 (else anything, if value is no number). The power may be none
// of float's: it is multiplied in two steps, of which only the last one may round.
static inline Floats times_power(Floats value, Floats, Ints exponent) {
  const Ints first = exponent >> 1;
  return value * power_of_two(first) * power_of_two(difference(exponent, first));
}
// 2^power * rest is a positive number that is not too small for an exponent of its own; `rest` is from sqrt(1/2) up to
// below sqrt(2).
struct Parts {
  Floats power;
  Floats rest;
};
static inline Parts parts_of(Floats x) {
  constexpr Ints kLeast = 0x3F3504F3;
  const Ints above = difference(bits_of(x), kLeast);
  return {to_floats(above >> 23), float_of(static_cast<uint32_t>((above & 0x7FFFFF) + kLeast))};
}
// All are numbers.
static inline float greatest_of(Floats values) { return values; }
static inline Floats square_root(Floats x) { return __builtin_sqrtf(x); }
static inline Floats rounded_down(Floats x) { return __builtin_floorf(x); }
static inline Floats rounded_up(Floats x) { return __builtin_ceilf(x); }
static inline Floats rounded_even(Floats x) { return __builtin_nearbyintf(x); }

// The sum of kLanes floats: of each of the first half and the one so far behind it, until one is left.
static inline float total_of(const Floats (&lanes)[kLanes]) {
  float sums[kLanes];
  for (size_t i = 0; i < kLanes; ++i) sums[i] = lanes[i];
  for (size_t half = kLanes / 2; half != 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) sums[i] = sums[i] + sums[i + half];
  }
  return sums[0];
}

// kSquareLanes floats.
struct Eight {
  float at[kSquareLanes];
};
static inline Eight load_eight(const float* from) {
  Eight eight;
  __builtin_memcpy(eight.at, from, sizeof eight.at);
  return eight;
}
static inline void store_eight(float* to, const Eight& values) { __builtin_memcpy(to, values.at, sizeof values.at); }
// sums + (x - mean)^2, rounded once.
static inline Eight with_squares(Eight sums, const Eight& x, float mean) {
  for (size_t i = 0; i < kSquareLanes; ++i) sums.at[i] = fused(x.at[i] - mean, x.at[i] - mean, sums.at[i]);
  return sums;
}

// Sums of kLanes doubles.
struct DoubleLanes {
  double at[kLanes];
};
static inline DoubleLanes load_doubles(const double* from) {
  DoubleLanes lanes;
  __builtin_memcpy(lanes.at, from, sizeof lanes.at);
  return lanes;
}
static inline void store_doubles(double* to, const DoubleLanes& lanes) { __builtin_memcpy(to, lanes.at, sizeof lanes.at); }
// To the lanes of vector `part`.
static inline void add_doubles(DoubleLanes& lanes, size_t part, Floats value) { lanes.at[part] += static_cast<double>(value); }

static inline Bytes load_bytes(const uint8_t* from, size_t count) {
  Bytes bytes = {};
  // Element by element, gcc 12 at -O3 loads other elements than these where a caller adds up many vectors.
  __builtin_memcpy(bytes.at, from, count < kBytes ? count : kBytes);
  return bytes;
}

static inline void store_bytes(uint8_t* to, size_t count, Bytes bytes) {
  __builtin_memcpy(to, bytes.at, count < kBytes ? count : kBytes);
}

static inline Bytes all_bytes(uint8_t value) { return {{value, value, value, value}}; }

static inline Bytes flipped(Bytes bytes, uint8_t flip) {
  for (uint8_t& each : bytes.at) each = static_cast<uint8_t>(each ^ flip);
  return bytes;
}

static inline Bytes greater_bytes(Bytes a, Bytes b) {
  for (size_t i = 0; i < kBytes; ++i) a.at[i] = a.at[i] > b.at[i] ? a.at[i] : b.at[i];
  return a;
}

// The floats of four times as many bytes as a vector of floats holds; in order.
struct Quad {
  Floats at[4];
};

struct IntQuad {
  Ints at[4];
};

static inline Quad widened(Bytes bytes, float zero) {
  Quad quad;
  for (size_t i = 0; i < kBytes; ++i) quad.at[i] = static_cast<float>(bytes.at[i]) - zero;
  return quad;
}

static inline IntQuad widened_ints(Bytes bytes) {
  IntQuad quad;
  for (size_t i = 0; i < kBytes; ++i) quad.at[i] = bytes.at[i];
  return quad;
}

struct Narrow {
  CodesOut out;
};

static inline Narrow narrowing(const CodesOut& out) { return {out}; }

static inline Bytes narrowed(const Quad& quad, const Narrow& narrow) {
  // Adding it rounds any number of up to 22 bits to the nearest even integer; subtracting it gives that.
  constexpr float kRound = 12582912.0F;
  Bytes bytes;
  for (size_t i = 0; i < kBytes; ++i) {
    const float value = greater(lesser(narrow.out.high, quad.at[i]), narrow.out.low);
    const int32_t code = static_cast<int32_t>(value + kRound - kRound) + narrow.out.zero;
    bytes.at[i] = static_cast<uint8_t>(code ^ narrow.out.flip);
  }
  return bytes;
}
