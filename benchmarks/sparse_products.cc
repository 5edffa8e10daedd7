// Products with 2:4 weights, which no kernel of the library has, against its dense AVX512-VNNI tile: of each 16 codes of
// a row, a shuffle chooses the 8 that each column has weights for. What is sparse only sums up, without scale, clamp or
// codes to store, so its ratio is an upper bound. `sparse_products.py` builds and runs it; a line for each depth: the
// depth, and how many times as fast it is.

#include "kernels/avx512_vnni.cc"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

using namespace graphopt::kernels;
using avx512_vnni::add_dots;
using avx512_vnni::four;

namespace {

constexpr int kRows = 96;
constexpr int kVectors = 4;
constexpr int kColumns = 16 * kVectors;
constexpr int kRowsAtATime = 4;
constexpr int kTurns = 61;
constexpr int kRepeats = 5;

template <class T>
struct Aligned {
  explicit Aligned(size_t count) : data(static_cast<T*>(std::aligned_alloc(64, (count * sizeof(T) + 63) / 64 * 64))) {}
  ~Aligned() { std::free(data); }
  Aligned(const Aligned&) = delete;
  T* data;
};

// Weights of 16 deep are two vectors of each column's four that are not zero, and where in the 16 they stand.
__attribute__((noinline)) void two_of_four(const uint8_t* x, int64_t depth, const int8_t* weights,
                                           const uint8_t* places, int32_t* to) {
  __m512i sums[kRowsAtATime][kVectors];
  for (auto& row : sums)
    for (auto& sum : row) sum = _mm512_setzero_si512();
  for (int64_t k = 0; k < depth; k += 16) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      __m512i columns[kVectors], chosen[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) {
        columns[v] = _mm512_load_si512(weights + 64 * v);
        chosen[v] = _mm512_load_si512(places + 64 * v);
      }
      weights += 64 * kVectors;
      places += 64 * kVectors;
#pragma GCC unroll 4
      for (int r = 0; r < kRowsAtATime; ++r) {
        const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + r * depth + k));
        const __m512i all = _mm512_broadcast_i32x4(codes);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) add_dots(sums[r][v], _mm512_shuffle_epi8(all, chosen[v]), columns[v]);
      }
    }
  }
  for (int r = 0; r < kRowsAtATime; ++r)
    for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(to + r * kColumns + 16 * v, sums[r][v]);
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Median of the ratios of times of two calls that take turns.
template <class First, class Second>
double ratio(First first, Second second) {
  std::vector<double> found;
  for (int turn = 0; turn < kTurns; ++turn) {
    const double begun = now();
    for (int i = 0; i < kRepeats; ++i) first();
    const double between = now();
    for (int i = 0; i < kRepeats; ++i) second();
    found.push_back((between - begun) / (now() - between));
  }
  std::nth_element(found.begin(), found.begin() + kTurns / 2, found.end());
  return found[kTurns / 2];
}

// Ends the program where sums differ from those of plain loops.
void check(const uint8_t* x, int64_t depth, const std::vector<int8_t>& plain, const int32_t* sums) {
  for (int r = 0; r < kRows; ++r)
    for (int n = 0; n < kColumns; ++n) {
      int32_t sum = 0;
      for (int64_t k = 0; k < depth; ++k) sum += x[r * depth + k] * plain[n * depth + k];
      if (sum != sums[r * kColumns + n]) {
        std::fprintf(stderr, "wrong sum at row %d, column %d\n", r, n);
        std::exit(1);
      }
    }
}

class Case {
 public:
  explicit Case(int64_t depth)
      : depth_(depth),
        random_(7),
        x_(kRows * depth),
        dense_(kColumns * depth),
        out_(kRows * kColumns),
        sums_(kRows * kColumns) {
    for (int64_t i = 0; i < kRows * depth; ++i) x_.data[i] = static_cast<uint8_t>(random_());
    for (int64_t i = 0; i < kColumns * depth; ++i) dense_.data[i] = static_cast<int8_t>(random_());
  }

  double times_as_fast() {
    Aligned<int8_t> weights(kColumns * depth_ / 2);
    Aligned<uint8_t> places(kColumns * depth_ / 2);
    std::vector<int8_t> plain(kColumns * depth_);
    for (int64_t k = 0; k < depth_; k += 8)
      for (int n = 0; n < kColumns; ++n)
        for (int four = 0; four < 2; ++four) {
          const int first = random_() % 3, second = first + 1 + random_() % (3 - first);
          for (int i = 0; i < 2; ++i) {
            const int64_t at = k + 4 * four + (i ? second : first);
            const int64_t to = k / 8 * kColumns * 4 + n * 4 + 2 * four + i;
            plain[n * depth_ + at] = weights.data[to] = static_cast<int8_t>(random_());
            places.data[to] = static_cast<uint8_t>(at % 16);
          }
        }
    const auto all = [&] {
      for (int r = 0; r < kRows; r += kRowsAtATime)
        two_of_four(x_.data + r * depth_, depth_, weights.data, places.data, sums_.data + r * kColumns);
    };
    all();
    check(x_.data, depth_, plain, sums_.data);
    return ratio([&] { dense(); }, all);
  }

 private:
  void dense() {
    static const std::vector<float> scale(kColumns, 0.001F);
    static const std::vector<int32_t> bias(kColumns, 5);
    GemmTile tile{};
    tile.x = x_.data;
    tile.x_pitch = tile.depth = depth_;
    tile.segments = 1;
    tile.count = kRows;
    tile.weights = dense_.data;
    tile.columns = kColumns;
    tile.bias = bias.data();
    tile.out.type = graphopt::Type::kU8;
    tile.out.high = 255;
    tile.out.scale = scale.data();
    tile.to = out_.data;
    tile.pitch = kColumns;
    avx512_vnni::gemm.multiply(tile);
  }

  int64_t depth_;
  std::mt19937 random_;
  Aligned<uint8_t> x_;
  Aligned<int8_t> dense_;
  Aligned<uint8_t> out_;
  Aligned<int32_t> sums_;
};

}  // namespace

int main() {
  for (const int64_t depth : {256, 512, 1024}) {
    std::printf("%d %.3f\n", static_cast<int>(depth), Case(depth).times_as_fast());
  }
}
