// What becomes of accumulators in products and convolutions: requantization, and what is fused behind it.
//
// Attributes: `y_type` u8, s8 or f32.
//
// For codes, `y_scale`, `y_zero` and, if not the type's range, `y_low` and `y_high` (codes):
//   code = clamp(nearest_even(float(acc) * m[n]), low - zero, high - zero) + zero,
// m[n] = x_scale * weight_scale[n] / y_scale, computed left to right in f32. `table` (u8[256]) and `table_type`: the
// code is then looked up. `r_scale` and `r_zero`: one input more, codes of the shape of y, is added as operator `add`
// would add it behind the result, or, if `r_first` is 1, before it, to codes of `sum_type`, `sum_scale`, `sum_zero`, `sum_low`, `sum_high`; then `sum_table` and
// `sum_table_type`. Behind a table, the sum needs the scale and zero point of what the table gives: `table_scale` and
// `table_zero`.
//
// For f32: y = float(acc) * (x_scale * weight_scale[n]), then + `float_bias`[n]. `residual` 1: one input more, f32 of
// the shape of y, is added.
#pragma once

#include <optional>
#include <vector>

#include "ops/aligned.h"

namespace graphopt {

// How codes of one type are added to those of a result.
struct Addition {
  kernels::CodesPair pair{};
  // What gives the same; where there is such a thing.
  std::optional<kernels::IntegerSum> integers;
  // Tiles add them.
  bool by_tiles = false;
};

class Epilogue {
 public:
  // `scales`: x_scale * weight_scale[n] for each column n. Tiles have `times` as many columns, for several elements of
  // the result: n, once more n, and so on. Throws Invalid if the attributes are not as above.
  Epilogue(const Attributes& attributes, const kernels::Table& kernels, const std::vector<float>& scales,
           std::int64_t times = 1);

  // Names of its attributes.
  static const std::vector<const char*>& names();

  // Of the result, after all that is fused.
  Type type() const { return type_; }
  // Whether there is an input to add.
  bool residual() const { return residual_; }
  // Throws Invalid unless `r` may be added to a result of shape `y`.
  void expect_residual(const Layout& r, const Dims& y) const;

  // Of the input to add, of that type, to `count` elements: few are not worth a search. `by_tiles`: what is added
  // may be given to tiles.
  Addition addition(Type residual_type, std::int64_t count, bool by_tiles) const;

  // For tiles. What they write is as large as the result; the arrays begin at column 0 and are padded.
  const kernels::Requantize& tile() const { return tile_; }

  // Whether `finish` has anything to do.
  bool unfinished(const Addition& addition) const {
    return (residual_ && !addition.by_tiles) || !table_.empty() || !sum_table_.empty();
  }
  // Makes rows just written by tiles those of the result, in place. `residual`: the rows to add; null if there is
  // none. Pitches in elements.
  void finish(void* to, std::int64_t pitch, const void* residual, std::int64_t residual_pitch, const Addition& addition,
              std::int64_t rows, std::int64_t columns) const;

 private:
  void read_sum(const Attributes& attributes);

  kernels::Lookup lookup_;
  kernels::Requantize tile_{};
  Aligned<float> scale_;
  Aligned<float> shift_;
  Type type_;
  bool residual_ = false;
  std::vector<unsigned char> table_;
  kernels::BinaryCodes add_;
  kernels::AddIntegers add_integers_;
  bool tiles_add_;
  kernels::CodesPair sum_{};
  int other_zero_ = 0;  // of the input that is added
  std::vector<unsigned char> sum_table_;
};

}  // namespace graphopt
