// Products of u8 and s8 in tiles that a compiler can keep in registers.

namespace graphopt::kernels::scalar {

#include "kernels/generic/tiles.inl"

constexpr int kGemmRows = 4;
constexpr int kGemmColumns = 8;

static void gemm_tile(const GemmTile& tile) {
  uint32_t acc[kGemmRows][kGemmColumns];
  for (int r = 0; r < tile.count; ++r) {
    for (int n = 0; n < kGemmColumns; ++n) acc[r][n] = static_cast<uint32_t>(tile.bias[n]);
  }
  const uint8_t flip = tile.flip ? 0x80 : 0;
  const int8_t* weights = tile.weights;
  for (int64_t segment = 0; segment < tile.segments; ++segment) {
    for (int64_t k = 0; k < tile.depth; k += 4, weights += 4 * kGemmColumns) {
      const int64_t left = tile.depth - k < 4 ? tile.depth - k : 4;
      for (int r = 0; r < tile.count; ++r) {
        const uint8_t* row = part_of(tile, segment, r) + k;
        for (int64_t i = 0; i < left; ++i) {
          const int32_t code = row[i] ^ flip;
          for (int n = 0; n < kGemmColumns; ++n) acc[r][n] += static_cast<uint32_t>(code * weights[4 * n + i]);
        }
      }
    }
  }
  for (int r = 0; r < tile.count; ++r) {
    for (int n = 0; n < tile.columns; ++n) {
      uint32_t whole = acc[r][n];
      if (tile.zeros != nullptr) whole -= static_cast<uint32_t>(tile.zeros[n]) * static_cast<uint32_t>(tile.sums[r]);
      const int32_t sum = static_cast<int32_t>(whole);
      if (tile.out.type == Type::kF32) {
        float number = static_cast<float>(sum) * tile.out.scale[n];
        if (tile.out.shift != nullptr) number += tile.out.shift[n];
        static_cast<float*>(tile.to)[r * tile.pitch + n] = number;
      } else {
        static_cast<uint8_t*>(tile.to)[r * tile.pitch + n] = to_code(sum, tile.out.scale[n], tile.out);
      }
    }
  }
}

static void gemm_panels(const GemmTile& panel) { even_tiles(panel, kGemmRows, &gemm_tile); }

static const Gemm gemm = {kGemmColumns, 1, 4, 1, {0, kGemmRows, 0, 0, 0}, false, &gemm_panels, nullptr, nullptr, &pack_columns<4>};

}  // namespace graphopt::kernels::scalar
