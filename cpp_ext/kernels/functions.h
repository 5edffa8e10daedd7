// Signatures of kernels for functions of floats, and for rows of them.
//
// A result is defined by its order of operations, each rounded to float32, products and sums fused where the definition
// (reference/functions.h, or ops/functions.h) says so: all tiers give the same bits.
// The polynomials are fitted to the least relative error; tests/native/ops/test_functions.py states how far results are
// from the true ones. Infinities, denormals and what is no number are taken as any other number.
#pragma once

#include <stddef.h>

namespace graphopt::kernels {

// The functions that have kernels. FUNCTION(name)
#define GRAPHOPT_FLOAT_FUNCTIONS(FUNCTION) \
  FUNCTION(exp) \
  FUNCTION(log) \
  FUNCTION(sigmoid) \
  FUNCTION(tanh) \
  FUNCTION(erf) \
  FUNCTION(gelu) \
  FUNCTION(gelu_tanh) \
  FUNCTION(silu) \
  FUNCTION(softplus) \
  FUNCTION(mish)

// Those of a few operations, which ops/functions.h defines.
#define GRAPHOPT_STEP_FUNCTIONS(FUNCTION) \
  FUNCTION(relu) \
  FUNCTION(sqrt) \
  FUNCTION(neg) \
  FUNCTION(abs) \
  FUNCTION(reciprocal) \
  FUNCTION(hard_swish) \
  FUNCTION(hard_sigmoid) \
  FUNCTION(leaky_relu) \
  FUNCTION(clip) \
  FUNCTION(floor) \
  FUNCTION(ceil) \
  FUNCTION(round) \
  FUNCTION(softsign)

// to[i] = f(from[i]); `to` may be `from`. Some functions have parameters.
using FloatFunction = void (*)(const float* from, float* to, size_t count, float alpha, float beta);

struct Functions {
#define FUNCTION(name) FloatFunction name;
  GRAPHOPT_FLOAT_FUNCTIONS(FUNCTION)
  GRAPHOPT_STEP_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

// Partial sums: the number at place i of a row is added to lane i % kLanes, in order.
constexpr size_t kLanes = 16;
// And those of squares.
constexpr size_t kSquareLanes = 8;
constexpr size_t kRowsAtOnce = 4;

// Of a number to those around it.
struct Response {
  size_t size;  // of the window
  float bias;
  float factor;
  int quarters;  // 1 to 4
};

// Parts of rows; each but the last of a row has a multiple of kLanes numbers. `to` may be `from`.
struct Rows {
  // The greatest number, or `least` if that is greater; what is no number is passed over.
  float (*greatest)(const float* from, size_t count, float least);
  // to[i] = exp(from[i] - most), which is added to the lanes.
  void (*raise)(const float* from, float* to, size_t count, float most, float* lanes);
  // to[i] = from[i] * factor.
  void (*scale)(const float* from, float* to, size_t count, float factor);
  // Rows that stand side by side: number i of row r, which is replaced by its share, is at numbers[i * pitch + r]. The
  // same as `greatest`, `raise`, the lanes added up, and `scale` by 1 / sum. Rows are filled up to a multiple of 16.
  void (*softmax_columns)(float* numbers, size_t pitch, size_t count, size_t rows);
  // Of each of so many rows, that lie `pitch` apart: the lanes' sum, each of the first half of them and the one so far
  // behind it added up until one is left.
  void (*sums)(const float* from, size_t pitch, size_t rows, size_t count, float* to);
  // The next two take up to kRowsAtOnce rows, each with lanes of its own: one waits at each step for the step before.
  void (*add_up_doubles)(const float* const* from, size_t rows, size_t count, double (*lanes)[kLanes]);
  // Adds (from[i] - mean) squared to lane i % kSquareLanes, rounded once; of the last count % kSquareLanes nothing.
  void (*add_squares)(const float* const* from, size_t rows, size_t count, const float* means,
                      float (*lanes)[kSquareLanes]);
  // to[i] = (from[i] - mean) * factor * gamma[i] + beta[i], the last product and the sum rounded once.
  void (*normalize)(const float* from, float* to, size_t count, float mean, float factor, const float* gamma,
                    const float* beta);
  // to[i] = from[i] * from[i].
  void (*square)(const float* from, float* to, size_t count);
  // to[i] = from[i] / (bias + factor * sum)^(quarters / 4), where the sum is of squares[i], .. in order.
  void (*respond)(const float* from, const float* squares, float* to, size_t count, const Response& response);
};

}  // namespace graphopt::kernels
