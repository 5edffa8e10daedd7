// What reduce computes: the reduction of reductions.h by that name.

#include "ops/reductions.h"

#include <algorithm>

#include "reference/numbers.h"

namespace graphopt {

namespace {

template <typename Reduction>
float reduced(const std::vector<float>& numbers, bool along) {
  float lanes[reductions::kLanes];
  std::fill_n(lanes, reductions::kLanes, Reduction::kStart);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    float& lane = lanes[along ? i % reductions::kLanes : 0];
    lane = Reduction::combined(lane, Reduction::taken(numbers[i]));
  }
  return along ? reductions::total<Reduction>(lanes) : lanes[0];
}

}  // namespace

void reference_reduce(const Attributes& attributes, const std::vector<View>& inputs, const std::vector<View>& outputs) {
  const std::string op = attributes.text("op");
  const Dims& x = inputs[0].layout.dims;
  std::vector<bool> taken(static_cast<std::size_t>(x.rank()));
  for (const std::int64_t axis : attributes.integers("axes")) taken[static_cast<std::size_t>(axis)] = true;
  std::vector<std::vector<float>> groups(static_cast<std::size_t>(outputs[0].layout.dims.count()));
  for (std::int64_t i = 0; i < x.count(); ++i) {
    const std::vector<std::int64_t> place = reference::place_of(x, i);
    std::int64_t group = 0;
    for (std::size_t axis = 0; axis < place.size(); ++axis) {
      if (!taken[axis]) group = group * x[static_cast<int>(axis)] + place[axis];
    }
    groups[static_cast<std::size_t>(group)].push_back(reference::float_at(inputs[0], i));
  }
  const bool along = reductions::is_along(x, taken);
  for (std::size_t group = 0; group < groups.size(); ++group) {
    float& result = reference::float_at(outputs[0], static_cast<std::int64_t>(group));
#define REDUCTION(name, start, term, both) \
  if (op == #name) result = reduced<reductions::name>(groups[group], along);
    GRAPHOPT_REDUCTIONS(REDUCTION)
#undef REDUCTION
  }
}

}  // namespace graphopt
