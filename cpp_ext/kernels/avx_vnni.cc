// Kernels for processors with AVX-VNNI: vpdpbusd on 256 bits.

#include <immintrin.h>

#include "kernels/fill.h"
#include "kernels/table.h"

#include "kernels/avx_vnni/dot.inl"

#define GRAPHOPT_TIER avx_vnni
#define GRAPHOPT_DOT(sum) "%{vex%} vpdpbusd %[weights], %[codes], %" sum "\n\t"
#include "kernels/ymm/requantize.inl"
#include "kernels/ymm/pack.inl"
#include "kernels/avx_vnni/gemm.inl"
#include "kernels/avx_vnni/gemm_sparse.inl"
#include "kernels/ymm/depthwise.inl"
#include "kernels/ymm/peak.inl"
#undef GRAPHOPT_DOT
#undef GRAPHOPT_TIER

namespace graphopt::kernels::avx_vnni {

void fill(Table& table) {
#define KERNEL(name, type, scalar, avx2, avx_vnni, ...) GRAPHOPT_TAKE_##avx_vnni(name)
#include "kernels/kernels.inc"
#undef KERNEL
}

}  // namespace graphopt::kernels::avx_vnni
