// reduce_mean: means over some axes, of f32 or codes. Attributes `axes`, `keepdims` 0 or 1, and those of averaging.h.
// Floats that lie one behind the other are added up in the lanes of rows.h, others one by one.

#include <algorithm>

#include "ops/averaging.h"
#include "ops/broadcast.h"
#include "ops/rows.h"

namespace graphopt {

namespace {

class BoundReduceMean final : public Bound {
 public:
  // `kept` are loops in the input and the output, `taken` in the input alone; at most two of these.
  BoundReduceMean(const kernels::Table& kernels, Type type, std::vector<Loop> kept, const std::vector<Loop>& taken,
                  std::int64_t count, const kernels::Average& average)
      : kernels_(kernels), type_(type), outer_(std::move(kept)), count_(count), average_(average) {
    Loop channels{1, {1, 1}};
    if (!outer_.empty() && outer_.back().strides[0] == 1) {
      channels = outer_.back();
      outer_.pop_back();
    }
    const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
    const Loop once{1, {0}};
    const Loop& rows = taken.size() > 1 ? taken[0] : once;
    const Loop& taps = taken.empty() ? once : taken.back();
    window_ = {size(rows.size), size(rows.strides[0]), size(taps.size), size(taps.strides[0]), 1, 0, 0, size(channels.size)};
    for (const Loop& loop : outer_) units_ *= loop.size;
    is_row_ = taken.size() == 1 && taps.strides[0] == 1;
    block_ = std::max<std::int64_t>(1, kBlockElements / std::max<std::int64_t>(1, count_ * channels.size));
  }

  void run(const Run& run) const override {
    run.pool.run((units_ + block_ - 1) / block_, [&](std::int64_t block) {
      const std::int64_t end = std::min((block + 1) * block_, units_);
      if (is_row_ && type_ == Type::kF32 && outer_.size() <= 1) {
        means_of_rows(run, block * block_, end);
        return;
      }
      for (std::int64_t unit = block * block_; unit < end; ++unit) mean_of(run, unit);
    });
  }

 private:
  // Elements that are averaged at a time.
  static constexpr std::int64_t kBlockElements = 1 << 13;

  void mean_of(const Run& run, std::int64_t unit) const {
    std::int64_t places[] = {0, 0};
    advance(outer_, unit, places);
    const auto [at, into] = places;
    if (is_row_) {
      mean_of_row(run.inputs[0], at, run.outputs[0], into);
    } else if (type_ == Type::kF32) {
      kernels_.average_pool_f32(static_cast<const float*>(run.inputs[0]) + at,
                                static_cast<float*>(run.outputs[0]) + into, window_, static_cast<float>(count_));
    } else {
      kernels_.average_pool(static_cast<const unsigned char*>(run.inputs[0]) + at,
                            static_cast<unsigned char*>(run.outputs[0]) + into, window_, average_);
    }
  }

  // Of rows that are evenly apart.
  void means_of_rows(const Run& run, std::int64_t begin, std::int64_t end) const {
    const Loop loop = outer_.empty() ? Loop{1, {0, 0}} : outer_.front();
    const auto* from = static_cast<const float*>(run.inputs[0]);
    auto* to = static_cast<float*>(run.outputs[0]);
    const auto pitch = static_cast<std::size_t>(loop.strides[0]);
    constexpr auto kStep = static_cast<std::int64_t>(kernels::kRowsAtOnce);
    float sums[kStep];
    for (std::int64_t row = begin; row < end; row += kStep) {
      const std::int64_t rows = std::min(kStep, end - row);
      kernels_.rows.sums(from + row * loop.strides[0], pitch, static_cast<std::size_t>(rows), window_.taps, sums);
      for (std::int64_t i = 0; i < rows; ++i) to[(row + i) * loop.strides[1]] = sums[i] / static_cast<float>(count_);
    }
  }

  void mean_of_row(const void* from, std::int64_t at, void* to, std::int64_t into) const {
    const std::size_t count = window_.taps;
    if (type_ == Type::kF32) {
      float sum;
      kernels_.rows.sums(static_cast<const float*>(from) + at, 0, 1, count, &sum);
      static_cast<float*>(to)[into] = sum / static_cast<float>(count_);
      return;
    }
    const auto* codes = static_cast<const unsigned char*>(from) + at;
    const std::int32_t sum = kernels_.row_sum(codes, count_, average_.flip != 0) - average_.zeros;
    const float value = static_cast<float>(sum) * average_.factor;
    kernels_.quantize(&value, static_cast<unsigned char*>(to) + into, 1, 1, average_.y);
  }

  const kernels::Table& kernels_;
  Type type_;
  std::vector<Loop> outer_;
  std::int64_t count_;
  kernels::Average average_;
  kernels::Window window_{};
  std::int64_t units_ = 1;
  std::int64_t block_;
  bool is_row_;
};

class ReduceMean final : public Op {
 public:
  ReduceMean(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        averaging_(attributes),
        axes_(attributes.integers("axes")),
        keep_(attributes.integer_in("keepdims", 0, 1) == 1) {
    attributes.only({"axes", "keepdims", "x_scale", "x_zero", "y_type", "y_scale", "y_zero"});
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    const Dims& x = inputs[0].dims;
    const std::vector<bool> taken = taken_of(x);
    std::vector<std::int64_t> sizes;
    for (int axis = 0; axis < x.rank(); ++axis) {
      if (!taken[static_cast<std::size_t>(axis)]) {
        sizes.push_back(x[axis]);
      } else if (keep_) {
        sizes.push_back(1);
      }
    }
    if (count_of(x) == 0) throw Invalid("the mean of no elements is undefined");
    if (count_of(x) > kMostAveraged) throw Invalid(x.text() + " is too large to add up");
    if (loops_of(x, strides_of(Layout(inputs[0].type, x)), true).size() > 2) {
      throw Invalid("means over more than two separate groups of axes");
    }
    return {Layout(averaging_.type(inputs[0].type), Dims(sizes))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    const Layout& x = inputs[0];
    const std::int64_t count = count_of(x.dims);
    return std::make_unique<BoundReduceMean>(kernels_, x.type, loops_of(x.dims, strides_of(x), false),
                                             loops_of(x.dims, strides_of(x), true), count,
                                             averaging_.average(x.type, count, count));
  }

 private:
  std::vector<bool> taken_of(const Dims& x) const {
    std::vector<bool> taken(static_cast<std::size_t>(x.rank()));
    for (const std::int64_t given : axes_) {
      const std::int64_t axis = given < 0 ? given + x.rank() : given;
      if (axis < 0 || axis >= x.rank() || taken[static_cast<std::size_t>(axis)]) {
        throw Invalid("attribute 'axes' does not fit " + x.text());
      }
      taken[static_cast<std::size_t>(axis)] = true;
    }
    return taken;
  }

  std::int64_t count_of(const Dims& x) const {
    std::int64_t count = 1;
    for (const std::int64_t axis : axes_) count *= x[static_cast<int>(axis)];
    return count;
  }

  // Over the axes that are taken, or those that are kept, with their distances in the output.
  std::vector<Loop> loops_of(const Dims& x, const std::vector<std::int64_t>& strides, bool taken) const {
    const std::vector<bool> is_taken = taken_of(x);
    std::vector<Loop> loops;
    std::int64_t to = 1;
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      const auto at = static_cast<std::size_t>(axis);
      if (is_taken[at] == taken) {
        loops.insert(loops.begin(), {x[axis], {strides[at], to}});
      }
      if (taken) {
        if (is_taken[at]) loops.front().strides.pop_back();
      } else if (!is_taken[at]) {
        to *= x[axis];
      }
    }
    return merged(loops);
  }

  const kernels::Table& kernels_;
  Averaging averaging_;
  Integers axes_;
  bool keep_;
};

}  // namespace

std::unique_ptr<Op> make_reduce_mean(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<ReduceMean>(attributes, kernels);
}

}  // namespace graphopt
