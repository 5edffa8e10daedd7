// matmul_nbits: floats [.., K] by constant weights of 4 or 8 bits in blocks along K, to floats [.., N].
//
// Attributes: `bits` 4 or 8; `block`, a power of two, 16 or more; `depth`, K; with as many blocks as cover K,
// `weights` u8 [N, blocks, block * bits / 8], the first code of a byte in its low bits; `scales` f32 [N, blocks];
// `zeros` u8 [N, ceil(blocks * bits / 8)], packed like weights, 2^(bits - 1) each without it; `bias` f32 [N].
//
// y = bias; then for each block y = fma(sum, scale, y), where sum = fma(x, code - zero, sum) for each k in order.

#include <algorithm>

#include "ops/aligned.h"

namespace graphopt {

namespace {

// Products that are worth a block of their own.
constexpr std::int64_t kWorthwhile = 1 << 17;
constexpr std::int64_t kBlocksWanted = 16;
// A panel of weights becomes floats once for so many rows.
constexpr std::int64_t kRowsOfBlock = 192;

std::int64_t ceil_divide(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

// Weights in the order in which kernels read them.
struct NbitsWeights {
  NbitsWeights(const Attributes& attributes, const kernels::MatmulNbits& kernel)
      : bits(attributes.integer_in("bits", 4, 8)),
        block(attributes.integer_in("block", 16, 1 << 20)),
        depth(attributes.integer_in("depth", 1, kMaxElements)),
        width(static_cast<std::int64_t>(kernel.columns)) {
    if (bits != 4 && bits != 8) throw Invalid("attribute 'bits' is neither 4 nor 8");
    if ((block & (block - 1)) != 0) throw Invalid("attribute 'block' is no power of two");
    const std::int64_t blocks = ceil_divide(depth, block);
    const Array& weights = attributes.array("weights", Type::kU8);
    columns = weights.dims.rank() == 0 ? 0 : weights.dims[0];
    if (columns < 1) throw Invalid("weights of no columns");
    expect(weights, "weights", Dims({columns, blocks, block * bits / 8}));
    const Array& given_scales = attributes.array("scales", Type::kF32);
    expect(given_scales, "scales", Dims({columns, blocks}));
    panels = ceil_divide(columns, width);
    words_of_panel = blocks * block * bits / 32 * width;
    factors_of_panel = blocks * width;
    static_cast<void>(Dims({panels, blocks, block, width}));
    words = Aligned<std::uint32_t>(panels * words_of_panel);
    scales = Aligned<float>(panels * factors_of_panel);
    zeros = Aligned<float>(panels * factors_of_panel);
    bias = Aligned<float>(panels * width);
    const std::int64_t bytes = blocks * block * bits / 8;
    for (std::int64_t n = 0; n < columns; ++n) {
      const std::uint8_t* from = weights.as<std::uint8_t>() + n * bytes;
      std::uint32_t* to = words.data() + n / width * words_of_panel + n % width;
      for (std::int64_t at = 0; at < bytes; at += 4, to += width) {
        for (int i = 0; i < 4; ++i) *to |= static_cast<std::uint32_t>(from[at + i]) << (8 * i);
      }
      const std::int64_t place = n / width * factors_of_panel + n % width;
      for (std::int64_t i = 0; i < blocks; ++i) {
        scales[place + i * width] = given_scales.as<float>()[n * blocks + i];
        zeros[place + i * width] = static_cast<float>(1 << (bits - 1));
      }
    }
    if (attributes.has("zeros")) unpack_zeros(attributes.array("zeros", Type::kU8), blocks);
    if (attributes.has("bias")) {
      const Array& given = attributes.array("bias", Type::kF32);
      expect(given, "bias", Dims({columns}));
      std::copy_n(given.as<float>(), columns, bias.data());
    }
  }

  kernels::NbitsPanel panel(std::int64_t index) const {
    kernels::NbitsPanel result{};
    result.depth = depth;
    result.block = block;
    result.bits = static_cast<int>(bits);
    result.words = words.data() + index * words_of_panel;
    result.scales = scales.data() + index * factors_of_panel;
    result.zeros = zeros.data() + index * factors_of_panel;
    result.bias = bias.data() + index * width;
    result.columns = static_cast<std::size_t>(std::min(width, columns - index * width));
    return result;
  }

  std::int64_t bits;
  std::int64_t block;
  std::int64_t depth;
  std::int64_t width;  // of a panel
  std::int64_t columns = 0;
  std::int64_t panels = 0;
  std::int64_t words_of_panel = 0;
  std::int64_t factors_of_panel = 0;
  Aligned<std::uint32_t> words;
  Aligned<float> scales;
  Aligned<float> zeros;
  Aligned<float> bias;

 private:
  static void expect(const Array& array, const char* name, const Dims& dims) {
    if (array.dims != dims) {
      throw Invalid(std::string("attribute '") + name + "' is " + array.dims.text() + ", not " + dims.text());
    }
  }

  void unpack_zeros(const Array& given, std::int64_t blocks) {
    const std::int64_t bytes = ceil_divide(blocks * bits, 8);
    expect(given, "zeros", Dims({columns, bytes}));
    for (std::int64_t n = 0; n < columns; ++n) {
      const std::uint8_t* from = given.as<std::uint8_t>() + n * bytes;
      for (std::int64_t i = 0; i < blocks; ++i) {
        const int code = (from[i * bits / 8] >> (i * bits % 8)) & ((1 << bits) - 1);
        zeros[n / width * factors_of_panel + i * width + n % width] = static_cast<float>(code);
      }
    }
  }
};

class BoundMatmulNbits final : public Bound {
 public:
  BoundMatmulNbits(const kernels::MatmulNbits& kernel, const NbitsWeights& weights, const Layout& x, const Layout& y)
      : kernel_(kernel),
        weights_(weights),
        rows_(y.dims.rows()),
        x_pitch_(x.pitch),
        y_pitch_(y.pitch),
        row_blocks_(ceil_divide(rows_, kRowsOfBlock)),
        block_rows_(ceil_divide(std::max<std::int64_t>(1, rows_), std::max<std::int64_t>(1, row_blocks_))),
        block_panels_(weights.panels) {
    const std::int64_t products = weights.depth * weights.width * block_rows_;
    while (block_panels_ > 1 && row_blocks_ * ceil_divide(weights.panels, block_panels_) < kBlocksWanted &&
           products * (block_panels_ / 2) >= kWorthwhile) {
      block_panels_ = ceil_divide(block_panels_, 2);
    }
    panel_blocks_ = ceil_divide(weights.panels, block_panels_);
  }

  void run(const Run& run) const override {
    run.pool.run(row_blocks_ * panel_blocks_, [&](std::int64_t block) {
      const std::int64_t row = block / panel_blocks_ * block_rows_;
      const std::int64_t first = block % panel_blocks_ * block_panels_;
      const std::int64_t last = std::min(first + block_panels_, weights_.panels);
      for (std::int64_t index = first; index < last; ++index) {
        kernels::NbitsPanel panel = weights_.panel(index);
        panel.x = static_cast<const float*>(run.inputs[0]) + row * x_pitch_;
        panel.x_pitch = x_pitch_;
        panel.rows = std::min(block_rows_, rows_ - row);
        panel.to = static_cast<float*>(run.outputs[0]) + row * y_pitch_ + index * weights_.width;
        panel.to_pitch = y_pitch_;
        kernel_.panel(panel);
      }
    });
  }

 private:
  const kernels::MatmulNbits& kernel_;
  const NbitsWeights& weights_;
  std::int64_t rows_;
  std::int64_t x_pitch_;
  std::int64_t y_pitch_;
  std::int64_t row_blocks_;
  std::int64_t block_rows_;
  std::int64_t block_panels_;
  std::int64_t panel_blocks_ = 0;
};

class MatmulNbits final : public Op {
 public:
  MatmulNbits(const Attributes& attributes, const kernels::Table& kernels)
      : kernel_(kernels.matmul_nbits), weights_(attributes, kernels.matmul_nbits) {
    attributes.only({"bits", "block", "depth", "weights", "scales", "zeros", "bias"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    const Layout& x = inputs[0];
    if (x.type != Type::kF32) throw Invalid(std::string("multiplies f32, not ") + name_of(x.type));
    if (x.dims.rank() < 1 || x.dims.columns() != weights_.depth) {
      throw Invalid("multiplies " + x.dims.text() + " by weights of " + std::to_string(weights_.depth) + " rows");
    }
    return {Layout(Type::kF32, x.dims.with_columns(weights_.columns))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundMatmulNbits>(kernel_, weights_, inputs[0], outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  const kernels::MatmulNbits& kernel_;
  NbitsWeights weights_;
};

}  // namespace

std::unique_ptr<Op> make_matmul_nbits(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<MatmulNbits>(attributes, kernels);
}

}  // namespace graphopt
