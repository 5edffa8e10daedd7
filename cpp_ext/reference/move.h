// Elements moved as they are, as references do it.
#pragma once

#include <cstring>

#include "reference/numbers.h"

namespace graphopt::reference {

// from(place) tells, for each place of the output, the element of the input that goes there.
template <typename From>
void move(const View& x, const View& y, const From& from) {
  const std::size_t size = size_of(x.layout.type);
  for (std::int64_t i = 0; i < y.layout.dims.count(); ++i) {
    const auto at = static_cast<std::size_t>(from(place_of(y.layout.dims, i)));
    std::memcpy(static_cast<char*>(y.data) + static_cast<std::size_t>(i) * size,
                static_cast<const char*>(x.data) + at * size, size);
  }
}

}  // namespace graphopt::reference
