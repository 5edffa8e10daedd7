// resize: images N, H, W, C of another height and width; codes stay codes of their scale.
//
// Attributes: `mode`, "nearest" or "linear", and those of coordinates.h.

#include <algorithm>
#include <cstring>

#include "ops/codes.h"
#include "ops/coordinates.h"
#include "ops/op.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlockElements = 1 << 13;

// Calls row(y_row) for all rows of all images, some of them at a time.
template <typename Row>
void each_row(ThreadPool& pool, const Layout& y, const Row& row) {
  const std::int64_t rows = y.dims[0] * y.dims[1];
  const std::int64_t block = std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(1, y.dims[2] * y.dims[3]));
  pool.run((rows + block - 1) / block, [&](std::int64_t index) {
    const std::int64_t end = std::min((index + 1) * block, rows);
    for (std::int64_t at = index * block; at < end; ++at) row(at, at == index * block);
  });
}

class BoundNearest final : public Bound {
 public:
  BoundNearest(const Coordinates& coordinates, const Layout& x, const Layout& y) : x_(x), y_(y) {
    for (std::int64_t i = 0; i < y.dims[1]; ++i) rows_.push_back(coordinates.nearest(0, i, x.dims[1]));
    for (std::int64_t i = 0; i < y.dims[2]; ++i) pixels_.push_back(coordinates.nearest(1, i, x.dims[2]) * x.pitch);
  }

  void run(const Run& run) const override {
    const auto size = static_cast<std::int64_t>(size_of(x_.type));
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<unsigned char*>(run.outputs[0]);
    const auto bytes = static_cast<std::size_t>(y_.dims[3] * size);
    if (bytes == 0) return;
    each_row(run.pool, y_, [&](std::int64_t row, bool first) {
      const std::int64_t image = row / y_.dims[1];
      const std::int64_t line = row % y_.dims[1];
      unsigned char* into = to + row * y_.dims[2] * y_.pitch * size;
      if (!first && line > 0 && y_.dense() && rows_[at(line)] == rows_[at(line - 1)]) {
        const std::size_t whole = static_cast<std::size_t>(y_.dims[2]) * bytes;
        std::memcpy(into, into - whole, whole);
        return;
      }
      const unsigned char* source = from + (image * x_.dims[1] + rows_[at(line)]) * x_.dims[2] * x_.pitch * size;
      for (const std::int64_t pixel : pixels_) {
        std::memcpy(into, source + pixel * size, bytes);
        into += y_.pitch * size;
      }
    });
  }

 private:
  static std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

  Layout x_;
  Layout y_;
  std::vector<std::int64_t> rows_;
  std::vector<std::int64_t> pixels_;
};

class BoundLinear final : public Bound {
 public:
  BoundLinear(const kernels::Table& kernels, const Coordinates& coordinates, const Layout& x, const Layout& y)
      : kernels_(kernels), x_(x), y_(y) {
    for (std::int64_t i = 0; i < y.dims[1]; ++i) rows_.push_back(coordinates.between(0, i, x.dims[1]));
    for (std::int64_t i = 0; i < y.dims[2]; ++i) {
      const Coordinates::Between pixel = coordinates.between(1, i, x.dims[2]);
      left_.push_back(static_cast<std::size_t>(pixel.first * x.pitch));
      right_.push_back(static_cast<std::size_t>(pixel.second * x.pitch));
      weights_.push_back(pixel.weight);
    }
  }

  void run(const Run& run) const override {
    const std::uint8_t flip = x_.type == Type::kS8 ? 0x80 : 0;
    each_row(run.pool, y_, [&](std::int64_t row, bool) {
      const Coordinates::Between& lines = rows_[static_cast<std::size_t>(row % y_.dims[1])];
      const std::int64_t image = row / y_.dims[1] * x_.dims[1];
      const std::int64_t top = (image + lines.first) * x_.dims[2] * x_.pitch;
      const std::int64_t bottom = (image + lines.second) * x_.dims[2] * x_.pitch;
      const std::int64_t into = row * y_.dims[2] * y_.pitch;
      const kernels::Between between = {left_.data(),
                                        right_.data(),
                                        weights_.data(),
                                        lines.weight,
                                        static_cast<std::size_t>(y_.dims[2]),
                                        static_cast<std::size_t>(y_.pitch),
                                        static_cast<std::size_t>(y_.dims[3])};
      if (x_.type == Type::kF32) {
        const auto* from = static_cast<const float*>(run.inputs[0]);
        kernels_.resize_linear_f32(from + top, from + bottom, static_cast<float*>(run.outputs[0]) + into, between);
      } else {
        const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
        kernels_.resize_linear(from + top, from + bottom, static_cast<unsigned char*>(run.outputs[0]) + into, between,
                               flip);
      }
    });
  }

 private:
  const kernels::Table& kernels_;
  Layout x_;
  Layout y_;
  std::vector<Coordinates::Between> rows_;
  std::vector<std::size_t> left_;
  std::vector<std::size_t> right_;
  std::vector<float> weights_;
};

class Resize final : public Op {
 public:
  Resize(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels), coordinates_(attributes), linear_(attributes.text("mode") == "linear") {
    attributes.only({"mode", "coordinates", "nearest_mode", "sizes", "scales"});
    if (!linear_ && attributes.text("mode") != "nearest") throw Invalid("attribute 'mode' is no \"nearest\" or \"linear\"");
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    const Dims& x = inputs[0].dims;
    if (x.rank() != 4) throw Invalid("an image has axes N, H, W, C; " + x.text() + " has not");
    if (x[1] == 0 || x[2] == 0) throw Invalid("an image without pixels, " + x.text() + ", cannot be resized");
    if (inputs[0].type != Type::kF32) range_of(inputs[0].type);
    return {Layout(inputs[0].type,
                   Dims({x[0], coordinates_.result(0, x[1]), coordinates_.result(1, x[2]), x[3]}))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    if (linear_) return std::make_unique<BoundLinear>(kernels_, coordinates_, inputs[0], outputs[0]);
    return std::make_unique<BoundNearest>(coordinates_, inputs[0], outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  const kernels::Table& kernels_;
  Coordinates coordinates_;
  bool linear_;
};

}  // namespace

std::unique_ptr<Op> make_resize(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Resize>(attributes, kernels);
}

}  // namespace graphopt
