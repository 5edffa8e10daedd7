// Kernels in plain C++: for any processor, and where newer tiers have none of their own.

#include "kernels/fill.h"
#include "kernels/table.h"

#include "kernels/scalar/lookup.inl"

namespace graphopt::kernels::scalar {

void fill(Table& table) {
#define KERNEL(name, type, scalar, ...) GRAPHOPT_TAKE_##scalar(name)
#include "kernels/kernels.inc"
#undef KERNEL
}

}  // namespace graphopt::kernels::scalar
