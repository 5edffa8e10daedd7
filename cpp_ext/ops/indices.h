// Indices along an axis: those below 0 count from its end.
#pragma once

#include "ops/op.h"

namespace graphopt {

// The index of element `i` of an s32 or s64.
inline std::int64_t index_at(Type type, const void* indices, std::int64_t i) {
  if (type == Type::kS32) return static_cast<const std::int32_t*>(indices)[i];
  return static_cast<const std::int64_t*>(indices)[i];
}

// Throws Invalid, at a run, if it is none of an axis of this size.
inline void expect_index(std::int64_t index, std::int64_t size) {
  if (index < -size || index >= size) {
    throw Invalid("index " + std::to_string(index) + " lies outside an axis of " + std::to_string(size));
  }
}

inline void expect_indices(const Layout& layout) {
  if (layout.type != Type::kS32 && layout.type != Type::kS64) throw Invalid("indices are s32 or s64");
}

}  // namespace graphopt
