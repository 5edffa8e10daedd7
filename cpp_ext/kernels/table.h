// The kernels of an instruction set, and the choice of one at run time.
#pragma once

#include "kernels/types.h"

namespace graphopt::kernels {

enum class Tier : int {
#define TIER(name) name,
#include "kernels/tiers.inc"
#undef TIER
};

// The kernels that one tier runs, its own and those of older tiers.
struct Table {
#define KERNEL(name, type, ...) type name;
#include "kernels/kernels.inc"
#undef KERNEL
};

// Each tier's file puts its own kernels into a table.
#define TIER(name) \
  namespace name { \
  void fill(Table& table); \
  }
#include "kernels/tiers.inc"
#undef TIER

constexpr int kTiers = 0
#define TIER(name) +1
#include "kernels/tiers.inc"
#undef TIER
    ;

const char* name_of(Tier tier);

// Compiled in, and the processor and operating system have it.
bool available(Tier tier);

// The kernels of a tier that is available.
const Table& table_of(Tier tier);

// The newest tier that is available, or an older one where GRAPHOPT_ISA names it (the newest available up to it).
// Throws std::invalid_argument if GRAPHOPT_ISA names none.
Tier chosen();

// A tier by its name. Throws std::invalid_argument if there is none, or it is not available here.
Tier tier_named(const char* name);

}  // namespace graphopt::kernels
