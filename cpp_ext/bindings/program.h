// What of the module is about programs.
#pragma once

#include <nanobind/nanobind.h>

void bind_program(nanobind::module_& module);
