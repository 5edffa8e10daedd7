// where: elements of the second input where the first is true, of the third elsewhere; of any one type, with numpy's
// broadcasting.

#include <algorithm>

#include "ops/broadcast.h"

namespace graphopt {

namespace {

// The values of a loop: condition, both operands, result.
constexpr std::size_t kValues = 4;
using Offsets = std::int64_t[kValues];

constexpr std::int64_t kBlockElements = 1 << 13;

template <typename Element>
void choose(const void* const* inputs, void* output, const Offsets& at, const Offsets& step, std::int64_t count) {
  const auto* condition = static_cast<const unsigned char*>(inputs[0]) + at[0];
  const Element* a = static_cast<const Element*>(inputs[1]) + at[1];
  const Element* b = static_cast<const Element*>(inputs[2]) + at[2];
  Element* y = static_cast<Element*>(output) + at[3];
  if (step[0] == 1 && step[1] == 1 && step[2] == 1) {
    for (std::int64_t i = 0; i < count; ++i) y[i] = condition[i] != 0 ? a[i] : b[i];
  } else if (step[0] == 1 && step[1] == 0 && step[2] == 1) {
    const Element value = *a;
    for (std::int64_t i = 0; i < count; ++i) y[i] = condition[i] != 0 ? value : b[i];
  } else if (step[0] == 1 && step[1] == 1 && step[2] == 0) {
    const Element value = *b;
    for (std::int64_t i = 0; i < count; ++i) y[i] = condition[i] != 0 ? a[i] : value;
  } else {
    for (std::int64_t i = 0; i < count; ++i) {
      y[i * step[3]] = condition[i * step[0]] != 0 ? a[i * step[1]] : b[i * step[2]];
    }
  }
}

class BoundWhere final : public Bound {
 public:
  BoundWhere(const Layouts& inputs, const Layout& y) : size_(size_of(y.type)) {
    if (y.dims.count() == 0) return;
    outer_ = merged(loops_over(y, {&inputs[0], &inputs[1], &inputs[2], &y}));
    if (!outer_.empty()) {
      line_ = outer_.back();
      outer_.pop_back();
    }
    std::copy_n(line_.strides.begin(), kValues, step_);
    lines_ = 1;
    for (const Loop& loop : outer_) lines_ *= loop.size;
    parts_ = (line_.size + kBlockElements - 1) / kBlockElements;
    lines_at_once_ = std::max<std::int64_t>(1, kBlockElements / line_.size);
  }

  void run(const Run& run) const override {
    const std::int64_t groups = (lines_ + lines_at_once_ - 1) / lines_at_once_;
    run.pool.run(groups * parts_, [&](std::int64_t block) {
      const std::int64_t first = block / parts_ * lines_at_once_;
      const std::int64_t begin = block % parts_ * kBlockElements;
      const std::int64_t count = std::min(kBlockElements, line_.size - begin);
      for (std::int64_t line = first; line < std::min(first + lines_at_once_, lines_); ++line) {
        part_of(run, line, begin, count);
      }
    });
  }

 private:
  void part_of(const Run& run, std::int64_t line, std::int64_t begin, std::int64_t count) const {
    Offsets at;
    for (std::size_t value = 0; value < kValues; ++value) at[value] = begin * step_[value];
    advance(outer_, line, at);
    switch (size_) {
      case 1: choose<std::uint8_t>(run.inputs, run.outputs[0], at, step_, count); break;
      case 4: choose<std::uint32_t>(run.inputs, run.outputs[0], at, step_, count); break;
      default: choose<std::uint64_t>(run.inputs, run.outputs[0], at, step_, count); break;
    }
  }

  std::size_t size_;
  std::vector<Loop> outer_;
  Loop line_{1, {0, 0, 0, 0}};
  Offsets step_{};
  std::int64_t lines_ = 0;
  std::int64_t lines_at_once_ = 1;
  std::int64_t parts_ = 1;
};

class Where final : public Op {
 public:
  explicit Where(const Attributes& attributes) { attributes.only({}); }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 3);
    if (inputs[0].type != Type::kBool) throw Invalid(std::string("a condition is bool, not ") + name_of(inputs[0].type));
    if (inputs[1].type != inputs[2].type) throw Invalid("both operands are of one type");
    return {Layout(inputs[1].type, broadcast(inputs[0].dims, broadcast(inputs[1].dims, inputs[2].dims)))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundWhere>(inputs, outputs[0]);
  }

  bool in_place(std::size_t index, const Layouts&) const override { return index > 0; }
  bool pitched() const override { return true; }
};

}  // namespace

std::unique_ptr<Op> make_where(const Attributes& attributes, const kernels::Table&) {
  return std::make_unique<Where>(attributes);
}

}  // namespace graphopt
