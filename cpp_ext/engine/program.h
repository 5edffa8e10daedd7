// A program: operators that are made once, bound to the shapes of its inputs as these come, and run in one arena.
//
//   const auto program = Program::load(bytes, size);          // throws Invalid
//   const auto bound = program->bind(shapes.data());          // one Dims per input; remembered by shape
//   bound->run(inputs, outputs, shared_pool(threads));        // dense arrays, as bound->inputs() and outputs() say
//
// All of it may be called by any number of threads at a time.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/arenas.h"
#include "engine/graph.h"
#include "engine/inference.h"
#include "engine/plan.h"
#include "ops/op.h"
#include "threads/pool.h"

namespace graphopt {

// What does not depend on shapes.
struct Core {
  std::vector<Port> inputs;
  std::vector<std::shared_ptr<const Array>> constants;
  std::vector<Result> outputs;
  struct Made {
    std::string title;
    std::string kind;
    std::string name;
    std::unique_ptr<Op> op;
    std::vector<int> inputs;
    int outputs;
  };
  std::vector<Made> steps;
  Arenas arenas;
};

class BoundProgram {
 public:
  BoundProgram(std::shared_ptr<Core> core, const Dims* shapes);

  const Layouts& inputs() const { return inputs_; }
  const Layouts& outputs() const { return outputs_; }
  // Bytes that one run needs besides its inputs, outputs and the program's constants.
  std::size_t arena() const { return arena_; }
  // The arena if no two values shared memory, nor lay where one lay before.
  std::size_t unshared() const { return unshared_; }

  // `outputs` overlap neither each other nor `inputs`. Allocates nothing but an arena, where none that is large enough
  // is left by earlier runs.
  void run(const void* const* inputs, void* const* outputs, ThreadPool& pool) const;

  // The same, and adds the seconds that each step took.
  void profile(const void* const* inputs, void* const* outputs, ThreadPool& pool, std::vector<double>& seconds) const;

  // What became of a step.
  struct Fact {
    const Core::Made* step;
    bool runs;
    bool in_place;
    Layouts inputs, outputs;
  };
  std::vector<Fact> facts() const;

 private:
  struct BoundStep {
    std::size_t step;
    std::unique_ptr<Bound> bound;
    std::vector<Place> inputs, outputs;
    std::size_t workspace;  // offset in the arena
  };
  class Frame;

  void plan(const Layouts& layouts);

  std::shared_ptr<Core> core_;
  Inference inference_;
  Layouts inputs_, outputs_;
  Plan plan_;
  std::vector<BoundStep> steps_;
  std::vector<std::pair<Place, std::size_t>> copies_;  // what is left to copy to outputs, and how many bytes
  std::size_t arena_ = 0, unshared_ = 0;
  std::size_t most_pointers_ = 0;
};

class Program {
 public:
  // Throws Invalid if the graph is none, or an operator refuses its attributes or inputs.
  explicit Program(const Graph& graph, const kernels::Table& kernels = kernels::table_of(kernels::chosen()));

  // From what `encode` (engine/file.h) gave. Throws Invalid if the bytes are no such thing.
  static std::shared_ptr<const Program> load(const void* bytes, std::size_t size);

  const std::vector<Port>& inputs() const { return core_->inputs; }
  const std::vector<Result>& outputs() const { return core_->outputs; }

  // For inputs of these shapes, one for each. Throws Invalid if they are not what the program takes.
  std::shared_ptr<const BoundProgram> bind(const Dims* shapes) const;

  // Bytes of all arenas, in use or waiting for the next run.
  std::size_t held() const { return core_->arenas.held(); }

 private:
  void expect_fit(const Dims* shapes) const;

  struct Entry {
    std::vector<Dims> shapes;
    std::shared_ptr<const BoundProgram> bound;
  };

  std::shared_ptr<Core> core_;
  mutable std::mutex lock_;
  mutable std::list<Entry> bound_;  // the last used first
};

// Computes the outputs by the operators' references: slowly, value by value. Returns them dense.
struct Computed {
  Layout layout;
  std::vector<unsigned char> bytes;
};
std::vector<Computed> interpret(const Graph& graph, const std::vector<View>& inputs);

}  // namespace graphopt
