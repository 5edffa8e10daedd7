#include "ops/recurrent.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 96;

}  // namespace

Directions::Directions(const Attributes& attributes, const kernels::Table& kernels, std::vector<std::int64_t> parts)
    : gates_(std::accumulate(parts.begin(), parts.end(), std::int64_t{0})) {
  const Array& weights = attributes.array("weights", Type::kF32);
  const Array& recurrence = attributes.array("recurrence", Type::kF32);
  const Array& bias = attributes.array("bias", Type::kF32);
  const bool reverse = attributes.has("reverse") && attributes.integer_in("reverse", 0, 1) == 1;
  if (weights.dims.rank() != 3 || weights.dims[1] % gates_ != 0 || weights.dims[0] < 1 || weights.dims[0] > 2) {
    throw Invalid("attribute 'weights' is " + weights.dims.text() + ", not [directions, " + std::to_string(gates_) +
                  " * H, I]");
  }
  const std::int64_t count = weights.dims[0];
  const std::int64_t columns = weights.dims[1];
  size_ = columns / gates_;
  depth_ = weights.dims[2];
  expect(recurrence, "recurrence", Dims({count, columns, size_}));
  expect(bias, "bias", Dims({count, columns}));
  if (reverse && count == 2) throw Invalid("attribute 'reverse' is of one direction");
  for (std::int64_t at = 0; at < count; ++at) {
    Direction direction{
        {kernels.float_products, weights.as<float>() + at * columns * depth_, columns, 1, depth_, kMatrixParts},
        {},
        {},
        reverse || at == 1};
    const float* from = recurrence.as<float>() + at * columns * size_;
    for (const std::int64_t part : parts) {
      direction.recurrence.emplace_back(kernels.float_products, from, part * size_, 1, size_, kMatrixParts);
      from += part * size_ * size_;
    }
    direction.bias = direction.weights.shape().padded(bias.as<float>() + at * columns);
    all_.push_back(std::move(direction));
  }
}

Layouts Directions::infer(const Layouts& inputs, std::size_t states, std::int64_t more) const {
  const bool given = inputs.size() == 1 + states;
  if (!given) expect_inputs(inputs, 1);
  for (const Layout& input : inputs) {
    if (input.type != Type::kF32) throw Invalid(std::string("reads f32, not ") + name_of(input.type));
  }
  const Dims& x = inputs[0].dims;
  if (x.rank() != 3 || x[2] != depth_) {
    throw Invalid("reads [T, B, " + std::to_string(depth_) + "], not " + x.text());
  }
  const Dims state({count(), x[1], size_});
  for (std::size_t index = 1; index < inputs.size(); ++index) {
    if (inputs[index].dims == state) continue;
    throw Invalid("begins with " + state.text() + ", not " + inputs[index].dims.text());
  }
  static_cast<void>(Dims({count(), x[0] + 1, x[1], gates_ * size_}));
  return {Layout(Type::kF32, Dims({x[0] + more, count(), x[1], size_}))};
}

void Directions::expect(const Array& array, const char* name, const Dims& dims) {
  if (array.dims == dims) return;
  throw Invalid(std::string("attribute '") + name + "' is " + array.dims.text() + ", not " + dims.text());
}

BoundRecurrence::BoundRecurrence(const Directions& directions, const Layout& x)
    : directions_(directions),
      steps_(x.dims[0]),
      batch_(x.dims[1]),
      blocks_(FloatBlocks::of(steps_ * batch_, directions[0].weights.shape(), kRowsOfBlock, directions.count())) {}

std::int64_t BoundRecurrence::floats_of_direction() const { return batch_ * (steps_ * pitch() + size()); }

std::size_t BoundRecurrence::workspace() const {
  return static_cast<std::size_t>(directions_.count() * floats_of_direction()) * sizeof(float);
}

float* BoundRecurrence::memory(const Run& run, std::int64_t direction) const {
  return static_cast<float*>(run.workspace) + direction * floats_of_direction();
}

void BoundRecurrence::run(const Run& run) const {
  if (batch_ == 0) return;
  run.pool.run(directions_.count() * blocks_.count(),
               [&](std::int64_t block) { read(run, block / blocks_.count(), block % blocks_.count()); });
  run.pool.run(directions_.count(), [&](std::int64_t direction) { remember(run, direction); });
}

// What x adds to the gates, of some steps.
void BoundRecurrence::read(const Run& run, std::int64_t direction, std::int64_t block) const {
  const Direction& own = directions_[direction];
  const std::int64_t first_row = block / blocks_.panel_blocks * blocks_.rows;
  const std::int64_t first = block % blocks_.panel_blocks * blocks_.panels;
  kernels::FloatTile tile{};
  tile.x = static_cast<const float*>(run.inputs[0]) + first_row * directions_.depth();
  tile.x_pitch = directions_.depth();
  tile.bias = own.bias.data();
  tile.to = memory(run, direction) + first_row * pitch();
  tile.pitch = pitch();
  own.weights.multiply(tile, first, std::min(first + blocks_.panels, own.weights.shape().panels()),
                       std::min(blocks_.rows, steps_ * batch_ - first_row));
}

void BoundRecurrence::remember(const Run& run, std::int64_t direction) const {
  const bool reverse = directions_[direction].reverse;
  float* gates = memory(run, direction);
  float* kept = gates + steps_ * batch_ * pitch();
  const auto output = [&](std::int64_t step) {
    return static_cast<float*>(run.outputs[0]) + (step * directions_.count() + direction) * state();
  };
  const float* h = begin(run, direction, kept);
  for (std::int64_t i = 0; i < steps_; ++i) {
    const std::int64_t step = reverse ? steps_ - 1 - i : i;
    float* to = output(step);
    advance({direction, gates + step * batch_ * pitch(), kept, h, to});
    h = to;
  }
  end(kept, output(steps_));
}

void BoundRecurrence::end(const float* kept, float* to) const {
  static_cast<void>(kept);
  static_cast<void>(to);
}

}  // namespace graphopt
