// matmul: codes a [.., M, K] by codes b [.., K, N], both computed, to [.., M, N]; axes before the last two broadcast.
//
// Attributes: `a_scale`, `a_zero`, `b_scale`, `b_zero`; `transpose_b` 1: b is [.., N, K]; and those of the epilogue, but
// for what is added to its result: acc = sum((a - a_zero) * (b - b_zero)), modulo 2^32.

#include <algorithm>

#include "ops/codes.h"
#include "ops/epilogue.h"
#include "ops/matrices.h"
#include "ops/panels.h"

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 384;

std::size_t aligned(std::int64_t bytes) {
  return (static_cast<std::size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
}

struct Zeros {
  std::int64_t a;
  std::int64_t b;
};

// Each matrix of b is packed first, all in parallel; then come blocks of rows of each product.
class BoundMatmul final : public Bound {
 public:
  BoundMatmul(const kernels::Table& kernels, const Epilogue& epilogue, Zeros zeros, bool transpose,
              const Layouts& inputs, const Layout& y)
      : epilogue_(epilogue),
        row_sum_(kernels.row_sum),
        sizes_(MatrixSizes::of(inputs[0].dims, inputs[1].dims, transpose)),
        transpose_(transpose),
        a_(inputs[0]),
        b_(inputs[1]),
        y_(y),
        flip_a_(inputs[0].type == Type::kS8),
        flip_b_(inputs[1].type == Type::kU8 ? 0x80 : 0),
        a_zero_(zeros.a + (flip_a_ ? 128 : 0)),
        b_zero_(zeros.b - (flip_b_ != 0 ? 128 : 0)),
        shape_(kernels.gemm, sizes_.columns, 1, sizes_.depth),
        blocks_(Blocks::of({sizes_.rows, sizes_.depth, kRowsOfBlock}, shape_, false)),
        zeros_(shape_.padded_columns()),
        a_matrix_(matrices_of(a_.dims, sizes_.batch)),
        b_matrix_(matrices_of(b_.dims, sizes_.batch)),
        packed_bytes_(aligned(shape_.offset(shape_.panels()))),
        bias_bytes_(aligned(shape_.padded_columns() * 4)) {
    for (std::int64_t n = 0; n < sizes_.columns; ++n) zeros_[n] = static_cast<std::int32_t>(b_zero_);
    for (const std::int64_t matrix : b_matrix_) b_matrices_ = std::max(b_matrices_, matrix + 1);
  }

  std::size_t workspace() const override {
    return static_cast<std::size_t>(b_matrices_) * (packed_bytes_ + bias_bytes_);
  }

  void run(const Run& run) const override {
    if (y_.dims.count() == 0) return;
    const std::int64_t panels = shape_.panels();
    run.pool.run(b_matrices_ * panels, [&](std::int64_t block) { pack(run, block / panels, block % panels); });
    run.pool.run(y_matrices() * blocks_.count(),
                 [&](std::int64_t block) { multiply(run, block / blocks_.count(), block % blocks_.count()); });
  }

 private:
  std::int64_t y_matrices() const { return static_cast<std::int64_t>(a_matrix_.size()); }

  std::int8_t* packed(const Run& run, std::int64_t matrix) const {
    return static_cast<std::int8_t*>(run.workspace) + static_cast<std::size_t>(matrix) * packed_bytes_;
  }

  std::int32_t* bias(const Run& run, std::int64_t matrix) const {
    auto* begin = static_cast<unsigned char*>(run.workspace) + static_cast<std::size_t>(b_matrices_) * packed_bytes_;
    return reinterpret_cast<std::int32_t*>(begin + static_cast<std::size_t>(matrix) * bias_bytes_);
  }

  void pack(const Run& run, std::int64_t matrix, std::int64_t panel) const {
    const auto* from = static_cast<const std::int8_t*>(run.inputs[1]) + matrix * b_.dims[-2] * b_.pitch;
    std::int32_t* sums = bias(run, matrix);
    const std::int64_t begin = shape_.first_column(panel);
    const std::int64_t end =
        panel + 1 < shape_.panels() ? shape_.first_column(panel + 1) : shape_.padded_columns();
    std::fill(sums + begin, sums + end, 0);
    shape_.pack(from, transpose_ ? b_.pitch : 1, transpose_ ? 1 : b_.pitch, flip_b_, panel, panel + 1,
                packed(run, matrix), sums);
    const auto a_zero = static_cast<std::uint32_t>(a_zero_);
    const std::uint32_t both = static_cast<std::uint32_t>(sizes_.depth * b_zero_) * a_zero;
    for (std::int64_t n = begin; n < end; ++n) {
      sums[n] = static_cast<std::int32_t>(both - a_zero * static_cast<std::uint32_t>(sums[n]));
    }
  }

  void multiply(const Run& run, std::int64_t matrix, std::int64_t block) const {
    const auto at = static_cast<std::size_t>(matrix);
    const std::int64_t first_row = blocks_.row_block(block) * blocks_.rows;
    const std::int64_t rows = std::min(blocks_.rows, sizes_.rows - first_row);
    const std::int64_t first = blocks_.panel_block(block) * blocks_.panels;
    const std::int64_t last = std::min(first + blocks_.panels, shape_.panels());
    const auto* a = static_cast<const std::uint8_t*>(run.inputs[0]) +
                    (a_matrix_[at] * sizes_.rows + first_row) * a_.pitch;
    auto* y = static_cast<unsigned char*>(run.outputs[0]) +
              (matrix * sizes_.rows + first_row) * y_.pitch * static_cast<std::int64_t>(size_of(y_.type));
    std::int32_t sums[kRowsOfBlock];
    kernels::GemmTile tile{};
    tile.rows = nullptr;
    tile.stride = 0;
    tile.x = a;
    tile.x_pitch = a_.pitch;
    tile.flip = flip_a_;
    tile.bias = bias(run, b_matrix_[at]);
    tile.zeros = nullptr;
    tile.sums = nullptr;
    if (b_zero_ != 0) {
      for (std::int64_t row = 0; row < rows; ++row) sums[row] = row_sum_(a + row * a_.pitch, sizes_.depth, flip_a_);
      tile.zeros = zeros_.data();
      tile.sums = sums;
    }
    tile.out = epilogue_.tile();
    tile.to = y;
    tile.pitch = y_.pitch;
    shape_.multiply(tile, packed(run, b_matrix_[at]), first, last, rows);
    if (!epilogue_.unfinished({})) return;
    const std::int64_t column = shape_.first_column(first);
    epilogue_.finish(y + column, y_.pitch, nullptr, 0, {}, rows,
                     std::min(shape_.first_column(last), shape_.columns()) - column);
  }

  const Epilogue& epilogue_;
  kernels::RowSum row_sum_;
  MatrixSizes sizes_;
  bool transpose_;
  Layout a_;
  Layout b_;
  Layout y_;
  bool flip_a_;
  std::uint8_t flip_b_;
  // Of the codes as they are read.
  std::int64_t a_zero_;
  std::int64_t b_zero_;
  PanelShape shape_;
  Blocks blocks_;
  Aligned<std::int32_t> zeros_;
  std::vector<std::int64_t> a_matrix_;
  std::vector<std::int64_t> b_matrix_;
  std::int64_t b_matrices_ = 0;
  std::size_t packed_bytes_;
  std::size_t bias_bytes_;
};

// Nothing to multiply: no columns.
class BoundNothing final : public Bound {
 public:
  void run(const Run&) const override {}
};

class Matmul final : public Op {
 public:
  Matmul(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        attributes_(attributes),
        a_zero_(attributes.integer_in("a_zero", -128, 255)),
        b_zero_(attributes.integer_in("b_zero", -128, 255)),
        transpose_(attributes.has("transpose_b") && attributes.integer_in("transpose_b", 0, 1) == 1),
        scale_(scale_of(attributes, "a_scale") * scale_of(attributes, "b_scale")),
        epilogue_(attributes, kernels, {scale_}) {
    attributes.only({"a_scale", "a_zero", "b_scale", "b_zero", "transpose_b"}, Epilogue::names());
    if (epilogue_.residual()) throw Invalid("nothing can be added to what matmul gives");
    if (attributes.has("float_bias")) throw Invalid("attribute 'float_bias' is not known to matmul");
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 2);
    expect_zero(inputs[0].type, "a_zero", a_zero_);
    expect_zero(inputs[1].type, "b_zero", b_zero_);
    const MatrixSizes sizes = MatrixSizes::of(inputs[0].dims, inputs[1].dims, transpose_);
    return {Layout(epilogue_.type(), sizes.result())};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    if (outputs[0].dims.count() == 0) return std::make_unique<BoundNothing>();
    return std::make_unique<WithEpilogue>(*this, inputs, outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  // The scale is one for all columns, of which there are as many as the inputs have.
  class WithEpilogue final : public Bound {
   public:
    WithEpilogue(const Matmul& op, const Layouts& inputs, const Layout& y)
        : epilogue_(op.attributes_, op.kernels_,
                    std::vector<float>(static_cast<std::size_t>(y.dims.columns()), op.scale_)),
          bound_(op.kernels_, epilogue_, {op.a_zero_, op.b_zero_}, op.transpose_, inputs, y) {}

    std::size_t workspace() const override { return bound_.workspace(); }
    void run(const Run& run) const override { bound_.run(run); }

   private:
    Epilogue epilogue_;
    BoundMatmul bound_;
  };

  static void expect_zero(Type type, const char* name, std::int64_t zero) {
    const CodeRange range = range_of(type);
    if (zero < range.low || zero > range.high) {
      throw Invalid(std::string("attribute '") + name + "' is " + std::to_string(zero) + ", no code of " + name_of(type));
    }
  }

  const kernels::Table& kernels_;
  Attributes attributes_;
  std::int64_t a_zero_;
  std::int64_t b_zero_;
  bool transpose_;
  float scale_;
  Epilogue epilogue_;
};

}  // namespace

std::unique_ptr<Op> make_matmul(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Matmul>(attributes, kernels);
}

}  // namespace graphopt
