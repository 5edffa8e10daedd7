// Kernels that are the same on all vectors, on those of this tier.

namespace graphopt::kernels::scalar {

#include "kernels/generic/vector_scalar.inl"

#include "kernels/generic/wide.inl"

#include "kernels/generic/codes.inl"
#include "kernels/generic/nbits.inl"
#include "kernels/generic/pool.inl"
#include "kernels/generic/resize.inl"
#include "kernels/generic/functions.inl"
#include "kernels/generic/float_products.inl"
#include "kernels/generic/rows.inl"

}  // namespace graphopt::kernels::scalar
