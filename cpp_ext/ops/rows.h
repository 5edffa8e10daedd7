// Operators on rows of numbers: read as f32 or codes, written as f32 or codes, a row at a time.
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "ops/coding.h"
#include "ops/op.h"

namespace graphopt {

// Attributes x_scale and x_zero where the input is codes, y_type (f32 if it is missing), and for codes y_scale and
// y_zero.
class RowCoding {
 public:
  static constexpr std::int64_t kPiece = 512;
  using Piece = std::array<float, kPiece>;

  explicit RowCoding(const Attributes& attributes) {
    if (attributes.has("x_scale")) {
      x_scale_ = scale_of(attributes, "x_scale");
      x_zero_ = input_zero_of(attributes, "x_zero");
      codes_ = true;
    }
    if (attributes.has("y_type") && attributes.type("y_type") != Type::kF32) y_.emplace(attributes, "y_");
  }

  // The output's. Throws Invalid if the input is of another type than the attributes are for.
  Type type(const Layout& x) const {
    if (codes_) codes_in(x.type, x_zero_);
    if (!codes_ && x.type != Type::kF32) throw Invalid(std::string("codes of ") + name_of(x.type) + " need a scale");
    return y_ ? y_->type : Type::kF32;
  }

  // Numbers of a row from `begin` on, as they are or converted into `room`.
  const float* read(const kernels::Table& kernels, const Layout& x, const void* data, std::int64_t row,
                    std::int64_t begin, std::int64_t count, float* room) const {
    const std::int64_t at = row * x.pitch + begin;
    if (!codes_) return static_cast<const float*>(data) + at;
    kernels.dequantize(static_cast<const unsigned char*>(data) + at, room, static_cast<std::size_t>(count), x_scale_,
                       codes_in(x.type, x_zero_));
    return room;
  }

  // Where to put numbers of a row from `begin` on, before `write`: their place in the output, or `room`.
  float* target(const Layout& y, void* data, std::int64_t row, std::int64_t begin, float* room) const {
    return y_ ? room : static_cast<float*>(data) + row * y.pitch + begin;
  }

  // Writes what was put at `target`.
  void write(const kernels::Table& kernels, const Layout& y, void* data, std::int64_t row, std::int64_t begin,
             std::int64_t count, const float* room) const {
    if (!y_) return;
    const std::int64_t at = row * y.pitch + begin;
    kernels.quantize(room, static_cast<unsigned char*>(data) + at, static_cast<std::size_t>(count), y_->scale,
                     y_->kernel());
  }

  // Calls each(numbers, begin, count) for the pieces of a row, in order.
  template <typename Each>
  void pieces(const kernels::Table& kernels, const Layout& x, const void* data, std::int64_t row,
              const Each& each) const {
    Piece piece;
    for (std::int64_t begin = 0; begin < x.dims.columns(); begin += kPiece) {
      const std::int64_t count = std::min(kPiece, x.dims.columns() - begin);
      each(read(kernels, x, data, row, begin, count, piece.data()), begin, count);
    }
  }

  // Calls row(index) for all rows, some of them at a time.
  template <typename Row>
  static void each_row(ThreadPool& pool, const Layout& x, const Row& row) {
    each_rows(pool, x, 1, [&](std::int64_t first, std::size_t) { row(first); });
  }

  // Calls group(first, count) for groups of `most` rows, the last ones of a block fewer.
  template <typename Group>
  static void each_rows(ThreadPool& pool, const Layout& x, std::size_t most, const Group& group) {
    const std::int64_t rows = x.dims.columns() == 0 ? 0 : x.dims.rows();
    const auto step = static_cast<std::int64_t>(most);
    std::int64_t block = std::max<std::int64_t>(1, (1 << 12) / std::max<std::int64_t>(1, x.dims.columns()));
    block = (block + step - 1) / step * step;
    pool.run((rows + block - 1) / block, [&](std::int64_t index) {
      const std::int64_t end = std::min((index + 1) * block, rows);
      for (std::int64_t at = index * block; at < end; at += step) {
        group(at, static_cast<std::size_t>(std::min(step, end - at)));
      }
    });
  }

  bool writes_codes() const { return y_.has_value(); }

 private:
  bool codes_ = false;
  float x_scale_ = 1;
  int x_zero_ = 0;
  std::optional<Coding> y_;
};

// A sum whose order does not depend on the instruction set: kernels add to the lanes, and these are added up as a tree.
template <typename Number = float, std::size_t kCount = kernels::kLanes>
struct LaneSum {
  Number lanes[kCount] = {};

  Number total() const {
    Number sums[kCount];
    std::copy_n(lanes, kCount, sums);
    for (std::size_t half = kCount / 2; half != 0; half /= 2) {
      for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
    }
    return sums[0];
  }
};

}  // namespace graphopt
