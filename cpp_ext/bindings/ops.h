// What of the module is about kernels and single operators: for tests and benchmarks.
#pragma once

#include <nanobind/nanobind.h>

void bind_ops(nanobind::module_& module);
