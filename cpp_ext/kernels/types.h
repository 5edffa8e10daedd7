// What kernels take and give: plain data only, so that files built for one instruction set include no library code.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace graphopt {

// Element types of values in a program. The numbers are part of the file format.
enum class Type : uint8_t { kF32 = 0, kU8 = 1, kS8 = 2, kS32 = 3, kS64 = 4, kBool = 5 };

namespace kernels {

// to[i] = table[from[i]]; `to` may be `from`.
using Lookup = void (*)(const uint8_t* from, uint8_t* to, size_t count, const uint8_t* table);

}  // namespace kernels
}  // namespace graphopt
