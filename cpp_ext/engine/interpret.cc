// The interpreter: what a program computes, by its operators' references.

#include <cstring>

#include "engine/program.h"

namespace graphopt {

std::vector<Computed> interpret(const Graph& graph, const std::vector<View>& inputs) {
  check(graph);
  if (inputs.size() != graph.inputs.size()) throw Invalid("a wrong number of inputs");
  std::vector<View> values = inputs;
  for (const auto& constant : graph.constants) {
    values.push_back({Layout(constant->type, constant->dims), const_cast<unsigned char*>(constant->bytes.data())});
  }
  std::vector<std::vector<unsigned char>> memory;
  for (std::size_t i = 0; i < graph.steps.size(); ++i) {
    const Step& step = graph.steps[i];
    const Kind& kind = kind_named(step.kind);
    std::vector<View> given, wanted;
    Layouts layouts;
    for (const int input : step.inputs) {
      given.push_back(values[static_cast<std::size_t>(input)]);
      layouts.push_back(given.back().layout);
      layouts.back().elements = given.back().data;
    }
    try {
      const auto op = kind.make(*step.attributes, kernels::table_of(kernels::Tier::scalar));
      for (const Layout& layout : op->infer(layouts)) {
        expect_memory(layout.bytes());
        memory.emplace_back(layout.bytes() + 1);
        wanted.push_back({layout, memory.back().data()});
      }
      if (wanted.size() != static_cast<std::size_t>(step.outputs)) throw Invalid("gives a wrong number of outputs");
      kind.reference(*step.attributes, given, wanted);
    } catch (const Invalid& error) {
      throw Invalid(title(graph, i) + ": " + error.what());
    }
    values.insert(values.end(), wanted.begin(), wanted.end());
  }
  std::vector<Computed> results;
  for (const Result& output : graph.outputs) {
    const View& value = values[static_cast<std::size_t>(output.value)];
    const auto* first = static_cast<const unsigned char*>(value.data);
    results.push_back({value.layout, std::vector<unsigned char>(first, first + value.layout.bytes())});
  }
  return results;
}

}  // namespace graphopt
