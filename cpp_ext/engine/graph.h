// What a program computes, as data: what a builder makes and a file holds.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ops/attributes.h"

namespace graphopt {

// One axis of an input: of this size, or, if negative, of any size that is the same wherever the symbol stands.
struct Axis {
  std::int64_t size = -1;
  std::string symbol;
};

struct Port {
  std::string name;
  Type type = Type::kF32;
  std::vector<Axis> axes;
};

struct Step {
  std::string kind;
  std::string name;  // of the node it comes from, for messages; may be empty
  std::shared_ptr<const Attributes> attributes;
  std::vector<int> inputs;
  int outputs = 1;
};

struct Result {
  std::string name;
  int value = 0;
};

// Values are numbered: inputs first, then constants, then what the steps compute, in their order.
struct Graph {
  std::vector<Port> inputs;
  std::vector<std::shared_ptr<const Array>> constants;
  std::vector<Step> steps;
  std::vector<Result> outputs;

  int first_constant() const { return static_cast<int>(inputs.size()); }
  int first_computed() const { return static_cast<int>(inputs.size() + constants.size()); }
};

// Throws Invalid if a number of a value is not that of one known by then, a name is missing or double, or a constant's
// bytes are not those of its shape. Attributes are checked by the operators that are made of them.
void check(const Graph& graph);

// How messages name a step: its place, kind and name.
std::string title(const Graph& graph, std::size_t step);

}  // namespace graphopt
