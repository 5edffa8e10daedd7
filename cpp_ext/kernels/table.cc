// Dispatch: a path is taken if it is compiled, detected and allowed.

#include "kernels/table.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace graphopt::kernels {

namespace {

constexpr const char* kNames[] = {
#define TIER(name) #name,
#include "kernels/tiers.inc"
#undef TIER
};

bool detected(Tier tier) {
#ifdef GRAPHOPT_X86
  // These also ask whether the operating system saves the registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vnni");
  switch (tier) {
    case Tier::scalar: return true;
    case Tier::avx2: return avx2;
    case Tier::avx_vnni: return avx2 && __builtin_cpu_supports("avxvnni");
    case Tier::avx512_vnni: return avx2 && avx512;
    case Tier::avx512_vbmi: return avx2 && avx512 && __builtin_cpu_supports("avx512vbmi");
  }
  return false;
#else
  return tier == Tier::scalar;
#endif
}

using Fill = void (*)(Table&);

constexpr Fill kFills[] = {
#ifdef GRAPHOPT_X86
#define TIER(name) &name::fill,
#include "kernels/tiers.inc"
#undef TIER
#else
    &scalar::fill,
#endif
};

struct Tables {
  Table of[kTiers];

  Tables() {
    for (int last = 0; last < kTiers; ++last) {
      for (int tier = 0; tier <= last; ++tier) {
        if (detected(static_cast<Tier>(tier))) kFills[tier](of[last]);
      }
    }
  }
};

int find(const std::string& name, const std::string& asker = "") {
  for (int tier = 0; tier < kTiers; ++tier) {
    if (name == kNames[tier]) return tier;
  }
  std::string known;
  for (const char* each : kNames) known += std::string(known.empty() ? "" : ", ") + each;
  throw std::invalid_argument(asker + "no instruction set is named '" + name + "'; known: " + known);
}

}  // namespace

const char* name_of(Tier tier) { return kNames[static_cast<int>(tier)]; }

bool available(Tier tier) { return detected(tier); }

const Table& table_of(Tier tier) {
  static const Tables tables;
  return tables.of[static_cast<int>(tier)];
}

Tier chosen() {
  const char* asked = std::getenv("GRAPHOPT_ISA");
  int tier = asked != nullptr && *asked != '\0' ? find(asked, "GRAPHOPT_ISA: ") : kTiers - 1;
  while (!detected(static_cast<Tier>(tier))) --tier;
  return static_cast<Tier>(tier);
}

Tier tier_named(const char* name) {
  const Tier tier = static_cast<Tier>(find(name));
  if (!detected(tier)) throw std::invalid_argument(std::string("this processor lacks ") + name);
  return tier;
}

}  // namespace graphopt::kernels
