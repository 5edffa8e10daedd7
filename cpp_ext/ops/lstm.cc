// lstm: a long short-term memory over floats x [T, B, I], to [T, D, B, H]; D directions. With two inputs more, the h and
// c, [D, B, H], that it begins with; else these are zeros.
//
// Attributes: `weights` f32 [D, 4 * H, I] and `recurrence` f32 [D, 4 * H, H], of the gates i, o, f and of g, one behind
// the other; `bias` f32 [D, 4 * H]; `reverse` 1: the only direction goes from the last place to the first, as the second
// of two does; `keep` 1: the c in the end follows the last h, and the output is [T + 1, D, B, H].
//
// Each gate is what gemm_f32 computes of x, weights and bias, to which that of h and recurrence is added, part by part.
// Then c = sigmoid(f) * c + sigmoid(i) * tanh(g), h = sigmoid(o) * tanh(c), each operation rounded.

#include <algorithm>

#include "ops/recurrent.h"

namespace graphopt {

namespace {

constexpr std::int64_t kGates = 4;
constexpr std::size_t kStates = 2;

class BoundLstm final : public BoundRecurrence {
 public:
  BoundLstm(const Directions& directions, const kernels::Functions& functions, bool given, bool keeps,
            const Layout& x)
      : BoundRecurrence(directions, x), functions_(functions), given_(given), keeps_(keeps) {}

 private:
  const float* begin(const Run& run, std::int64_t direction, float* c) const override {
    std::fill_n(c, state(), 0.0F);
    if (!given_) return c;
    std::copy_n(static_cast<const float*>(run.inputs[2]) + direction * state(), state(), c);
    return static_cast<const float*>(run.inputs[1]) + direction * state();
  }

  void advance(const Step& step) const override {
    kernels::FloatTile tile{};
    tile.x = step.h;
    tile.x_pitch = size();
    tile.add = true;
    tile.to = step.gates;
    tile.pitch = pitch();
    const FloatPanels& panels = recurrence(step)[0];
    panels.multiply(tile, 0, panels.shape().panels(), batch());
    for (std::int64_t row = 0; row < batch(); ++row) {
      open(step.gates + row * pitch(), step.kept + row * size(), step.to + row * size());
    }
  }

  void end(const float* c, float* to) const override {
    if (keeps_) std::copy_n(c, state(), to);
  }

  // The next c and h.
  void open(float* gates, float* c, float* h) const {
    const auto count = static_cast<std::size_t>(size());
    float* i = gates;
    float* o = i + size();
    float* f = o + size();
    float* g = f + size();
    functions_.sigmoid(i, i, 3 * count, 0, 0);
    functions_.tanh(g, g, count, 0, 0);
    for (std::size_t n = 0; n < count; ++n) c[n] = f[n] * c[n] + i[n] * g[n];
    functions_.tanh(c, h, count, 0, 0);
    for (std::size_t n = 0; n < count; ++n) h[n] = o[n] * h[n];
  }

  const kernels::Functions& functions_;
  bool given_;
  bool keeps_;
};

class Lstm final : public Op {
 public:
  Lstm(const Attributes& attributes, const kernels::Table& kernels)
      : functions_(kernels.functions), directions_(attributes, kernels, {kGates}) {
    attributes.only({"weights", "recurrence", "bias", "reverse", "keep"});
    keeps_ = attributes.has("keep") && attributes.integer_in("keep", 0, 1) == 1;
  }

  Layouts infer(const Layouts& inputs) const override { return directions_.infer(inputs, kStates, keeps_ ? 1 : 0); }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    static_cast<void>(outputs);
    return std::make_unique<BoundLstm>(directions_, functions_, inputs.size() > 1, keeps_, inputs[0]);
  }

 private:
  const kernels::Functions& functions_;
  Directions directions_;
  bool keeps_ = false;
};

}  // namespace

std::unique_ptr<Op> make_lstm(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Lstm>(attributes, kernels);
}

}  // namespace graphopt
