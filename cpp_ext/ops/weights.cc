// sum((x - x_zero) * (w - zero)) = sum(x w) - zero * sum(x) - x_zero * sum(w) + count * x_zero * zero: all that needs
// no x goes into the bias.

#include "ops/weights.h"


#include "ops/codes.h"

namespace graphopt {

namespace {

const std::int8_t* weights_at(const Attributes& attributes, const WeightShape& shape, std::int64_t begin,
                              std::int64_t total) {
  const Array& array = attributes.array("weights", Type::kS8);
  const std::int64_t each = shape.segments * shape.depth;
  if (array.dims.count() != total * each) {
    throw Invalid("attribute 'weights' is " + array.dims.text() + ", not " + std::to_string(total) + " columns of " +
                  std::to_string(each));
  }
  return array.as<std::int8_t>() + begin * each;
}

}  // namespace

const std::vector<const char*>& Weights::names() {
  static const std::vector<const char*> all = {"weights", "weight_scale", "weight_zero", "bias", "x_scale", "x_zero"};
  return all;
}

Weights::Weights(const Attributes& attributes, const kernels::Gemm& kernel, WeightShape shape, std::int64_t begin,
                 std::int64_t total)
    : panels_(kernel, weights_at(attributes, shape, begin, total), shape.columns, shape.segments, shape.depth),
      x_zero_(attributes.integer_in("x_zero", -128, 255)),
      zeros_(panels_.shape().padded_columns()),
      bias_(panels_.shape().padded_columns()) {
  const float x_scale = scale_of(attributes, "x_scale");
  const auto scales = scales_by_column(attributes, "weight_scale", total);
  const auto zeros = integers_by_column(attributes, "weight_zero", total);
  if (attributes.has("bias") && attributes.array("bias", Type::kS32).dims.count() != total) {
    throw Invalid("attribute 'bias' is not of " + std::to_string(total) + " elements");
  }
  const auto bias = integers_by_column(attributes, "bias", total);
  for (std::int64_t n = 0; n < shape.columns; ++n) {
    const auto at = static_cast<std::size_t>(begin + n);
    scales_.push_back(x_scale * scales[at]);
    zeros_[n] = zeros[at];
    bias_[n] = bias[at];
    asymmetric_ = asymmetric_ || zeros[at] != 0;
  }
}

void Weights::expect_codes(Type type) const {
  const CodeRange range = range_of(type);
  if (x_zero_ < range.low || x_zero_ > range.high) {
    throw Invalid("attribute 'x_zero' is " + std::to_string(x_zero_) + ", no code of " + name_of(type));
  }
}

Folded Weights::fold(Type type) const {
  Folded folded{type == Type::kS8, Aligned<std::int32_t>(panels_.shape().padded_columns())};
  const auto zero = static_cast<std::uint32_t>(x_zero_ + (folded.flip ? 128 : 0));
  const auto count = static_cast<std::uint32_t>(panels_.shape().segments() * panels_.shape().depth());
  for (std::int64_t n = 0; n < panels_.shape().columns(); ++n) {
    const auto sum = static_cast<std::uint32_t>(panels_.sum(n));
    const auto weight_zero = static_cast<std::uint32_t>(zeros_[n]);
    folded.bias[n] =
        static_cast<std::int32_t>(static_cast<std::uint32_t>(bias_[n]) - zero * sum + count * zero * weight_zero);
  }
  return folded;
}

}  // namespace graphopt
