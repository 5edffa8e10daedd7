// What cast computes.

#include "ops/conversion.h"
#include "reference/numbers.h"

namespace graphopt {

namespace {

template <typename From>
void put(const View& y, std::int64_t i, From x) {
  switch (y.layout.type) {
    case Type::kF32: static_cast<float*>(y.data)[i] = converted<float>(x); break;
    case Type::kU8: static_cast<std::uint8_t*>(y.data)[i] = converted<std::uint8_t>(x); break;
    case Type::kS8: static_cast<std::int8_t*>(y.data)[i] = converted<std::int8_t>(x); break;
    case Type::kS32: static_cast<std::int32_t*>(y.data)[i] = converted<std::int32_t>(x); break;
    case Type::kS64: static_cast<std::int64_t*>(y.data)[i] = converted<std::int64_t>(x); break;
    case Type::kBool: static_cast<std::uint8_t*>(y.data)[i] = is_true(x); break;
  }
}

}  // namespace

void reference_cast(const Attributes&, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  for (std::int64_t i = 0; i < inputs[0].layout.dims.count(); ++i) {
    if (inputs[0].layout.type == Type::kF32) {
      put(outputs[0], i, reference::float_at(inputs[0], i));
    } else {
      put(outputs[0], i, reference::integer_at(inputs[0], i));
    }
  }
}

}  // namespace graphopt
