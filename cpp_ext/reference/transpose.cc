// What transpose computes.

#include "reference/move.h"

namespace graphopt {

void reference_transpose(const Attributes& attributes, const std::vector<View>& inputs,
                         const std::vector<View>& outputs) {
  const Integers& perm = attributes.integers("perm");
  reference::move(inputs[0], outputs[0], [&](const std::vector<std::int64_t>& place) {
    std::vector<std::int64_t> own(place.size());
    for (std::size_t i = 0; i < perm.size(); ++i) own[static_cast<std::size_t>(perm[i])] = place[i];
    return reference::index_of(inputs[0].layout.dims, own);
  });
}

}  // namespace graphopt
