// What must hold of a graph before anything is made of it.

#include "engine/graph.h"

#include <set>

namespace graphopt {

namespace {

constexpr int kMostOutputs = 64;  // of one step

template <typename Named>
void expect_names(const std::vector<Named>& all, const char* what) {
  std::set<std::string> known;
  for (const Named& each : all) {
    if (each.name.empty()) throw Invalid(std::string(what) + " has no name");
    if (!known.insert(each.name).second) throw Invalid(std::string("two of the ") + what + "s are named '" + each.name + "'");
  }
}

}  // namespace

std::string title(const Graph& graph, std::size_t step) {
  const Step& each = graph.steps[step];
  return "step " + std::to_string(step) + ", " + each.kind + (each.name.empty() ? "" : " '" + each.name + "'");
}

void check(const Graph& graph) {
  expect_names(graph.inputs, "input");
  expect_names(graph.outputs, "output");
  for (const Port& input : graph.inputs) {
    if (input.axes.size() > static_cast<std::size_t>(kMaxRank)) throw Invalid("input '" + input.name + "' has too many axes");
    std::vector<std::int64_t> fixed;
    for (const Axis& axis : input.axes) {
      if (axis.size < 0 && axis.symbol.empty()) throw Invalid("input '" + input.name + "' has an axis without size and name");
      fixed.push_back(axis.size < 0 ? 1 : axis.size);
    }
    static_cast<void>(Dims(fixed));
  }
  for (const auto& constant : graph.constants) {
    if (constant->bytes.size() != Layout(constant->type, constant->dims).bytes()) {
      throw Invalid("a constant has not the bytes of its shape " + constant->dims.text());
    }
  }
  std::int64_t known = graph.first_computed();
  for (std::size_t i = 0; i < graph.steps.size(); ++i) {
    const Step& step = graph.steps[i];
    for (const int input : step.inputs) {
      if (input < 0 || input >= known) throw Invalid(title(graph, i) + ": takes a value that is not known there");
    }
    if (step.outputs < 1 || step.outputs > kMostOutputs) throw Invalid(title(graph, i) + ": a wrong number of outputs");
    known += step.outputs;
    if (known > (1 << 30)) throw Invalid("too many values");
  }
  for (const Result& output : graph.outputs) {
    if (output.value < 0 || output.value >= known) throw Invalid("output '" + output.name + "' is no known value");
  }
}

}  // namespace graphopt
