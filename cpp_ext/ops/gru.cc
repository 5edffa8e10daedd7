// gru: a gated recurrent unit over floats x [T, B, I], to [T, D, B, H]; D directions. With one input more, the h
// [D, B, H] that it begins with; else zeros.
//
// Attributes: `weights` f32 [D, 3 * H, I] and `recurrence` f32 [D, 3 * H, H], of the gates z and r and of g, one behind
// the other; `bias` f32 [D, 3 * H]; `reset_bias` f32 [D, H]: if there is one, r resets the product of h, else h itself;
// `reverse` 1: the only direction goes from the last place to the first, as the second of two does.
//
// Each gate is what gemm_f32 computes of x, weights and bias, to which that of h and recurrence is added, part by part.
// To g is added that of sigmoid(r) * h; or, with `reset_bias`, sigmoid(r) * p, p what gemm_f32 computes of h,
// recurrence and reset_bias. Then h = tanh(g) + sigmoid(z) * (h - tanh(g)), each operation rounded.

#include <algorithm>

#include "ops/recurrent.h"

namespace graphopt {

namespace {

constexpr std::int64_t kOpening = 2;  // z and r
constexpr std::int64_t kGates = kOpening + 1;
constexpr std::size_t kStates = 1;

class BoundGru final : public BoundRecurrence {
 public:
  BoundGru(const Directions& directions, const std::vector<Aligned<float>>& reset_biases,
           const kernels::Functions& functions, bool given, const Layout& x)
      : BoundRecurrence(directions, x),
        reset_biases_(reset_biases),
        functions_(functions),
        given_(given) {}

 private:
  const float* begin(const Run& run, std::int64_t direction, float* kept) const override {
    if (given_) return static_cast<const float*>(run.inputs[1]) + direction * state();
    std::fill_n(kept, state(), 0.0F);
    return kept;
  }

  void advance(const Step& step) const override {
    multiply(step, 0, step.h, step.gates, pitch(), nullptr);
    const auto count = static_cast<std::size_t>(size());
    for (std::int64_t row = 0; row < batch(); ++row) {
      float* gates = step.gates + row * pitch();
      functions_.sigmoid(gates, gates, kOpening * count, 0, 0);
    }
    if (reset_biases_.empty()) {
      reset_before(step);
    } else {
      reset_behind(step);
    }
    for (std::int64_t row = 0; row < batch(); ++row) {
      mix(step.gates + row * pitch(), step.h + row * size(), step.to + row * size());
    }
  }

  // What h, or what it is reset to, gives by some of the recurrence, is added to `to`; or, with a bias, written.
  void multiply(const Step& step, std::size_t part, const float* x, float* to, std::int64_t to_pitch,
                const float* bias) const {
    kernels::FloatTile tile{};
    tile.x = x;
    tile.x_pitch = size();
    tile.add = bias == nullptr;
    tile.bias = bias;
    tile.to = to;
    tile.pitch = to_pitch;
    const FloatPanels& panels = recurrence(step)[part];
    panels.multiply(tile, 0, panels.shape().panels(), batch());
  }

  // The next h is not yet there: what is reset has its place.
  void reset_before(const Step& step) const {
    for (std::int64_t row = 0; row < batch(); ++row) {
      const float* r = step.gates + row * pitch() + size();
      for (std::int64_t n = 0; n < size(); ++n) {
        const std::int64_t at = row * size() + n;
        step.to[at] = r[n] * step.h[at];
      }
    }
    multiply(step, 1, step.to, step.gates + kOpening * size(), pitch(), nullptr);
  }

  void reset_behind(const Step& step) const {
    const float* bias = reset_biases_[static_cast<std::size_t>(step.direction)].data();
    multiply(step, 1, step.h, step.to, size(), bias);
    for (std::int64_t row = 0; row < batch(); ++row) {
      const float* r = step.gates + row * pitch() + size();
      float* g = step.gates + row * pitch() + kOpening * size();
      const float* product = step.to + row * size();
      for (std::int64_t n = 0; n < size(); ++n) g[n] = g[n] + r[n] * product[n];
    }
  }

  void mix(float* gates, const float* h, float* to) const {
    const auto count = static_cast<std::size_t>(size());
    const float* z = gates;
    float* g = gates + kOpening * size();
    functions_.tanh(g, g, count, 0, 0);
    for (std::size_t n = 0; n < count; ++n) to[n] = g[n] + z[n] * (h[n] - g[n]);
  }

  const std::vector<Aligned<float>>& reset_biases_;  // of each direction, or none
  const kernels::Functions& functions_;
  bool given_;
};

class Gru final : public Op {
 public:
  Gru(const Attributes& attributes, const kernels::Table& kernels)
      : functions_(kernels.functions), directions_(attributes, kernels, {kOpening, 1}) {
    attributes.only({"weights", "recurrence", "bias", "reset_bias", "reverse"});
    if (!attributes.has("reset_bias")) return;
    const Array& given = attributes.array("reset_bias", Type::kF32);
    const std::int64_t size = directions_.size();
    Directions::expect(given, "reset_bias", Dims({directions_.count(), size}));
    for (std::int64_t at = 0; at < directions_.count(); ++at) {
      reset_biases_.push_back(directions_[at].recurrence[1].shape().padded(given.as<float>() + at * size));
    }
  }

  Layouts infer(const Layouts& inputs) const override { return directions_.infer(inputs, kStates); }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    static_cast<void>(outputs);
    return std::make_unique<BoundGru>(directions_, reset_biases_, functions_, inputs.size() > 1, inputs[0]);
  }

 private:
  const kernels::Functions& functions_;
  Directions directions_;
  std::vector<Aligned<float>> reset_biases_;
};

}  // namespace

std::unique_ptr<Op> make_gru(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Gru>(attributes, kernels);
}

}  // namespace graphopt
