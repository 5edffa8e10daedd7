// What reduce computes: the reduction of reductions.h by that name.

#include "ops/reductions.h"

#include <algorithm>

#include "reference/numbers.h"

namespace graphopt {

namespace {

template <typename Reduction, typename Number>
Number reduced(const std::vector<Number>& numbers, bool along) {
  Number lanes[reductions::kLanes];
  std::fill_n(lanes, reductions::kLanes, Reduction::kStart);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    Number& lane = lanes[along ? i % reductions::kLanes : 0];
    lane = Reduction::combined(lane, Reduction::taken(numbers[i]));
  }
  return along ? reductions::total<Reduction>(lanes) : lanes[0];
}

template <typename Number>
void fill(const Attributes& attributes, const View& from, const View& to) {
  const std::string op = attributes.text("op");
  const Dims& x = from.layout.dims;
  std::vector<bool> taken(static_cast<std::size_t>(x.rank()));
  for (const std::int64_t axis : attributes.integers("axes")) taken[static_cast<std::size_t>(axis)] = true;
  std::vector<std::vector<Number>> groups(static_cast<std::size_t>(to.layout.dims.count()));
  for (std::int64_t i = 0; i < x.count(); ++i) {
    const std::vector<std::int64_t> place = reference::place_of(x, i);
    std::int64_t group = 0;
    for (std::size_t axis = 0; axis < place.size(); ++axis) {
      if (!taken[axis]) group = group * x[static_cast<int>(axis)] + place[axis];
    }
    groups[static_cast<std::size_t>(group)].push_back(static_cast<const Number*>(from.data)[i]);
  }
  const bool along = reductions::is_along(x, taken);
  for (std::size_t group = 0; group < groups.size(); ++group) {
    Number& result = static_cast<Number*>(to.data)[group];
#define REDUCTION(name, start, term, both) \
  if (op == #name) result = reduced<reductions::name<Number>>(groups[group], along);
    GRAPHOPT_REDUCTIONS(REDUCTION)
#undef REDUCTION
  }
}

}  // namespace

void reference_reduce(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  switch (inputs[0].layout.type) {
    case Type::kF32: return fill<float>(attributes, inputs[0], outputs[0]);
    case Type::kS32: return fill<std::int32_t>(attributes, inputs[0], outputs[0]);
    default: return fill<std::int64_t>(attributes, inputs[0], outputs[0]);
  }
}

}  // namespace graphopt
