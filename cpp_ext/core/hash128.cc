// The design is that of XXH3's long-input loop (Yann Collet, "xxHash fast digest algorithm"): stripes of eight
// words, each word multiplied by halves into its own accumulator and added whole to its neighbour's, the
// accumulators scrambled after each block of stripes and folded by 64x64->128 multiplications at the end.
// Keys, padding and finish are graphopt's own, so digests are not those of XXH3.
// tests/native/test_hash.py states the same function in plain Python.

#include "core/hash128.h"

namespace graphopt {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kStripeBytes = kLanes * 8;
constexpr std::size_t kStripesPerBlock = 16;
constexpr std::size_t kKeys = kStripesPerBlock + kLanes;

constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;
constexpr std::uint64_t kMix1 = 0xBF58476D1CE4E5B9;
constexpr std::uint64_t kMix2 = 0x94D049BB133111EB;

// The finish of SplitMix64 (Steele, Lea and Flood 2014): a bijection in which every input bit reaches every
// output bit.
constexpr std::uint64_t mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * kMix1;
  x = (x ^ (x >> 27)) * kMix2;
  return x ^ (x >> 31);
}

struct Keys {
  std::uint64_t word[kKeys];
};

constexpr Keys make_keys() {
  Keys keys{};
  for (std::size_t i = 0; i < kKeys; ++i) keys.word[i] = mix((i + 1) * kGolden);
  return keys;
}

constexpr Keys kKey = make_keys();

// Little-endian whatever the machine; compilers make one load of it.
inline std::uint64_t load64(const unsigned char* p) {
  std::uint64_t x = 0;
  for (int i = 0; i < 8; ++i) x |= static_cast<std::uint64_t>(p[i]) << (8 * i);
  return x;
}

inline void store64(std::uint64_t x, unsigned char* p) {
  for (int i = 0; i < 8; ++i) p[i] = static_cast<unsigned char>(x >> (8 * i));
}

// The two halves of the 128-bit product, xored. By 32-bit halves, as not every compiler has a 128-bit integer.
inline std::uint64_t multiply_fold(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t a0 = a & 0xFFFFFFFF, a1 = a >> 32, b0 = b & 0xFFFFFFFF, b1 = b >> 32;
  const std::uint64_t low = a0 * b0;
  const std::uint64_t middle = a1 * b0 + (low >> 32);
  const std::uint64_t cross = a0 * b1 + (middle & 0xFFFFFFFF);
  const std::uint64_t high = a1 * b1 + (middle >> 32) + (cross >> 32);
  return high ^ (a * b);
}

inline void absorb(std::uint64_t* acc, const unsigned char* stripe, const std::uint64_t* key) {
  std::uint64_t word[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) word[i] = load64(stripe + 8 * i);
  for (std::size_t i = 0; i < kLanes; ++i) {
    const std::uint64_t keyed = word[i] ^ key[i];
    acc[i] += word[i ^ 1] + (keyed & 0xFFFFFFFF) * (keyed >> 32);
  }
}

inline void scramble(std::uint64_t* acc) {
  for (std::size_t i = 0; i < kLanes; ++i) {
    acc[i] = (acc[i] ^ (acc[i] >> 47) ^ kKey.word[kStripesPerBlock + i]) * kGolden;
  }
}

inline std::uint64_t finish(const std::uint64_t* acc, const std::uint64_t* key, std::uint64_t seed) {
  std::uint64_t sum = seed;
  for (std::size_t i = 0; i < kLanes; i += 2) sum += multiply_fold(acc[i] ^ key[i], acc[i + 1] ^ key[i + 1]);
  return mix(sum);
}

}  // namespace

std::array<unsigned char, 16> hash128(const void* data, std::size_t size) {
  const unsigned char* p = static_cast<const unsigned char*>(data);
  std::uint64_t acc[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i) acc[i] = kKey.word[i];

  std::size_t stripe = 0;
  std::size_t left = size;
  for (; left >= kStripeBytes; left -= kStripeBytes, p += kStripeBytes) {
    absorb(acc, p, kKey.word + stripe);
    if (++stripe == kStripesPerBlock) {
      scramble(acc);
      stripe = 0;
    }
  }
  if (left > 0) {
    unsigned char padded[kStripeBytes] = {};
    for (std::size_t i = 0; i < left; ++i) padded[i] = p[i];
    absorb(acc, padded, kKey.word + stripe);
  }
  scramble(acc);

  const std::uint64_t length = size;
  std::array<unsigned char, 16> digest;
  store64(finish(acc, kKey.word, length * kMix1), digest.data());
  store64(finish(acc, kKey.word + kLanes, ~length * kMix2), digest.data() + 8);
  return digest;
}

}  // namespace graphopt
