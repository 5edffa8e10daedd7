// Kernels for processors with AVX-512 F, BW, DQ, VL and VNNI.

#include <immintrin.h>

#include "kernels/fill.h"
#include "kernels/table.h"

#include "kernels/avx512_vnni/elementwise.inl"
#include "kernels/avx512_vnni/requantize.inl"
#define GRAPHOPT_TIER avx512_vnni
#include "kernels/ymm/pack.inl"
#undef GRAPHOPT_TIER
#include "kernels/avx512_vnni/gemm.inl"
#include "kernels/avx512_vnni/gemm_sparse.inl"
#include "kernels/avx512_vnni/gemm_grouped.inl"
#include "kernels/avx512_vnni/depthwise_channels.inl"
#include "kernels/avx512_vnni/depthwise_pairs.inl"
#include "kernels/avx512_vnni/depthwise_fives.inl"
#include "kernels/avx512_vnni/depthwise.inl"
#include "kernels/avx512_vnni/peak.inl"

namespace graphopt::kernels::avx512_vnni {

void fill(Table& table) {
#define KERNEL(name, type, scalar, avx2, avx_vnni, avx512_vnni, ...) GRAPHOPT_TAKE_##avx512_vnni(name)
#include "kernels/kernels.inc"
#undef KERNEL
}

}  // namespace graphopt::kernels::avx512_vnni
