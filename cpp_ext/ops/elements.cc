// Elements of values that are known before a program runs.

#include "ops/elements.h"

namespace graphopt {

Integers elements_of(const Layout& layout, const char* what) {
  if (layout.type != Type::kS32 && layout.type != Type::kS64) {
    throw Invalid(std::string(what) + " are s32 or s64, not " + name_of(layout.type));
  }
  if (layout.dims.count() > kMaxRank) throw Invalid(std::string(what) + " are too many: " + layout.dims.text());
  Integers elements;
  if (layout.dims.count() == 0) return elements;
  if (layout.elements == nullptr) throw Invalid(std::string(what) + " are known only when it runs");
  for (std::int64_t i = 0; i < layout.dims.count(); ++i) {
    elements.push_back(layout.type == Type::kS32 ? static_cast<const std::int32_t*>(layout.elements)[i]
                                                 : static_cast<const std::int64_t*>(layout.elements)[i]);
  }
  return elements;
}

}  // namespace graphopt
