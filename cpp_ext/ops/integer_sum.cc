// Factors of 24 bits or so, with ones near them where the nearest round some sum otherwise than float32 does.

#include "ops/integer_sum.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace graphopt {

namespace {

constexpr int kCodes = 256;
// Numbers below are in units of 2^-(shift + 31) of the output's codes: shift + 8 bits are those of the upper factor,
// which is of codes in the upper byte of a word, 15 more those of the lower one, and 8 the word's byte again.
constexpr int kFactorBits = 23;
constexpr int kStartBits = 31;
// The word of the greatest code may not be above s16.
constexpr int kMostShift = 7;
constexpr int kTries = 512;
// About what a sum is off by in float32, in codes.
constexpr double kNear = 2e-5;

struct Exact {
  double a;
  double b;
  double start;
  int shift;
};

// In the finest units whose words suffice. None where the factors are too large, or too small to be told from 0.
std::optional<Exact> exact(const kernels::CodesPair& pair) {
  const auto a = static_cast<double>(pair.a_factor);
  const auto b = static_cast<double>(pair.b_factor);
  const double start = (128 - static_cast<double>(pair.a.zero)) * a + (128 - static_cast<double>(pair.b.zero)) * b +
                       static_cast<double>(pair.start) + pair.y.zero + 0.5;
  for (int shift = kMostShift; shift >= 0; --shift) {
    const double word = std::ldexp(1, shift);
    const bool fits = std::max(a, b) * word * 256 < 32000 && 128 * (a + b) * word < 32000 && std::abs(start) * word < 32000;
    if (!fits) continue;
    return Exact{std::ldexp(a, shift + kFactorBits), std::ldexp(b, shift + kFactorBits),
                 std::ldexp(start, shift + kStartBits), shift};
  }
  return std::nullopt;
}

void split(double factor, std::int16_t& high, std::int16_t& low) {
  const std::int64_t whole = std::llround(factor);
  const std::int64_t upper = (whole + (1 << 14)) >> 15;
  high = static_cast<std::int16_t>(upper);
  low = static_cast<std::int16_t>(whole - (upper << 15));
}

kernels::IntegerSum rounded(const Exact& exact, const kernels::CodesPair& pair) {
  kernels::IntegerSum sum{};
  sum.a_flip = pair.a.flip;
  sum.b_flip = pair.b.flip;
  sum.y_flip = pair.y.flip;
  sum.low = static_cast<std::uint8_t>(static_cast<int>(pair.y.low) + pair.y.zero);
  sum.high = static_cast<std::uint8_t>(static_cast<int>(pair.y.high) + pair.y.zero);
  split(exact.a, sum.a_high, sum.a_low);
  split(exact.b, sum.b_high, sum.b_low);
  const std::int64_t start = std::llround(exact.start);
  const std::int64_t offset = (start + (std::int64_t{1} << 30)) >> 31;
  sum.offset = static_cast<std::int16_t>(offset);
  sum.start = static_cast<std::int32_t>(start - offset * (std::int64_t{1} << 31));
  sum.shift = exact.shift;
  return sum;
}

// All sums of two codes, as floats give them.
class Sums {
 public:
  Sums(const kernels::CodesPair& pair, kernels::BinaryCodes add_codes, kernels::AddIntegers add_integers)
      : add_integers_(add_integers), wanted_(std::size_t{kCodes} * kCodes) {
    for (int code = 0; code < kCodes; ++code) codes_[static_cast<std::size_t>(code)] = static_cast<std::uint8_t>(code);
    add_codes(codes_.data(), codes_.data(), wanted_.data(), {kCodes, kCodes, 1, 0, kCodes, 0, 1}, pair);
  }

  // Begins where the last one failed: there the next one is most likely to.
  bool are_those_of(const kernels::IntegerSum& sum) {
    for (std::size_t i = 0; i < kCodes; ++i) {
      const std::size_t row = (failed_ + i) % kCodes;
      std::array<std::uint8_t, kCodes> left;
      std::array<std::uint8_t, kCodes> found;
      left.fill(static_cast<std::uint8_t>(row));
      add_integers_(left.data(), codes_.data(), found.data(), {1, kCodes, 0, 0, 0, 1, 1}, sum);
      if (std::memcmp(found.data(), wanted_.data() + row * kCodes, kCodes) != 0) {
        failed_ = row;
        return false;
      }
    }
    return true;
  }

 private:
  kernels::AddIntegers add_integers_;
  std::array<std::uint8_t, kCodes> codes_;
  std::vector<std::uint8_t> wanted_;
  std::size_t failed_ = 0;
};

// A sequence that fills -1..1 evenly, one for each of three axes: multiples of a number that is no fraction.
double spread(int index, double step) {
  const double at = index * step;
  return 2 * (at - std::floor(at)) - 1;
}

}  // namespace

std::optional<kernels::IntegerSum> integer_sum(const kernels::CodesPair& pair, kernels::BinaryCodes add_codes,
                                               kernels::AddIntegers add_integers) {
  const std::optional<Exact> nearest = exact(pair);
  if (!nearest) return std::nullopt;
  Sums sums(pair, add_codes, add_integers);
  for (int index = 0; index < kTries; ++index) {
    const double far = kNear * index / kTries;
    Exact tried = *nearest;
    tried.a += std::ldexp(far * spread(index, 0.8191725134) / 128, tried.shift + kFactorBits);
    tried.b += std::ldexp(far * spread(index, 0.6710436067) / 128, tried.shift + kFactorBits);
    tried.start += std::ldexp(far * spread(index, 0.5497004779), tried.shift + kStartBits);
    const kernels::IntegerSum sum = rounded(tried, pair);
    if (sums.are_those_of(sum)) return sum;
  }
  return std::nullopt;
}

}  // namespace graphopt
