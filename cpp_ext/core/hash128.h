// A fast 128-bit hash of bytes, for telling tensors apart. Not for security: collisions can be constructed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace graphopt {

// Sixteen bytes that depend on the `size` bytes at `data` alone: not on their alignment, the machine's byte
// order or its instruction set. `data` may be null where `size` is 0.
std::array<unsigned char, 16> hash128(const void* data, std::size_t size);

}  // namespace graphopt
