// What cumulate computes.

#include "ops/reductions.h"
#include "reference/numbers.h"

namespace graphopt {

namespace {

// Each sum anew.
template <typename Number>
void fill(const Attributes& attributes, const View& x, const View& y) {
  const Dims& dims = x.layout.dims;
  const std::int64_t axis = attributes.integer("axis");
  const bool reverse = attributes.integer("reverse") == 1;
  for (std::int64_t i = 0; i < dims.count(); ++i) {
    std::vector<std::int64_t> place = reference::place_of(dims, i);
    std::int64_t& at = place[static_cast<std::size_t>(axis)];
    const std::int64_t own = at;
    const std::int64_t step = reverse ? -1 : 1;
    const std::int64_t end = attributes.integer("exclusive") == 1 ? own : own + step;
    Number sum = 0;
    for (at = reverse ? dims[static_cast<int>(axis)] - 1 : 0; at != end; at += step) {
      sum = reductions::plus(sum, static_cast<const Number*>(x.data)[reference::index_of(dims, place)]);
    }
    static_cast<Number*>(y.data)[i] = sum;
  }
}

}  // namespace

void reference_cumulate(const Attributes& attributes, const std::vector<View>& inputs,
                        const std::vector<View>& outputs) {
  switch (inputs[0].layout.type) {
    case Type::kF32: return fill<float>(attributes, inputs[0], outputs[0]);
    case Type::kS32: return fill<std::int32_t>(attributes, inputs[0], outputs[0]);
    default: return fill<std::int64_t>(attributes, inputs[0], outputs[0]);
  }
}

}  // namespace graphopt
