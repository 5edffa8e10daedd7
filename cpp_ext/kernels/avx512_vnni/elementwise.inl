// Kernels that are the same on all vectors, on those of this tier.

namespace graphopt::kernels::avx512_vnni {

#include "kernels/generic/vector_avx512.inl"

#include "kernels/generic/wide.inl"

#include "kernels/generic/codes.inl"
#include "kernels/generic/integer_sum.inl"
#include "kernels/generic/nbits.inl"
#include "kernels/generic/pool.inl"
#include "kernels/generic/resize.inl"
#include "kernels/generic/functions.inl"
#include "kernels/generic/float_products.inl"
#include "kernels/generic/rows.inl"

}  // namespace graphopt::kernels::avx512_vnni
