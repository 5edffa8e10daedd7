// Turns the flags of kernels.inc into assignments; each tier's file includes it and defines TAKE for its column.
#pragma once

#define GRAPHOPT_TAKE_0(name)
#define GRAPHOPT_TAKE_1(name) table.name = name;
