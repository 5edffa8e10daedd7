// matmul_f32: floats a [.., M, K] by floats b [.., K, N], both computed, to [.., M, N]; axes before the last two broadcast.
//
// Attributes: `transpose_b` 1: b is [.., N, K]; `scale`, 1 without it.
//
// Products are added up in parts as those of gemm_f32 are; then y = y * scale.

#include <algorithm>

#include "ops/float_panels.h"
#include "ops/matrices.h"

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 96;

// Each matrix of b is packed first, all in parallel; then come blocks of rows of each product.
class BoundMatmulF32 final : public Bound {
 public:
  BoundMatmulF32(const kernels::Table& kernels, bool transpose, float scale, const Layouts& inputs, const Layout& y)
      : transpose_words_(kernels.transpose_words),
        sizes_(MatrixSizes::of(inputs[0].dims, inputs[1].dims, transpose)),
        transpose_(transpose),
        scale_(scale),
        a_(inputs[0]),
        b_(inputs[1]),
        y_(y),
        shape_(kernels.float_products, sizes_.columns, 1, sizes_.depth, kMatrixParts),
        a_matrix_(matrices_of(a_.dims, sizes_.batch)),
        b_matrix_(matrices_of(b_.dims, sizes_.batch)),
        blocks_(FloatBlocks::of(sizes_.rows, shape_, kRowsOfBlock, std::max<std::int64_t>(1, y_matrices()))),
        matrix_floats_(shape_.floats() + static_cast<std::int64_t>(kAlignment / sizeof(float))) {
    matrix_floats_ -= matrix_floats_ % static_cast<std::int64_t>(kAlignment / sizeof(float));
    for (const std::int64_t matrix : b_matrix_) b_matrices_ = std::max(b_matrices_, matrix + 1);
  }

  std::size_t workspace() const override {
    return static_cast<std::size_t>(b_matrices_ * matrix_floats_) * sizeof(float);
  }

  void run(const Run& run) const override {
    const std::int64_t panels = shape_.panels();
    run.pool.run(b_matrices_ * panels, [&](std::int64_t block) { pack(run, block / panels, block % panels); });
    run.pool.run(y_matrices() * blocks_.count(),
                 [&](std::int64_t block) { multiply(run, block / blocks_.count(), block % blocks_.count()); });
  }

 private:
  std::int64_t y_matrices() const { return static_cast<std::int64_t>(a_matrix_.size()); }

  float* packed(const Run& run, std::int64_t matrix) const {
    return static_cast<float*>(run.workspace) + matrix * matrix_floats_;
  }

  void pack(const Run& run, std::int64_t matrix, std::int64_t panel) const {
    const float* from = static_cast<const float*>(run.inputs[1]) + matrix * b_.dims[-2] * b_.pitch;
    float* to = packed(run, matrix) + shape_.offset(panel);
    const std::int64_t first = shape_.first_column(panel);
    const std::int64_t columns = shape_.columns_of(panel);
    const std::int64_t width = shape_.padded_columns_of(panel);
    if (transpose_) {
      transpose_words_(reinterpret_cast<const std::uint32_t*>(from + first * b_.pitch),
                       static_cast<std::size_t>(b_.pitch), reinterpret_cast<std::uint32_t*>(to),
                       static_cast<std::size_t>(width), static_cast<std::size_t>(columns),
                       static_cast<std::size_t>(sizes_.depth));
    }
    for (std::int64_t k = 0; k < sizes_.depth; ++k) {
      float* row = to + k * width;
      if (!transpose_) std::copy_n(from + k * b_.pitch + first, columns, row);
      std::fill(row + columns, row + width, 0.0F);
    }
  }

  void multiply(const Run& run, std::int64_t matrix, std::int64_t block) const {
    const std::int64_t first_row = block / blocks_.panel_blocks * blocks_.rows;
    const std::int64_t first = block % blocks_.panel_blocks * blocks_.panels;
    const auto at = static_cast<std::size_t>(matrix);
    kernels::FloatTile tile{};
    tile.x = static_cast<const float*>(run.inputs[0]) + (a_matrix_[at] * sizes_.rows + first_row) * a_.pitch;
    tile.x_pitch = a_.pitch;
    tile.scale = scale_;
    tile.to = static_cast<float*>(run.outputs[0]) + (matrix * sizes_.rows + first_row) * y_.pitch;
    tile.pitch = y_.pitch;
    shape_.multiply(tile, packed(run, b_matrix_[at]), first, std::min(first + blocks_.panels, shape_.panels()),
                    std::min(blocks_.rows, sizes_.rows - first_row));
  }

  kernels::TransposeWords transpose_words_;
  MatrixSizes sizes_;
  bool transpose_;
  float scale_;
  Layout a_;
  Layout b_;
  Layout y_;
  FloatPanelShape shape_;
  std::vector<std::int64_t> a_matrix_;
  std::vector<std::int64_t> b_matrix_;
  FloatBlocks blocks_;
  std::int64_t matrix_floats_;
  std::int64_t b_matrices_ = 0;
};

class MatmulF32 final : public Op {
 public:
  MatmulF32(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        transpose_(attributes.has("transpose_b") && attributes.integer_in("transpose_b", 0, 1) == 1),
        scale_(attributes.number("scale", 1)) {
    attributes.only({"transpose_b", "scale"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 2);
    for (const Layout& input : inputs) {
      if (input.type != Type::kF32) throw Invalid(std::string("multiplies f32, not ") + name_of(input.type));
    }
    return {Layout(Type::kF32, MatrixSizes::of(inputs[0].dims, inputs[1].dims, transpose_).result())};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundMatmulF32>(kernels_, transpose_, scale_, inputs, outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  bool transpose_;
  float scale_;
};

}  // namespace

std::unique_ptr<Op> make_matmul_f32(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<MatmulF32>(attributes, kernels);
}

}  // namespace graphopt
