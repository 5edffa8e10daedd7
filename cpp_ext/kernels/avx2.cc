// Kernels for processors with AVX2 and FMA.

#include <immintrin.h>

#include "kernels/fill.h"
#include "kernels/table.h"

#include "kernels/avx2/elementwise.inl"
#include "kernels/avx2/lookup.inl"
#include "kernels/avx2/transpose.inl"
#include "kernels/avx2/row_sum.inl"
#include "kernels/avx2/dot.inl"

#define GRAPHOPT_TIER avx2
#define GRAPHOPT_DOT(sum) "vpmaddwd %[weights], %[codes], %%ymm15\n\tvpaddd %%ymm15, %" sum ", %" sum "\n\t"
#include "kernels/ymm/requantize.inl"
#include "kernels/ymm/pack.inl"
#include "kernels/avx2/gemm.inl"
#include "kernels/ymm/depthwise.inl"
#include "kernels/ymm/peak.inl"
#undef GRAPHOPT_DOT
#undef GRAPHOPT_TIER

namespace graphopt::kernels::avx2 {

void fill(Table& table) {
#define KERNEL(name, type, scalar, avx2, ...) GRAPHOPT_TAKE_##avx2(name)
#include "kernels/kernels.inc"
#undef KERNEL
}

}  // namespace graphopt::kernels::avx2
