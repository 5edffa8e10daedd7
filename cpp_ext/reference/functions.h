// What the functions with kernels compute, number by number: every operation on float32, rounded, in this order.
// std::fma rounds once.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>

namespace graphopt::reference {

// Factors of polynomials, by falling powers.

// (exp(r) - 1 - r) / r^2, for |r| up to log(2) / 2.
inline constexpr float kExp[] = {0.00139517104F, 0.00836959947F, 0.0416661873F, 0.166665122F, 0.5F};
// (tanh(x) / x - 1) / x^2 as a function of x^2, for x up to 0.625.
inline constexpr float kTanh[] = {-0.00571701024F, 0.0206505526F, -0.0537434854F, 0.133314908F, -0.333332837F};
// erf(x) / x - 1 as a function of x^2, for x up to 0.75.
inline constexpr float kErf[] = {-0.000676109164F, 0.00511598121F, -0.0268354341F, 0.112833932F, -0.3761262F,
    0.128379166F};
// -log(1 - erf(x)), for x from 0.75 to 4.
inline constexpr float kErfc[] = {1.7574117e-05F, -0.000395363139F, 0.00398977567F, -0.0246642716F, 0.107611343F,
    0.633922398F, 1.12924612F, -0.000122042904F};
// erf(x / sqrt(2)) / x as a function of x^2, for x up to 1.
inline constexpr float kNear[] = {-1.53293495e-05F, 0.000227025288F, -0.00237270608F, 0.0199466627F, -0.132980719F,
    0.797884583F};
// -log(1 - erf(x / sqrt(2))), for x from 1 to 8.
inline constexpr float kFar[] = {2.83029422e-09F, -1.76015647e-07F, 4.83068425e-06F, -7.83214491e-05F, 0.000847899006F,
    -0.0065879235F, 0.038808208F, 0.316141874F, 0.798977792F, -0.000239716479F};
// (log(1 + x) / x - 1) / x, for x up to 1.
inline constexpr float kLog[] = {-0.00331825833F, 0.0202036202F, -0.057662636F, 0.10680373F, -0.15355289F,
    0.196953639F, -0.249585807F, 0.33330512F, -0.499999315F};
// (log(1 + r) - r) / r^2, for 1 + r from sqrt(1/2) to sqrt(2).
inline constexpr float kNatural[] = {-0.0763449669F, 0.127615765F, -0.131601825F, 0.142017573F, -0.166233569F,
    0.200012267F, -0.250008196F, 0.333333313F, -0.5F};

template <std::size_t kCount>
float polynomial(const float (&factors)[kCount], float x) {
  float value = 0;
  for (const float factor : factors) value = std::fma(value, x, factor);
  return value;
}

inline float exp(float x) {
  if (std::isnan(x)) return x;
  x = std::fmin(std::fmax(x, -104.0F), 89.0F);
  // Added to a number of up to 22 bits and subtracted, it leaves the nearest integer.
  constexpr float kRound = 12582912.0F;
  const float n = std::fma(x, 1.44269504F, kRound) - kRound;
  const float r = std::fma(n, -1.42860677e-06F, std::fma(n, -0.693145752F, x));
  const float value = std::fma(std::fma(polynomial(kExp, r), r, 1.0F), r, 1.0F);
  return std::ldexp(value, static_cast<int>(n));
}

inline float log(float x) {
  if (std::isnan(x) || x < 0) return std::numeric_limits<float>::quiet_NaN();
  if (x == 0 || std::isinf(x)) return x == 0 ? -INFINITY : x;
  int exponent = 0;
  float rest = std::frexp(x, &exponent);
  if (rest < 0.707106769F) {
    rest *= 2;
    --exponent;
  }
  const auto power = static_cast<float>(exponent);
  const float r = rest - 1;
  const float bend = std::fma(r * r, polynomial(kNatural, r), power * 1.42860677e-06F);
  return std::fma(power, 0.693145752F, r + bend);
}

inline float sigmoid(float x) {
  const float e = exp(-std::fabs(x));
  return (x < 0 ? e : 1) / (1 + e);
}

inline float tanh(float x) {
  const float a = std::fabs(x);
  if (a < 0.625F) {
    return std::copysign(std::fma(a, a * a * polynomial(kTanh, a * a), a), x);
  }
  const float e = exp(-2 * a);
  return std::copysign((1 - e) / (1 + e), x);
}

inline float erf(float x) {
  const float a = std::fabs(x);
  if (a < 0.75F) {
    return std::copysign(std::fma(a, polynomial(kErf, a * a), a), x);
  }
  if (std::isnan(x) || a > 4) return std::isnan(x) ? x : std::copysign(1.0F, x);
  return std::copysign(1 - exp(-polynomial(kErfc, a)), x);
}

// x times a share, where that of -inf is 0.
inline float share(float x, float part) { return (x == -INFINITY ? -std::numeric_limits<float>::max() : x) * part; }

inline float gelu(float x) {
  const float a = std::fabs(x);
  if (a < 1) {
    const float near = a * polynomial(kNear, a * a) * 0.5F;
    return share(x, x < 0 ? 0.5F - near : 0.5F + near);
  }
  if (a > 8) return share(x, x < 0 ? 0.0F : 1.0F);
  const float far = exp(-polynomial(kFar, a)) * 0.5F;
  return share(x, x < 0 ? far : 1 - far);
}

inline float silu(float x) { return share(x, sigmoid(x)); }

inline float gelu_tanh(float x) { return share(x, sigmoid(x * std::fma(x * x, 0.0713548163F, 1.59576912F))); }

inline float softplus(float x) {
  const float e = exp(-std::fabs(x));
  const float log = std::fma(e * e, polynomial(kLog, e), e);
  return (x < 0 ? 0 : x) + log;
}

inline float mish(float x) {
  const float e = exp(-std::fabs(x));
  if (x < 0) return share(x, e * (e + 2) / (e * (e + 2) + 2));
  return share(x, (1 + (e + e)) / std::fma(e + e, e, 1 + (e + e)));
}

}  // namespace graphopt::reference
