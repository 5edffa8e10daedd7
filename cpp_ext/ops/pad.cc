// pad: more elements before and behind, or, where amounts are negative, fewer; f32 and codes.
//
// Attributes: `pads`, before each axis and then behind each; `mode`, "constant" (the default), "edge" or "reflect";
// `value` of the constant: a number, or a code as it is stored.

#include <cstring>

#include "ops/padding.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlockElements = 1 << 14;

class BoundPad final : public Bound {
 public:
  BoundPad(const Padding& padding, const Layout& x, const Layout& y)
      : x_(x), y_(y), size_(size_of(x.type)), value_(padding.value(x.type)) {
    for (int axis = 0; axis < y.dims.rank(); ++axis) {
      sources_.emplace_back();
      for (std::int64_t i = 0; i < y.dims[axis]; ++i) sources_.back().push_back(padding.source(axis, i, x.dims));
    }
    if (sources_.empty()) sources_.push_back({0});
    // The elements of a row that follow each other in both.
    const std::vector<std::int64_t>& columns = sources_.back();
    while (first_ < columns.size() && columns[first_] != 0) ++first_;
    last_ = first_;
    while (last_ < columns.size() && columns[last_] == static_cast<std::int64_t>(last_ - first_)) ++last_;
  }

  void run(const Run& run) const override {
    const std::int64_t rows = y_.dims.rows();
    const std::int64_t block = std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(1, y_.dims.columns()));
    run.pool.run((rows + block - 1) / block, [&](std::int64_t index) {
      const std::int64_t end = std::min((index + 1) * block, rows);
      for (std::int64_t row = index * block; row < end; ++row) fill(run, row);
    });
  }

 private:
  void fill(const Run& run, std::int64_t row) const {
    const auto pitch = [&](const Layout& layout) { return layout.pitch * static_cast<std::int64_t>(size_); };
    auto* to = static_cast<unsigned char*>(run.outputs[0]) + row * pitch(y_);
    std::int64_t source = 0;
    std::int64_t stride = 1;
    bool inside = true;
    for (int axis = y_.dims.rank() - 2; axis >= 0; --axis) {
      const std::int64_t at = sources_[static_cast<std::size_t>(axis)][static_cast<std::size_t>(row % y_.dims[axis])];
      inside = inside && at >= 0;
      source += at * stride;
      stride *= x_.dims[axis];
      row /= y_.dims[axis];
    }
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]) + (inside ? source * pitch(x_) : 0);
    const std::vector<std::int64_t>& columns = sources_.back();
    const auto one = [&](std::size_t i) {
      const bool known = inside && columns[i] >= 0;
      std::memcpy(to + i * size_, known ? from + static_cast<std::size_t>(columns[i]) * size_ : value_.data(), size_);
    };
    if (!inside) {
      for (std::size_t i = 0; i < columns.size(); ++i) one(i);
      return;
    }
    for (std::size_t i = 0; i < first_; ++i) one(i);
    if (last_ > first_) std::memcpy(to + first_ * size_, from, (last_ - first_) * size_);
    for (std::size_t i = last_; i < columns.size(); ++i) one(i);
  }

  Layout x_;
  Layout y_;
  std::size_t size_;
  std::array<unsigned char, 4> value_;
  std::vector<std::vector<std::int64_t>> sources_;  // of each axis, where each element comes from; -1: the value
  std::size_t first_ = 0;
  std::size_t last_ = 0;
};

class Pad final : public Op {
 public:
  explicit Pad(const Attributes& attributes) : padding_(attributes) { attributes.only({"pads", "mode", "value"}); }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    padding_.value(inputs[0].type);
    return {Layout(inputs[0].type, padding_.result(inputs[0].dims))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundPad>(padding_, inputs[0], outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  Padding padding_;
};

}  // namespace

std::unique_ptr<Op> make_pad(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Pad>(attributes);
}

}  // namespace graphopt
