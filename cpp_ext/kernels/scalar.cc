// Kernels in plain C++: for any processor, and where newer tiers have none of their own.

#include "kernels/fill.h"
#include "kernels/table.h"

#include "kernels/scalar/elementwise.inl"
#include "kernels/scalar/integer_sum.inl"
#include "kernels/scalar/lookup.inl"
#include "kernels/scalar/requantize.inl"
#include "kernels/scalar/pack.inl"
#include "kernels/scalar/gemm.inl"
#include "kernels/scalar/depthwise.inl"
#include "kernels/scalar/peak.inl"
#include "kernels/scalar/row_sum.inl"
#include "kernels/scalar/transpose.inl"

namespace graphopt::kernels::scalar {

void fill(Table& table) {
#define KERNEL(name, type, scalar, ...) GRAPHOPT_TAKE_##scalar(name)
#include "kernels/kernels.inc"
#undef KERNEL
}

}  // namespace graphopt::kernels::scalar
