// What of the module is about the order of steps.
#pragma once

#include <nanobind/nanobind.h>

void bind_order(nanobind::module_& module);
