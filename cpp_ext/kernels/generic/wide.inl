// Several vectors of floats, computed side by side: a polynomial alone waits at each step for the step before.

// What is called with several vectors keeps them in registers only where it is inlined.
#define GRAPHOPT_INLINED static inline __attribute__((always_inline))

constexpr size_t kWide = kFloats == 16 ? 4 : kFloats == 8 ? 2 : 1;
constexpr size_t kWideFloats = kWide * kFloats;

struct Wide {
  Floats at[kWide];
  Wide() = default;
  // The same in all; what stands beside a Wide may be one vector.
  __attribute__((always_inline)) Wide(Floats value) {
    for (size_t i = 0; i < kWide; ++i) at[i] = value;
  }
};

struct WideInts {
  Ints at[kWide];
};

struct WideParts {
  Wide power;
  Wide rest;
};

GRAPHOPT_INLINED Wide load_wide(const float* from) {
  Wide result;
  for (size_t i = 0; i < kWide; ++i) result.at[i] = load(from + i * kFloats, kFloats);
  return result;
}

GRAPHOPT_INLINED void store_wide(float* to, const Wide& values) {
  for (size_t i = 0; i < kWide; ++i) store(to + i * kFloats, kFloats, values.at[i]);
}

// Calls of(part) for each vector.
template <typename Of>
GRAPHOPT_INLINED Wide wide_of(const Of& of) {
  Wide result;
  for (size_t i = 0; i < kWide; ++i) result.at[i] = of(i);
  return result;
}

GRAPHOPT_INLINED Wide operator+(const Wide& a, const Wide& b) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return a.at[i] + b.at[i]; });
}
GRAPHOPT_INLINED Wide operator-(const Wide& a, const Wide& b) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return a.at[i] - b.at[i]; });
}
GRAPHOPT_INLINED Wide operator*(const Wide& a, const Wide& b) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return a.at[i] * b.at[i]; });
}
GRAPHOPT_INLINED Wide operator/(const Wide& a, const Wide& b) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return a.at[i] / b.at[i]; });
}
GRAPHOPT_INLINED Wide greater(const Wide& a, const Wide& b) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return greater(a.at[i], b.at[i]); });
}
GRAPHOPT_INLINED Wide lesser(const Wide& a, const Wide& b) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return lesser(a.at[i], b.at[i]); });
}
GRAPHOPT_INLINED Wide fused(const Wide& a, const Wide& b, const Wide& c) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return fused(a.at[i], b.at[i], c.at[i]); });
}
GRAPHOPT_INLINED Wide where_less(const Wide& a, const Wide& b, const Wide& yes, const Wide& no) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return where_less(a.at[i], b.at[i], yes.at[i], no.at[i]); });
}
GRAPHOPT_INLINED Wide magnitude(const Wide& values) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return magnitude(values.at[i]); });
}
GRAPHOPT_INLINED Wide minus_magnitude(const Wide& values) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return minus_magnitude(values.at[i]); });
}
GRAPHOPT_INLINED Wide signed_as(const Wide& values, const Wide& signs) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return signed_as(values.at[i], signs.at[i]); });
}
GRAPHOPT_INLINED Wide times_power(const Wide& value, const Wide& n, const WideInts& exponent) {
  return wide_of([&](size_t i) __attribute__((always_inline)) { return times_power(value.at[i], n.at[i], exponent.at[i]); });
}
GRAPHOPT_INLINED WideInts bits_of(const Wide& values) {
  WideInts result;
  for (size_t i = 0; i < kWide; ++i) result.at[i] = bits_of(values.at[i]);
  return result;
}
GRAPHOPT_INLINED WideInts difference(const WideInts& a, Ints b) {
  WideInts result;
  for (size_t i = 0; i < kWide; ++i) result.at[i] = difference(a.at[i], b);
  return result;
}
GRAPHOPT_INLINED WideParts parts_of(const Wide& x) {
  WideParts result;
  for (size_t i = 0; i < kWide; ++i) {
    const Parts parts = parts_of(x.at[i]);
    result.power.at[i] = parts.power;
    result.rest.at[i] = parts.rest;
  }
  return result;
}
