// Graphs as bytes: versioned, checksummed, and read with suspicion.
//
// Little-endian. A header of 40 bytes: the magic bytes, the version (u32), zero (u32), the bytes that follow (u64) and
// their 128-bit digest (core/hash128.h). Then lists, each after its length (u32): inputs, constants, steps, outputs.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/graph.h"

namespace graphopt {

constexpr std::uint32_t kFileVersion = 1;

std::vector<unsigned char> encode(const Graph& graph);

// Throws Invalid, saying what is wrong, for anything that `encode` cannot have given.
Graph decode(const void* bytes, std::size_t size);

// Puts the digest of what follows the header into it: for tests of what a file may hold beyond it.
void sign(std::vector<unsigned char>& bytes);

}  // namespace graphopt
