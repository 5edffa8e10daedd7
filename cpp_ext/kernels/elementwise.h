// Signatures of kernels for what is computed element by element or over windows.
//
// Codes are handled as unsigned bytes: a signed one is flipped (its top bit inverted) on the way in and out, which adds
// 128 to it; zero points and bounds stand here in that unsigned form.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace graphopt::kernels {

struct CodesIn {
  uint8_t flip;  // 0x80 for signed codes, else 0
  float zero;
};

// A value of code units becomes clamp(nearest_even(value), low, high) + zero; what is no number becomes low + zero.
struct CodesOut {
  uint8_t flip;
  int32_t zero;
  float low;
  float high;
};

// Elements of two operands and a result: rows of columns, with the distances from row to row, in elements. Within a
// row an operand advances by `step`: 1, or 0 where it is one value.
struct Grid {
  size_t rows;
  size_t columns;
  size_t a_row;
  size_t b_row;
  size_t y_row;
  size_t a_step;
  size_t b_step;
};

// add: fused(a - a.zero, a_factor, fused(b - b.zero, b_factor, start)), a fused product and sum being rounded once; with
// `a_first` in the other order: fused(b - b.zero, b_factor, fused(a - a.zero, a_factor, start)).
// mul: (a - a.zero) * (b - b.zero) * a_factor + start.
struct CodesPair {
  CodesIn a;
  CodesIn b;
  float a_factor;
  float b_factor;
  float start;
  bool a_first;
  CodesOut y;
};
using BinaryCodes = void (*)(const uint8_t* a, const uint8_t* b, uint8_t* y, const Grid& grid, const CodesPair& pair);

// A sum in integers: with A = (a - 128) * 256 and B likewise of codes in their unsigned form, the word
// (A * a_high + B * b_high + ((A * a_low + B * b_low + start) >> 15)) >> 16, which must be one of s16, plus `offset`,
// saturated, >> `shift` and then clamped to `low`..`high`.
struct IntegerSum {
  uint8_t a_flip;
  uint8_t b_flip;
  uint8_t y_flip;
  uint8_t low;
  uint8_t high;
  int16_t a_high;
  int16_t b_high;
  int16_t a_low;  // between -2^14 and 2^14, as b_low
  int16_t b_low;
  int16_t offset;
  int32_t start;  // between -2^30 and 2^30
  int shift;
};
// Of grids whose operands have elements of their own in each column.
using AddIntegers = void (*)(const uint8_t* a, const uint8_t* b, uint8_t* y, const Grid& grid, const IntegerSum& sum);

// (code - zero) * factors[column] + offsets[column], rounded once, in code units of the output. Of the grid's operands
// there is the first only. Factors and offsets are filled up to 64.
using AffineCodes = void (*)(const uint8_t* from, uint8_t* to, const Grid& grid, const CodesIn& in,
                             const float* factors, const float* offsets, const CodesOut& out);

// clamp(nearest_even(from[i] / scale), low, high) + zero.
using Quantize = void (*)(const float* from, uint8_t* to, size_t count, float scale, const CodesOut& codes);

// (from[i] - zero) * scale.
using Dequantize = void (*)(const uint8_t* from, float* to, size_t count, float scale, const CodesIn& codes);

// to[column * to_row + row] = from[row * from_row + column], distances in elements.
using TransposeBytes = void (*)(const uint8_t* from, size_t from_row, uint8_t* to, size_t to_row, size_t rows,
                                size_t columns);

using TransposeWords = void (*)(const uint32_t* from, size_t from_row, uint32_t* to, size_t to_row, size_t rows,
                                size_t columns);

// One row of a pooled image, or a part of it: `pixels` of `channels`, each from `rows` x `taps` pixels of the source,
// all within it. Distances in elements.
struct Window {
  size_t rows;
  size_t row_step;  // from a row of the window to the next
  size_t taps;
  size_t tap_step;  // from a tap to the next in a row of the window
  size_t pixels;
  size_t step;     // from a pixel's window to the next one's
  size_t to_step;  // from a pixel to the next in the output
  size_t channels;
};

using MaxPool = void (*)(const uint8_t* from, uint8_t* to, const Window& window, uint8_t flip);
using MaxPoolF32 = void (*)(const float* from, float* to, const Window& window);

// (sum - zeros) * factor, in code units of the output.
struct Average {
  uint8_t flip;
  int32_t zeros;
  float factor;
  CodesOut y;
};
using AveragePool = void (*)(const uint8_t* from, uint8_t* to, const Window& window, const Average& average);

// Codes as numbers, (code - in.zero) * scale, added up row by row and tap by tap; the sum / count / y_scale + y_zero, in
// codes.
struct AverageNumbers {
  CodesIn in;
  float scale;
  float count;
  float y_scale;
  float y_zero;
  CodesOut y;
};
using AverageCodes = void (*)(const uint8_t* from, uint8_t* to, const Window& window, const AverageNumbers& average);
// sum / count, added up row by row and tap by tap.
using AveragePoolF32 = void (*)(const float* from, float* to, const Window& window, float count);

// A row of an image resized: each pixel between four of the source, `left` and `right` (offsets of elements) of the
// rows `top` and `bottom`: with across = l + (r - l) * x[pixel] in both rows, t + (b - t) * y.
struct Between {
  const size_t* left;
  const size_t* right;
  const float* x;
  float y;
  size_t pixels;
  size_t to_step;
  size_t channels;
};
using ResizeLinear = void (*)(const uint8_t* top, const uint8_t* bottom, uint8_t* to, const Between& between,
                              uint8_t flip);
using ResizeLinearF32 = void (*)(const float* top, const float* bottom, float* to, const Between& between);

}  // namespace graphopt::kernels
