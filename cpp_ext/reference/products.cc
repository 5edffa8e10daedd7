#include "reference/products.h"

#include "ops/codes.h"

namespace graphopt {

namespace {

std::vector<float> scales_of(const Attributes& attributes, std::int64_t columns) {
  const float x_scale = attributes.number("x_scale");
  std::vector<float> scales = scales_by_column(attributes, "weight_scale", columns);
  for (float& scale : scales) scale = x_scale * scale;
  return scales;
}

}  // namespace

ReferenceProducts::ReferenceProducts(const Attributes& attributes, const std::vector<View>& inputs,
                                     const std::vector<View>& outputs)
    : inputs_(inputs),
      output_(outputs[0]),
      weights_(attributes.array("weights", Type::kS8)),
      columns_(weights_.dims[0]),
      depth_(weights_.dims[weights_.dims.rank() - 1]),
      x_zero_(attributes.integer("x_zero")),
      zeros_(integers_by_column(attributes, "weight_zero", columns_)),
      bias_(integers_by_column(attributes, "bias", columns_)),
      epilogue_(attributes, scales_of(attributes, columns_)) {}

std::int64_t ReferenceProducts::sum(std::int64_t first, std::int64_t n, std::int64_t tap) const {
  const std::int64_t taps = columns_ * depth_ > 0 ? weights_.dims.count() / (columns_ * depth_) : 0;
  const std::int8_t* weights = weights_.as<std::int8_t>() + (n * taps + tap) * depth_;
  std::int64_t sum = 0;
  for (std::int64_t k = 0; k < depth_; ++k) {
    sum += (static_cast<std::int64_t>(read(inputs_[0], first + k)) - x_zero_) *
           (std::int64_t{weights[k]} - zeros_[static_cast<std::size_t>(n)]);
  }
  return sum;
}

void ReferenceProducts::put(std::int64_t at, std::int64_t n, std::int64_t sum) const {
  const auto acc = static_cast<std::int32_t>(sum + bias_[static_cast<std::size_t>(n)]);
  write(output_, at, epilogue_.value(acc, n, inputs_.size() > 1 ? read(inputs_[1], at) : 0));
}

}  // namespace graphopt
