// Layouts of values, step by step, and the elements of those that are known before the program runs.
#pragma once

#include <list>
#include <vector>

#include "ops/op.h"
#include "threads/pool.h"

namespace graphopt {

// Sizes that are computed from sizes are values like others: what is made of nothing but them and constants is computed
// here, so that operators may take it for the sizes of what they make.
class Inference {
 public:
  // With its elements, unless they are many. `data` is to outlive the layout.
  static Layout constant(Type type, const Dims& dims, const void* data);

  // What the operator makes of its inputs. Elements lie in memory of this object. Throws Invalid.
  Layouts outputs(const Op& op, const Layouts& inputs);

 private:
  std::list<std::vector<unsigned char>> memory_;
  ThreadPool pool_{1};
};

}  // namespace graphopt
