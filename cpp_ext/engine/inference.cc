// Small values are computed as a run would: by the operators themselves.

#include "engine/inference.h"

#include <algorithm>

namespace graphopt {

namespace {

// Of a value that may be known.
constexpr std::int64_t kMostElements = 1024;

bool is_small(const Layout& layout) { return layout.dims.count() <= kMostElements; }

}  // namespace

Layout Inference::constant(Type type, const Dims& dims, const void* data) {
  Layout layout(type, dims);
  static constexpr unsigned char kNone = 0;
  if (is_small(layout)) layout.elements = layout.bytes() == 0 ? &kNone : data;
  return layout;
}

Layouts Inference::outputs(const Op& op, const Layouts& inputs) {
  Layouts outputs = op.infer(inputs);
  const bool known = op.of_sizes() || (!inputs.empty() && std::all_of(inputs.begin(), inputs.end(), [](const Layout& each) {
                                         return each.elements != nullptr;
                                       }));
  if (!known || !std::all_of(outputs.begin(), outputs.end(), is_small)) return outputs;
  std::vector<const void*> from;
  std::vector<void*> to;
  for (const Layout& each : inputs) from.push_back(each.elements);
  for (const Layout& each : outputs) {
    memory_.emplace_back(each.bytes() + 1);
    to.push_back(memory_.back().data());
  }
  const std::unique_ptr<Bound> bound = op.bind(inputs, outputs);
  std::vector<unsigned char> workspace(bound->workspace() + kAlignment);
  const auto address = reinterpret_cast<std::uintptr_t>(workspace.data());
  bound->run({from.data(), to.data(), workspace.data() + (kAlignment - address % kAlignment) % kAlignment, pool_});
  for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i].elements = to[i];
  return outputs;
}

}  // namespace graphopt
