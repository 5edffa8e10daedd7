// Products of codes, as many as a compiler finds instructions for.

namespace graphopt::kernels::scalar {

static int64_t peak(int64_t rounds, int32_t* sink) {
  constexpr int kSums = 32;
  int32_t sums[kSums] = {};
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kSums; ++i) sums[i] += static_cast<int16_t>(round) * static_cast<int16_t>(i);
  }
  for (int i = 0; i < kSums; ++i) *sink ^= sums[i];
  return rounds * kSums;
}

}  // namespace graphopt::kernels::scalar
