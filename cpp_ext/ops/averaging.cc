// What means of codes are multiplied with.

#include "ops/averaging.h"

namespace graphopt {

Averaging::Averaging(const Attributes& attributes) : codes_(attributes.has("y_type")) {
  if (!codes_) return;
  x_scale_ = scale_of(attributes, "x_scale");
  x_zero_ = input_zero_of(attributes, "x_zero");
  y_ = Coding(attributes, "y_");
}

Type Averaging::type(Type input) const {
  if (codes_) {
    codes_in(input, x_zero_);
    return y_.type;
  }
  if (input != Type::kF32) throw Invalid(std::string("the mean of ") + name_of(input) + " needs scales and zero points");
  return input;
}

kernels::AverageNumbers Averaging::numbers(Type input) const {
  if (!codes_) return {};
  return {codes_in(input, x_zero_), x_scale_, 1, y_.scale, static_cast<float>(y_.zero), y_.shifted()};
}

kernels::Average Averaging::average(Type input, std::int64_t taps, std::int64_t count) const {
  if (!codes_) return {};
  const kernels::CodesIn in = codes_in(input, x_zero_);
  return {in.flip, static_cast<std::int32_t>(taps) * static_cast<std::int32_t>(in.zero),
          x_scale_ / (y_.scale * static_cast<float>(count)), y_.kernel()};
}

}  // namespace graphopt
