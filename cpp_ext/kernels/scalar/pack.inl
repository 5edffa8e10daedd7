// Weights to panels, one by one.

namespace graphopt::kernels::scalar {

template <int Group>
static void pack_columns(const Packing& packing) {
  int8_t* to = packing.to;
  for (int64_t k = 0; k < packing.depth; k += Group) {
    for (int64_t n = 0; n < packing.padded; ++n) {
      uint32_t sum = 0;
      for (int64_t i = k; i < k + Group; ++i) {
        const bool is_there = n < packing.columns && i < packing.depth;
        const int8_t given = is_there ? packing.from[n * packing.column_step + i * packing.step] : static_cast<int8_t>(0);
        const auto weight = static_cast<int8_t>(is_there ? given ^ packing.flip : 0);
        *to++ = weight;
        sum += static_cast<uint32_t>(weight);
      }
      if (packing.sums != nullptr) packing.sums[n] = static_cast<int32_t>(static_cast<uint32_t>(packing.sums[n]) + sum);
    }
  }
}

}  // namespace graphopt::kernels::scalar
