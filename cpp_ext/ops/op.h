// An operator in three stages: made once from its attributes (checks, packs weights), bound to shapes (plans how to
// split and where to look), and run (allocates nothing, from any number of threads at a time).
#pragma once

#include <memory>
#include <vector>

#include "kernels/table.h"
#include "ops/attributes.h"
#include "ops/tensor.h"
#include "threads/pool.h"

namespace graphopt {

constexpr std::size_t kAlignment = 64;

struct Run {
  const void* const* inputs;
  void* const* outputs;
  void* workspace;  // of Bound::workspace() bytes, aligned to kAlignment
  ThreadPool& pool;
};

using Layouts = std::vector<Layout>;

class Bound {
 public:
  virtual ~Bound() = default;
  // Bytes.
  virtual std::size_t workspace() const { return 0; }
  // Reads and writes nothing but the inputs' elements, the outputs' and the workspace.
  virtual void run(const Run& run) const = 0;
};

class Op {
 public:
  virtual ~Op() = default;
  // Types and shapes of the outputs, dense. Throws Invalid if the inputs are not what the operator takes.
  virtual Layouts infer(const Layouts& inputs) const = 0;
  // `outputs` are what `infer` says of `inputs`, but for their pitch. The operator outlives what it is bound to.
  virtual std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const = 0;
  // What it computes depends on the sizes of its inputs alone.
  virtual bool of_sizes() const { return false; }
  // Output 0 may lie exactly where input `index` lies, if their bytes and pitches are the same.
  virtual bool in_place(std::size_t index, const Layouts& inputs) const {
    static_cast<void>(index);
    static_cast<void>(inputs);
    return false;
  }
  // Takes rows with gaps between them. Others get, and give, dense values only.
  virtual bool pitched() const { return false; }
  // Where output 0 is nothing but elements of input 0 as they lie (reshape, a slice of columns): the element of the
  // input it begins at, and `output.pitch`, set to where its rows then lie. The step is not run. Negative where it
  // must be run, to copy.
  virtual std::int64_t view(const Layouts& inputs, Layout& output) const {
    static_cast<void>(inputs);
    static_cast<void>(output);
    return -1;
  }
  // Where output 0 holds input `index` as it is (concat of the same codes): the element of the output that it begins
  // at; its rows are then `output.pitch` apart. Memory is shared if it can be: an input that is found at that address
  // with that pitch is there already and is not copied. Negative where the values are converted, or do not lie so.
  virtual std::int64_t place(const Layouts& inputs, const Layout& output, std::size_t index) const {
    static_cast<void>(inputs);
    static_cast<void>(output);
    static_cast<void>(index);
    return -1;
  }
};

// What an operator computes, written as plainly as can be: slow, allocates, uses no kernels. All runs of the
// operator give these very bits. `outputs` are laid out as `Op::infer` says.
using Reference = void (*)(const Attributes& attributes, const std::vector<View>& inputs,
                           const std::vector<View>& outputs);

struct Kind {
  const char* name;
  std::unique_ptr<Op> (*make)(const Attributes& attributes, const kernels::Table& kernels);
  Reference reference;
};

// The kinds of ops.inc, by name. Throws Invalid if there is none of that name.
const Kind& kind_named(const std::string& name);
const std::vector<Kind>& kinds();

// Throws Invalid unless there are `count` inputs.
void expect_inputs(const Layouts& inputs, std::size_t count);

}  // namespace graphopt
