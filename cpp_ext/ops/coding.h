// Codes as the kernels of kernels/elementwise.h take and give them.
#pragma once

#include "ops/codes.h"

namespace graphopt {

// Attribute `name`, a code of one type or the other: that of an input, whose type is not known yet.
int input_zero_of(const Attributes& attributes, const std::string& name);

// The zero point of an input. Throws Invalid if its type is none of codes, or that is none of its codes.
kernels::CodesIn codes_in(Type type, int zero);

// What an output's codes are: PREFIXtype, PREFIXscale, PREFIXzero, and optionally PREFIXlow and PREFIXhigh.
struct Coding {
  Type type = Type::kU8;
  float scale = 1;
  int zero = 0;
  CodeRange bounds{0, 255};

  Coding() = default;
  Coding(const Attributes& attributes, const std::string& prefix);

  kernels::CodesOut kernel() const;
  // For values to which the zero point was added before they are rounded.
  kernels::CodesOut shifted() const;
};

// An operand of `add` or of the sum in an epilogue.
struct Summand {
  float scale;
  int zero;
};

// What the kernel add_codes takes, but for the types of both operands, whose zero points are part of the sum: for
// y = fused(a, a_scale / y_scale, fused(b, b_scale / y_scale, start)) of the codes themselves; with `a_first` a and b
// change places.
kernels::CodesPair sum_of_codes(const Summand& a, const Summand& b, const Coding& y, bool a_first);

}  // namespace graphopt
