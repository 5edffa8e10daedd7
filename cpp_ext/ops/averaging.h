// The attributes of means of codes: x_scale, x_zero, y_type, y_scale, y_zero, all of them or, for f32, none.
#pragma once

#include "ops/coding.h"
#include "ops/op.h"

namespace graphopt {

class Averaging {
 public:
  explicit Averaging(const Attributes& attributes);

  // The output's. Throws Invalid if the input is not of the type that the attributes are for.
  Type type(Type input) const;

  // In floats, but for how many numbers the mean is of. Throws nothing.
  kernels::AverageNumbers numbers(Type input) const;
  // Of `taps` codes that count as the mean of `count`. Throws nothing.
  kernels::Average average(Type input, std::int64_t taps, std::int64_t count) const;

 private:
  bool codes_;
  float x_scale_ = 1;
  int x_zero_ = 0;
  Coding y_;
};

// Sums of more codes than these might not fit.
constexpr std::int64_t kMostAveraged = 1 << 23;

}  // namespace graphopt
