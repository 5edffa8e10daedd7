// Functions of floats; written with the vectors of the tier that includes it. Polynomials go by Horner's rule.

// (exp(r) - 1 - r) / r^2, for |r| up to log(2) / 2.
constexpr float kExp[] = {0.00139517104F, 0.00836959947F, 0.0416661873F, 0.166665122F, 0.5F};
// (tanh(x) / x - 1) / x^2 as a function of x^2, for x up to 0.625.
constexpr float kTanh[] = {-0.00571701024F, 0.0206505526F, -0.0537434854F, 0.133314908F, -0.333332837F};
// erf(x) / x - 1 as a function of x^2, for x up to 0.75.
constexpr float kErf[] = {-0.000676109164F, 0.00511598121F, -0.0268354341F, 0.112833932F, -0.3761262F,
    0.128379166F};
// log(1 - erf(x)), for x from 0.75 to 4.
constexpr float kErfc[] = {-1.7574117e-05F, 0.000395363139F, -0.00398977567F, 0.0246642716F, -0.107611343F,
    -0.633922398F, -1.12924612F, 0.000122042904F};
// erf(x / sqrt(2)) / x as a function of x^2, for x up to 1.
constexpr float kNear[] = {-1.53293495e-05F, 0.000227025288F, -0.00237270608F, 0.0199466627F, -0.132980719F,
    0.797884583F};
// log(1 - erf(x / sqrt(2))), for x from 1 to 8.
constexpr float kFar[] = {-2.83029422e-09F, 1.76015647e-07F, -4.83068425e-06F, 7.83214491e-05F, -0.000847899006F,
    0.0065879235F, -0.038808208F, -0.316141874F, -0.798977792F, 0.000239716479F};
// (log(1 + x) / x - 1) / x, for x up to 1.
constexpr float kLog[] = {-0.00331825833F, 0.0202036202F, -0.057662636F, 0.10680373F, -0.15355289F, 0.196953639F,
    -0.249585807F, 0.33330512F, -0.499999315F};
// (log(1 + r) - r) / r^2, for 1 + r from sqrt(1/2) to sqrt(2).
constexpr float kNatural[] = {-0.0763449669F, 0.127615765F, -0.131601825F, 0.142017573F, -0.166233569F, 0.200012267F,
    -0.250008196F, 0.333333313F, -0.5F};

constexpr float kMost = 3.402823466e+38F;

// V is a vector of floats, or several.
template <typename V, size_t kCount>
GRAPHOPT_INLINED V polynomial(const float (&factors)[kCount], V x) {
  V value = all(factors[0]);
  for (size_t i = 1; i < kCount; ++i) value = fused(value, x, all(factors[i]));
  return value;
}

// 2^n * exp(r): n is x / log(2) rounded to an integer. From -104 to 89.
template <typename V>
GRAPHOPT_INLINED V exp_between(V x) {
  // Added to a number of up to 22 bits, it leaves the nearest integer in the lower bits.
  constexpr float kRound = 12582912.0F;
  const V shifted = fused(x, all(1.44269504F), all(kRound));
  const V n = shifted - all(kRound);
  // log(2) in two parts.
  const V r = fused(n, all(-1.42860677e-06F), fused(n, all(-0.693145752F), x));
  const V value = fused(fused(polynomial(kExp, r), r, all(1)), r, all(1));
  return times_power(value, n, difference(bits_of(shifted), bits_of(all(kRound))));
}

// Not above 89.
template <typename V>
GRAPHOPT_INLINED V exp_of_low(V x) {
  return exp_between<V>(greater(all(-104), x));
}

template <typename V>
GRAPHOPT_INLINED V exp_of(V x) {
  return exp_of_low<V>(lesser(all(89), x));
}

template <typename V>
GRAPHOPT_INLINED V log_of(V x) {
  // What has no exponent of its own gets one.
  constexpr float kLeast = 1.17549435e-38F;
  const auto parts = parts_of(where_less(x, all(kLeast), x * all(8388608), x));
  const V power = parts.power - where_less(x, all(kLeast), all(23), all(0));
  const V r = parts.rest - all(1);
  const V bend = fused(r * r, polynomial(kNatural, r), power * all(1.42860677e-06F));
  const V value = fused(power, all(0.693145752F), r + bend);
  const V finite = where_less(all(kMost), x, x, value);
  return where_less(all(0), x, finite, where_less(x, all(0), all(__builtin_nanf("")), x - all(__builtin_inff())));
}

// Below zero the quotient is of small numbers, not what is left of 1.
template <typename V>
GRAPHOPT_INLINED V sigmoid_of(V x) {
  const V e = exp_of_low(minus_magnitude(x));
  return where_less(x, all(0), e, all(1)) / (all(1) + e);
}

template <typename V>
GRAPHOPT_INLINED V tanh_of(V x) {
  const V a = magnitude(x);
  const V e = exp_of_low<V>(a * all(-2));
  const V square = a * a;
  const V near = fused(a, square * polynomial(kTanh, square), a);
  return signed_as(where_less(a, all(0.625F), near, (all(1) - e) / (all(1) + e)), x);
}

template <typename V>
GRAPHOPT_INLINED V erf_of(V x) {
  const V a = lesser(all(4), magnitude(x));
  const V near = fused(a, polynomial<V>(kErf, a * a), a);
  const V far = all(1) - exp_between(polynomial(kErfc, a));
  return signed_as(where_less(a, all(0.75F), near, far), x);
}

// x times the share of the normal distribution below x; the least share is 0, so that -inf gives 0. Halves are exact,
// or too small to matter.
template <typename V>
GRAPHOPT_INLINED V gelu_of(V x) {
  const V a = lesser(all(9), magnitude(x));
  const V near = fused(x * polynomial<V>(kNear, x * x), all(0.5F), all(0.5F));
  const V rest = exp_between(polynomial(kFar, a));
  const V far = where_less(x, all(0), rest * all(0.5F), fused(rest, all(-0.5F), all(1)));
  const V share = where_less(a, all(1), near, where_less(x, all(-8), all(0), far));
  return greater(all(-kMost), x) * share;
}

template <typename V>
GRAPHOPT_INLINED V silu_of(V x) {
  return greater(all(-kMost), x) * sigmoid_of(x);
}

// 0.5 * (1 + tanh(u)) = sigmoid(2 * u)
template <typename V>
GRAPHOPT_INLINED V gelu_tanh_of(V x) {
  const V u = x * fused(x * x, all(0.0713548163F), all(1.59576912F));
  return greater(all(-kMost), x) * sigmoid_of(u);
}

template <typename V>
GRAPHOPT_INLINED V softplus_of(V x) {
  const V e = exp_of_low(minus_magnitude(x));
  return greater(all(0), x) + fused(e * e, polynomial(kLog, e), e);
}

// With w = exp(x), tanh(log(1 + w)) = (w^2 + 2 * w) / (w^2 + 2 * w + 2), both divided by w^2 where that is great.
template <typename V>
GRAPHOPT_INLINED V mish_of(V x) {
  const V e = exp_of_low(minus_magnitude(x));
  const V above = where_less(x, all(0), e * (e + all(2)), all(1) + (e + e));
  const V below = where_less(x, all(0), above + all(2), fused(e + e, e, above));
  return greater(all(-kMost), x) * (above / below);
}

template <typename Function>
static inline void each_float(const float* from, float* to, size_t count, const Function& function) {
  size_t i = 0;
  for (; i + kFloats <= count; i += kFloats) store(to + i, kFloats, function(load(from + i, kFloats)));
  if (i < count) store(to + i, count - i, function(load(from + i, count - i)));
}

#define FUNCTION(name) \
  static void name##_line(const float* from, float* to, size_t count, float, float) { \
    size_t i = 0; \
    for (; i + kWideFloats <= count; i += kWideFloats) store_wide(to + i, name##_of(load_wide(from + i))); \
    each_float(from + i, to + i, count - i, [](Floats x) { return name##_of(x); }); \
  }
GRAPHOPT_FLOAT_FUNCTIONS(FUNCTION)
#undef FUNCTION

// The upper end where they are crossed; what is no number stays so.
static inline Floats within(Floats x, Floats low, Floats high) { return lesser(high, greater(low, x)); }
static inline Floats unit(Floats x) { return within(x, all(0), all(1)); }

#define STEP(name, value) \
  static void name##_line(const float* from, float* to, size_t count, [[maybe_unused]] float alpha, \
                          [[maybe_unused]] float beta) { \
    each_float(from, to, count, [=](Floats x) { return value; }); \
  }
STEP(relu, greater(all(0), x))
STEP(sqrt, square_root(x))
STEP(neg, x * all(-1))
STEP(abs, magnitude(x))
STEP(reciprocal, all(1) / x)
STEP(hard_swish, x * unit(x * all(1.0F / 6) + all(0.5F)))
STEP(hard_sigmoid, unit(x * all(alpha) + all(beta)))
STEP(leaky_relu, where_less(x, all(0), x * all(alpha), x))
STEP(clip, within(x, all(alpha), all(beta)))
STEP(floor, rounded_down(x))
STEP(ceil, rounded_up(x))
STEP(round, rounded_even(x))
STEP(softsign, x / (all(1) + magnitude(x)))
#undef STEP

static const Functions functions = {
#define FUNCTION(name) name##_line,
    GRAPHOPT_FLOAT_FUNCTIONS(FUNCTION) GRAPHOPT_STEP_FUNCTIONS(FUNCTION)
#undef FUNCTION
};
