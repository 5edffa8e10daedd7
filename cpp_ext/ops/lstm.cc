// lstm: a long short-term memory over floats x [T, B, I], to [T, D, B, H]; D directions. With two inputs more, the h and
// c, [D, B, H], that it begins with; else these are zeros.
//
// Attributes: `weights` f32 [D, 4 * H, I] and `recurrence` f32 [D, 4 * H, H], of the gates i, o, f and of g, one behind
// the other; `bias` f32 [D, 4 * H]; `reverse` 1: the only direction goes from the last place to the first, as the second
// of two does.
//
// Each gate is what gemm_f32 computes of x, weights and bias, to which that of h and recurrence is added, part by part.
// Then c = sigmoid(f) * c + sigmoid(i) * tanh(g), h = sigmoid(o) * tanh(c), each operation rounded.

#include <algorithm>

#include "ops/float_panels.h"

namespace graphopt {

namespace {

constexpr std::int64_t kRowsOfBlock = 96;
constexpr std::int64_t kGates = 4;

struct Direction {
  FloatPanels weights;
  FloatPanels recurrence;
  Aligned<float> bias;
  bool reverse;
};

class BoundLstm final : public Bound {
 public:
  BoundLstm(const std::vector<Direction>& directions, const kernels::Functions& functions, bool given, const Layout& x,
            const Layout& y)
      : directions_(directions),
        functions_(functions),
        given_(given),
        steps_(x.dims[0]),
        batch_(x.dims[1]),
        size_(y.dims[3]),
        depth_(x.dims[2]),
        blocks_(FloatBlocks::of(steps_ * batch_, directions[0].weights.shape(), kRowsOfBlock,
                                static_cast<std::int64_t>(directions.size()))) {}

  std::size_t workspace() const override {
    return directions_.size() * static_cast<std::size_t>(floats_of_direction()) * sizeof(float);
  }

  void run(const Run& run) const override {
    if (steps_ * batch_ == 0) return;
    const auto count = static_cast<std::int64_t>(directions_.size());
    run.pool.run(count * blocks_.count(),
                 [&](std::int64_t block) { read(run, block / blocks_.count(), block % blocks_.count()); });
    run.pool.run(count, [&](std::int64_t direction) { remember(run, direction); });
  }

 private:
  std::int64_t gates() const { return kGates * size_; }
  // Gates of all steps, then c.
  std::int64_t floats_of_direction() const { return (steps_ * kGates + 1) * batch_ * size_; }
  float* memory(const Run& run, std::int64_t direction) const {
    return static_cast<float*>(run.workspace) + direction * floats_of_direction();
  }

  // What x adds to the gates, of some steps.
  void read(const Run& run, std::int64_t direction, std::int64_t block) const {
    const Direction& own = directions_[static_cast<std::size_t>(direction)];
    const std::int64_t first_row = block / blocks_.panel_blocks * blocks_.rows;
    const std::int64_t first = block % blocks_.panel_blocks * blocks_.panels;
    kernels::FloatTile tile{};
    tile.x = static_cast<const float*>(run.inputs[0]) + first_row * depth_;
    tile.x_pitch = depth_;
    tile.bias = own.bias.data();
    tile.to = memory(run, direction) + first_row * gates();
    tile.pitch = gates();
    own.weights.multiply(tile, first, std::min(first + blocks_.panels, own.weights.shape().panels()),
                         std::min(blocks_.rows, steps_ * batch_ - first_row));
  }

  void remember(const Run& run, std::int64_t direction) const {
    const Direction& own = directions_[static_cast<std::size_t>(direction)];
    const std::int64_t state = batch_ * size_;
    float* c = memory(run, direction) + steps_ * batch_ * gates();
    std::fill_n(c, state, 0.0F);
    const float* h = c;  // zeros
    if (given_) {
      std::copy_n(static_cast<const float*>(run.inputs[2]) + direction * state, state, c);
      h = static_cast<const float*>(run.inputs[1]) + direction * state;
    }
    for (std::int64_t i = 0; i < steps_; ++i) {
      const std::int64_t step = own.reverse ? steps_ - 1 - i : i;
      float* all = memory(run, direction) + step * batch_ * gates();
      kernels::FloatTile tile{};
      tile.x = h;
      tile.x_pitch = size_;
      tile.add = true;
      tile.to = all;
      tile.pitch = gates();
      own.recurrence.multiply(tile, 0, own.recurrence.shape().panels(), batch_);
      float* to = static_cast<float*>(run.outputs[0]) +
                  (step * static_cast<std::int64_t>(directions_.size()) + direction) * state;
      for (std::int64_t row = 0; row < batch_; ++row) {
        open(all + row * gates(), c + row * size_, to + row * size_);
      }
      h = to;
    }
  }

  // The next c and h.
  void open(float* gates, float* c, float* h) const {
    const auto count = static_cast<std::size_t>(size_);
    float* i = gates;
    float* o = i + size_;
    float* f = o + size_;
    float* g = f + size_;
    functions_.sigmoid(i, i, 3 * count, 0, 0);
    functions_.tanh(g, g, count, 0, 0);
    for (std::size_t n = 0; n < count; ++n) c[n] = f[n] * c[n] + i[n] * g[n];
    functions_.tanh(c, h, count, 0, 0);
    for (std::size_t n = 0; n < count; ++n) h[n] = o[n] * h[n];
  }

  const std::vector<Direction>& directions_;
  const kernels::Functions& functions_;
  bool given_;
  std::int64_t steps_;
  std::int64_t batch_;
  std::int64_t size_;
  std::int64_t depth_;
  FloatBlocks blocks_;
};

class Lstm final : public Op {
 public:
  Lstm(const Attributes& attributes, const kernels::Table& kernels) : functions_(kernels.functions) {
    attributes.only({"weights", "recurrence", "bias", "reverse"});
    const Array& weights = attributes.array("weights", Type::kF32);
    const Array& recurrence = attributes.array("recurrence", Type::kF32);
    const Array& bias = attributes.array("bias", Type::kF32);
    const bool reverse = attributes.has("reverse") && attributes.integer_in("reverse", 0, 1) == 1;
    if (weights.dims.rank() != 3 || weights.dims[1] % kGates != 0 || weights.dims[0] < 1 || weights.dims[0] > 2) {
      throw Invalid("attribute 'weights' is " + weights.dims.text() + ", not [directions, 4 * H, I]");
    }
    const std::int64_t gates = weights.dims[1];
    size_ = gates / kGates;
    depth_ = weights.dims[2];
    expect(recurrence, "recurrence", Dims({weights.dims[0], gates, size_}));
    expect(bias, "bias", Dims({weights.dims[0], gates}));
    if (reverse && weights.dims[0] == 2) throw Invalid("attribute 'reverse' is of one direction");
    for (std::int64_t at = 0; at < weights.dims[0]; ++at) {
      Direction direction{
          {kernels.float_products, weights.as<float>() + at * gates * depth_, gates, 1, depth_, kMatrixParts},
          {kernels.float_products, recurrence.as<float>() + at * gates * size_, gates, 1, size_, kMatrixParts},
          {},
          reverse || at == 1};
      direction.bias = Aligned<float>(direction.weights.shape().padded_columns());
      std::copy_n(bias.as<float>() + at * gates, gates, direction.bias.data());
      directions_.push_back(std::move(direction));
    }
  }

  Layouts infer(const Layouts& inputs) const override {
    const bool given = inputs.size() == 3;
    if (!given) expect_inputs(inputs, 1);
    for (const Layout& input : inputs) {
      if (input.type != Type::kF32) throw Invalid(std::string("reads f32, not ") + name_of(input.type));
    }
    const Dims& x = inputs[0].dims;
    if (x.rank() != 3 || x[2] != depth_) {
      throw Invalid("reads [T, B, " + std::to_string(depth_) + "], not " + x.text());
    }
    const auto count = static_cast<std::int64_t>(directions_.size());
    const Dims state({count, x[1], size_});
    if (given && (inputs[1].dims != state || inputs[2].dims != state)) {
      throw Invalid("begins with " + state.text() + ", not " + inputs[1].dims.text() + " and " + inputs[2].dims.text());
    }
    static_cast<void>(Dims({count, x[0] + 1, x[1], kGates * size_}));
    return {Layout(Type::kF32, Dims({x[0], count, x[1], size_}))};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundLstm>(directions_, functions_, inputs.size() == 3, inputs[0], outputs[0]);
  }

 private:
  static void expect(const Array& array, const char* name, const Dims& dims) {
    if (array.dims == dims) return;
    throw Invalid(std::string("attribute '") + name + "' is " + array.dims.text() + ", not " + dims.text());
  }

  const kernels::Functions& functions_;
  std::int64_t size_ = 0;
  std::int64_t depth_ = 0;
  std::vector<Direction> directions_;
};

}  // namespace

std::unique_ptr<Op> make_lstm(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Lstm>(attributes, kernels);
}

}  // namespace graphopt
