// Which values share memory.

#include "engine/plan.h"

namespace graphopt {

Pieces share(const std::vector<PlannedStep>& steps, const Values& values) {
  Pieces pieces;
  Plan& plan = pieces.plan;
  plan.layouts = values.layouts;
  plan.places.resize(values.layouts.size());
  pieces.piece.assign(values.layouts.size(), -1);
  plan.runs.assign(steps.size(), true);
  plan.in_place.assign(steps.size(), false);
  std::vector<std::int64_t> first(values.layouts.size(), 0), last(values.layouts.size(), 0);
  for (std::size_t s = 0; s < steps.size(); ++s) {
    for (int v : steps[s].outputs) first[v] = last[v] = s;
    for (int v : steps[s].inputs) last[v] = s;
  }
  for (std::size_t o = 0; o < values.outputs.size(); ++o) {
    last[values.outputs[o]] = steps.size();
    plan.copies.push_back(o);
  }
  for (std::size_t v = 0; v < values.layouts.size(); ++v) {
    const int i = static_cast<int>(v);
    if (i < values.inputs) plan.places[v] = {Memory::kInput, i, 0};
    else if (i < values.inputs + values.constants) plan.places[v] = {Memory::kConstant, i - values.inputs, 0};
    else {
      pieces.piece[v] = static_cast<int>(pieces.ranges.size());
      pieces.ranges.push_back({first[v], last[v], static_cast<std::int64_t>(values.layouts[v].bytes())});
    }
  }
  return pieces;
}

}  // namespace graphopt
