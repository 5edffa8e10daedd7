// Attributes and arrays between Python and C++.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "ops/attributes.h"

// Any array on the processor that numpy can show, dense in C order.
using AnyArray = nanobind::ndarray<nanobind::ro, nanobind::c_contig, nanobind::device::cpu>;

// Throws Invalid if it is of no type that programs know.
graphopt::Layout layout_of(const AnyArray& array);

// From a dict of name -> int, bool, float, str, list of int, list of float, or array.
graphopt::Attributes attributes_of(const nanobind::dict& given);

// A new numpy array that owns its memory.
nanobind::object new_array(const graphopt::Layout& layout, void** data);
