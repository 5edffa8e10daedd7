// What recurrent networks compute step by step, an element at a time.
#pragma once

#include <vector>

#include "reference/float_products.h"
#include "reference/functions.h"

namespace graphopt {

using Floats = std::vector<float>;

// One row of a batch in one direction.
class ReferenceLane {
 public:
  // `gates`: so many; lanes are those of the output [T, D, B, H], `lane` of D * B.
  ReferenceLane(const Attributes& attributes, const std::vector<View>& inputs, const View& output, std::int64_t gates,
                std::int64_t lane)
      : weights_(attributes.array("weights", Type::kF32).as<float>()),
        recurrence_(attributes.array("recurrence", Type::kF32).as<float>()),
        bias_(attributes.array("bias", Type::kF32).as<float>()),
        inputs_(inputs),
        output_(output),
        gates_(gates),
        lane_(lane),
        reverse_(direction() == 1 || attributes.integer("reverse", 0) == 1) {}

  std::int64_t size() const { return output_.layout.dims[3]; }
  std::int64_t direction() const { return lane_ / output_.layout.dims[2]; }

  // What input `index`, if there is one, says of the beginning; else zeros.
  Floats state(std::size_t index) const {
    Floats values(static_cast<std::size_t>(size()));
    for (std::int64_t n = 0; n < size() && index < inputs_.size(); ++n) {
      values[static_cast<std::size_t>(n)] = reference::float_at(inputs_[index], lane_ * size() + n);
    }
    return values;
  }

  // Column `column` of the gates: what x gives, and to it what h does.
  float gate(std::int64_t step, std::int64_t column, const Floats& h) const {
    PartSum sum;
    sum.end_part();
    sum.add_whole(read(step, column));
    const float* weights = recurrence_ + (direction() * gates_ * size() + column) * size();
    for (std::int64_t k = 0; k < size(); ++k) {
      sum.add(h[static_cast<std::size_t>(k)], weights[k]);
      if (k + 1 == size() || (k + 1) % 256 == 0) sum.end_part();
    }
    return sum.total();
  }

  // What x gives.
  float read(std::int64_t step, std::int64_t column) const {
    const Dims& x = inputs_[0].layout.dims;
    const std::int64_t row = step * x[1] + lane_ % x[1];
    const std::int64_t at = direction() * gates_ * size() + column;
    return matrix_product(
        x[2], bias_[at], [&](std::int64_t k) { return reference::float_at(inputs_[0], row * x[2] + k); },
        [&](std::int64_t k) { return weights_[at * x[2] + k]; });
  }

  // What h gives to a column of the gates, with a bias.
  float recall(const Floats& h, std::int64_t column, float bias) const {
    const std::int64_t at = direction() * gates_ * size() + column;
    return matrix_product(
        size(), bias, [&](std::int64_t k) { return h[static_cast<std::size_t>(k)]; },
        [&](std::int64_t k) { return recurrence_[at * size() + k]; });
  }

  // Calls next(step), which gives the next h, for all steps in order, and writes what it gives.
  template <typename Next>
  void each_step(const Next& next) const {
    const std::int64_t steps = inputs_[0].layout.dims[0];
    for (std::int64_t i = 0; i < steps; ++i) {
      const std::int64_t step = reverse_ ? steps - 1 - i : i;
      write(step, next(step));
    }
  }

  void write(std::int64_t step, const Floats& h) const {
    const Dims& y = output_.layout.dims;
    for (std::int64_t n = 0; n < size(); ++n) {
      reference::float_at(output_, (step * y[1] * y[2] + lane_) * size() + n) = h[static_cast<std::size_t>(n)];
    }
  }

 private:
  const float* weights_;
  const float* recurrence_;
  const float* bias_;
  const std::vector<View>& inputs_;
  const View& output_;
  std::int64_t gates_;
  std::int64_t lane_;
  bool reverse_;
};

}  // namespace graphopt
