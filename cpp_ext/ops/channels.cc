// Moves the axis of channels to the end and back.

#include "ops/channels.h"

namespace graphopt {

namespace {

void expect_channels(const Dims& dims) {
  if (dims.rank() < 2) throw Invalid("a value of shape " + dims.text() + " has no axis of channels");
}

}  // namespace

Dims channels_last(const Dims& dims) {
  expect_channels(dims);
  std::vector<std::int64_t> sizes = {dims[0]};
  for (int axis = 2; axis < dims.rank(); ++axis) sizes.push_back(dims[axis]);
  sizes.push_back(dims[1]);
  return Dims(sizes);
}

Dims channels_first(const Dims& dims) {
  expect_channels(dims);
  std::vector<std::int64_t> sizes = {dims[0], dims[-1]};
  for (int axis = 1; axis + 1 < dims.rank(); ++axis) sizes.push_back(dims[axis]);
  return Dims(sizes);
}

}  // namespace graphopt
