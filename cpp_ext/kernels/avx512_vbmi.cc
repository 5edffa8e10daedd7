// Kernels for processors with AVX-512 VBMI: permutations of bytes.

#include <immintrin.h>

#include "kernels/fill.h"
#include "kernels/table.h"

#include "kernels/avx512_vbmi/elementwise.inl"
#include "kernels/avx512_vbmi/lookup.inl"

namespace graphopt::kernels::avx512_vbmi {

void fill(Table& table) {
#define KERNEL(name, type, scalar, avx2, avx_vnni, avx512_vnni, avx512_vbmi) GRAPHOPT_TAKE_##avx512_vbmi(name)
#include "kernels/kernels.inc"
#undef KERNEL
}

}  // namespace graphopt::kernels::avx512_vbmi
