// What kernels take and give: plain data only, so that files built for one instruction set include no library code.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/elementwise.h"
#include "kernels/functions.h"

namespace graphopt {

// Element types of values in a program. The numbers are part of the file format.
enum class Type : uint8_t { kF32 = 0, kU8 = 1, kS8 = 2, kS32 = 3, kS64 = 4, kBool = 5 };

namespace kernels {

// to[i] = table[from[i]]; `to` may be `from`.
using Lookup = void (*)(const uint8_t* from, uint8_t* to, size_t count, const uint8_t* table);

// What becomes of the accumulators of column n: float(acc) * scale[n], and then either + shift[n] (f32), or clamped
// to `low`..`high`, rounded to the nearest, halves to even, and `zero` added (u8, s8). Arrays are padded to whole
// panels, so that vectors may be read.
struct Requantize {
  Type type;
  // Some scale is 1 or more: then products may lie outside s32.
  bool large;
  int32_t zero;
  // As codes, after `zero` was added.
  int32_t low;
  int32_t high;
  const float* scale;
  // Of f32 only; may be null.
  const float* shift;
};

// Products of rows and panels of columns: for each row r and column n, acc = bias[n] + sum(row * weights of n) - zeros[n] * sums[r].
struct GemmTile {
  // The part s of row r begins at rows[s * stride + r] + s * step and has `depth` codes: a matrix has one segment, a
  // convolution one for each tap of its window. Without `rows` there is one segment, and row r begins at x + r * x_pitch.
  const uint8_t* const* rows;
  int64_t stride;
  int64_t step;
  const uint8_t* x;
  int64_t x_pitch;
  int64_t segments;
  int64_t depth;
  // Any number of rows.
  int count;
  // Codes of rows are s8, and read as u8 that are greater by 128.
  bool flip;
  // Panels one behind the other, at most Gemm::panels of them. Each is: for each segment, for each Gemm::group of its
  // depth (the last filled up with 0), for each of its columns (filled up to whole vectors), a group of weights. Aligned
  // to 64 bytes.
  const int8_t* weights;
  // Panels may have more: `weights` and `begins` are those of segment `first_segment` of the first panel.
  int64_t first_segment;
  int64_t panel_segments;
  // Of `Gemm::sparse` only, and of one panel: groups of weights that are all 0 are left out. Those that vector v has in
  // segment s are from begins[v * panel_segments + s] up to the next; group i is multiplied by the codes from places[i]
  // of the segment on, and lies at weights + i * vector * group.
  const int32_t* begins;
  const int32_t* places;
  int columns;
  // Of `Gemm::grouped` only: rows have `depth` codes for each so many columns, group by group.
  int group_columns;
  // Padded like the panels.
  const int32_t* bias;
  // Null: none.
  const int32_t* zeros;
  // Sum of the codes of row r, as they are read; used with `zeros` only.
  const int32_t* sums;
  // Its arrays begin at the first column.
  Requantize out;
  void* to;
  // From one row to the next, in elements.
  int64_t pitch;
  // Codes that are added to those of row r, as the first of the sum: other + r * other_pitch, from the first column on.
  // They may be overwritten by the result. Null: none. Of kernels that add only.
  const uint8_t* other;
  int64_t other_pitch;
  const IntegerSum* sum;
  // As many bytes of weights that are wanted next, to be fetched meanwhile. Null: none.
  const int8_t* next;
  int64_t next_bytes;
};

// Weights to one segment of a panel: weight (column, k) is at from[column * column_step + k * step], one of the steps being
// 1. Where there is none, a 0 is written.
struct Packing {
  const int8_t* from;
  int64_t column_step;
  int64_t step;
  int64_t depth;
  int64_t columns;
  // Filled up to whole vectors.
  int64_t padded;
  // Bits of weights that are exchanged.
  uint8_t flip;
  int8_t* to;
  // Of each column, padded, those of its weights are added to; null: not wanted.
  int32_t* sums;
};

struct Gemm {
  // Columns in a vector, and vectors in a panel.
  int vector;
  int vectors;
  // Weights of a column that lie together.
  int group;
  // At a time.
  int panels;
  // The most rows that are computed together, of 1, 2, .. vectors.
  int rows[5];
  // Takes codes to add.
  bool adds;
  void (*multiply)(const GemmTile& tile);
  // One panel. Null: none that would be faster.
  void (*sparse)(const GemmTile& tile);
  // One panel of whole vectors, in groups of 1, 2, 4, 8 or 16 columns; the depth is a multiple of 4, and the codes for a
  // vector are at most 64, unless they are one group's. Null: none that would be faster.
  void (*grouped)(const GemmTile& tile);
  void (*pack)(const Packing& packing);
};

// The most products a processor can add up: `rounds` times as many as are independent, of values in registers. Gives
// how many they were; `sink` keeps them from being left out.
using Peak = int64_t (*)(int64_t rounds, int32_t* sink);

// Sum of `count` codes, each first made greater by 128 and read as u8 if `flip`.
using RowSum = int32_t (*)(const uint8_t* from, int64_t count, bool flip);

// Lines of outputs of a depthwise convolution, for one block of channels. An output sums over `groups` times 4 input
// lines and `kernel_width` places in each. Where channels are few, a block has room for them more than once: for
// several streams, whose lines are computed side by side.
struct DepthwiseStrip {
  // [streams][groups * 4]: the first pixel of each input line, and the bytes from one pixel to the next. Of direct ones
  // there are `windows` in place of `lines`, and one number of bytes.
  const uint8_t* const* lines;
  const int64_t* pixels;
  // [height][streams]: the first pixel of each line of the window.
  const uint8_t* const* const* windows;
  // Of the block's first channel in a pixel.
  int64_t channel;
  // Place p of line i is pixel p * advance + (i % 4) * shift, seen from pixel `first`. Those outside 0..width - 1 are
  // `blank`: codes of all channels.
  int64_t advance;
  int64_t shift;
  int64_t width;
  const uint8_t* blank;
  // Codes are s8, and read as u8 that are greater by 128.
  bool flip;
  int streams;
  // Of each stream; at most Depthwise::channels / streams.
  int channels;
  // Windows of 3 x 3 or 5 x 5 with a stride of 2 and weights in an order of their own; rows are 1, and pixels lie equally
  // far from each other in all lines.
  bool direct;
  // Lines of outputs of each stream that are made one after the other, of lines of their own: 1 but for direct ones.
  int64_t height;
  int groups;
  int kernel_width;
  // In places.
  int64_t stride;
  int64_t dilation;
  // Pixel that output 0 begins at.
  int64_t first;
  // Outputs of a line.
  int64_t count;
  // Lines of outputs of each stream, or parts of one, over the same places with weights of their own.
  int rows;
  // [rows][groups][kernel_width][Depthwise::channels][4], channels in the order of the kernel, aligned to 64 bytes. Of
  // direct ones [4 or 7][Depthwise::channels][4]; by line and column of the window, of 3 x 3: (0, 0), (1, 0), (2, 0) and
  // 0; (0, 2), (1, 2), (2, 2) and (0, 1); (1, 1), (2, 1), 0 and 0; 0, 0, (1, 1) and (2, 1). Of 5 x 5: for each column,
  // (0, column) to (3, column); 0, (4, 0), 0 and 0; (4, 1) to (4, 4).
  const int8_t* weights;
  // In the order of the kernel, as are the arrays of `out`; no weights have zero points.
  const int32_t* bias;
  Requantize out;
  // [height][streams][rows]: of each line of outputs.
  void* const* to;
  // From one output to the next, in elements.
  int64_t pitch;
};

struct Depthwise {
  // Of a block, and the fewest of a stream: streams are this number, or its double, and so on.
  int channels;
  int least;
  // The channel at each place of a block, as unpacking leaves them.
  uint8_t order[64];
  // The most places that `groups` times the places of one output may be.
  int64_t places;
  // Whether strips may be `direct`: those of codes whose scales are below 1.
  bool direct;
  void (*strip)(const DepthwiseStrip& strip);
};

// Rows of floats by one panel of weights of 4 or 8 bits, in blocks along the depth that share a scale and a zero point:
// result = bias + scale * sum(x * (code - zero)) + .., block by block, products and blocks added in order, each by one
// fused multiplication and addition. Arrays are padded to MatmulNbits::columns.
struct NbitsPanel {
  const float* x;
  int64_t x_pitch;
  int64_t rows;
  int64_t depth;
  // A power of two, 16 or more.
  int64_t block;
  int bits;
  // [blocks * block * bits / 32][columns]: of each column, the codes that follow one another, the first in the lowest
  // bits.
  const uint32_t* words;
  // [blocks][columns].
  const float* scales;
  const float* zeros;
  const float* bias;
  float* to;
  int64_t to_pitch;
  // Those that there are.
  size_t columns;
};

struct MatmulNbits {
  // Of a panel.
  size_t columns;
  void (*panel)(const NbitsPanel& panel);
};

constexpr int64_t kColours = 3;

// Rows of floats by one panel of weights: x * weight + .., in the order of the segments and of the places in them, each
// product added to 0 by one fused multiplication and addition; that sum is added to what is there, then to the bias,
// scaled, and clamped if it is a number.
struct FloatTile {
  // Where a segment of a row begins: rows[segment * stride + row]. Null: at x + row * x_pitch, and there is one segment.
  const unsigned char* const* rows;
  int64_t stride;
  const float* x;
  int64_t x_pitch;
  // Floats from there to the first that is read.
  int64_t offset;
  int64_t count;
  int64_t segments;
  int64_t depth;
  // There are kColours places in a segment, and each place has a sum of its own; these are added in order. Panels have two
  // vectors at most.
  bool colours;
  // [segments * depth][columns, filled up to whole vectors].
  const float* weights;
  // Sums are added to what `to` holds.
  bool add;
  // [columns], filled up likewise; may be null.
  const float* bias;
  float scale = 1;
  float low = -__builtin_inff();
  float high = __builtin_inff();
  float* to;
  int64_t pitch;
  // Those that there are.
  size_t columns;
};

// Pixels of floats, each channel with weights of its own: x * weight + .., in the order of the taps, to which the bias is
// added as to those of `FloatTile`.
struct FloatDepthwise {
  // rows[tap * stride + row].
  const unsigned char* const* rows;
  int64_t stride;
  int64_t count;
  int64_t taps;
  // [taps][channels].
  const float* weights;
  const float* bias;
  float low;
  float high;
  float* to;
  int64_t pitch;
  size_t channels;
};

struct FloatProducts {
  size_t vector;
  // Vectors of a panel, at most.
  size_t vectors;
  void (*panel)(const FloatTile& tile);
  void (*depthwise)(const FloatDepthwise& pixels);
};

}  // namespace kernels
}  // namespace graphopt
