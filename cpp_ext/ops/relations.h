// Relations of two numbers: what compare tells.
#pragma once

// RELATION(name, mirrored, value) of `a` and `b`; `mirrored` is what holds of `b` and `a`.
#define GRAPHOPT_RELATIONS(RELATION) \
  RELATION(equal, equal, a == b) \
  RELATION(not_equal, not_equal, a != b) \
  RELATION(less, greater, a < b) \
  RELATION(less_equal, greater_equal, a <= b) \
  RELATION(greater, less, a > b) \
  RELATION(greater_equal, less_equal, a >= b)

namespace graphopt::relations {

#define RELATION(name, mirrored, value) \
  struct name { \
    template <typename Number> \
    static bool holds(Number a, Number b) { \
      return value; \
    } \
  };
GRAPHOPT_RELATIONS(RELATION)
#undef RELATION

}  // namespace graphopt::relations
