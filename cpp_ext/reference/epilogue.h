// What an epilogue computes, one element at a time.
#pragma once

#include <vector>

#include "ops/op.h"

namespace graphopt {

class ReferenceEpilogue {
 public:
  ReferenceEpilogue(const Attributes& attributes, const std::vector<float>& scales);

  // y of column n; `residual` is what is added, a code or a number, and plays no role where nothing is.
  double value(std::int32_t acc, std::int64_t n, double residual) const;

 private:
  const Attributes& attributes_;
  std::vector<float> scales_;
};

// Element i of a dense value, and the place of one.
double read(const View& view, std::int64_t i);
void write(const View& view, std::int64_t i, double value);

// Nearest, halves to even, clamped to the codes of `type` or the attributes `low` and `high`, with `zero` added.
int reference_code(const Attributes& attributes, const std::string& prefix, float number);

}  // namespace graphopt
