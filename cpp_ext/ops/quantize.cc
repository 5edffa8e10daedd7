// quantize: floats to codes, clamp(nearest_even(x / scale)) + zero, and optionally channels to the end.
//
// Attributes: scale, zero, type; `layout`, "same" (the default) or "last" (N, C, spatial... -> N, spatial..., C).

#include <algorithm>

#include "ops/channels.h"
#include "ops/coding.h"
#include "ops/op.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlock = 1 << 14;
// Pixels and channels that are quantized to be transposed together.
constexpr std::int64_t kPixels = 128;
constexpr std::int64_t kChannels = 64;
// Of images with fewer channels than that, more pixels.
constexpr std::int64_t kFewChannels = 4;
constexpr std::int64_t kMorePixels = kChannels * kPixels / kFewChannels;

class BoundQuantize final : public Bound {
 public:
  BoundQuantize(const kernels::Table& kernels, std::int64_t count, float scale, const kernels::CodesOut& codes)
      : kernels_(kernels), count_(count), scale_(scale), codes_(codes) {}

  void run(const Run& run) const override {
    const auto* from = static_cast<const float*>(run.inputs[0]);
    auto* to = static_cast<unsigned char*>(run.outputs[0]);
    run.pool.run((count_ + kBlock - 1) / kBlock, [&](std::int64_t block) {
      const std::int64_t begin = block * kBlock;
      const std::int64_t count = std::min(kBlock, count_ - begin);
      kernels_.quantize(from + begin, to + begin, static_cast<std::size_t>(count), scale_, codes_);
    });
  }

 private:
  const kernels::Table& kernels_;
  std::int64_t count_;
  float scale_;
  kernels::CodesOut codes_;
};

class BoundQuantizeLast final : public Bound {
 public:
  BoundQuantizeLast(const kernels::Table& kernels, const Layout& input, const Layout& output, float scale,
                    const kernels::CodesOut& codes)
      : kernels_(kernels),
        images_(input.dims[0]),
        channels_(input.dims[1]),
        pixels_(images_ * channels_ == 0 ? 0 : input.dims.count() / (images_ * channels_)),
        pitch_(output.pitch),
        scale_(scale),
        codes_(codes) {}

  void run(const Run& run) const override {
    const auto* from = static_cast<const float*>(run.inputs[0]);
    auto* to = static_cast<unsigned char*>(run.outputs[0]);
    const std::int64_t most = channels_ <= kFewChannels ? kMorePixels : kPixels;
    const std::int64_t blocks = (pixels_ + most - 1) / most;
    run.pool.run(images_ * blocks, [&](std::int64_t block) {
      const std::int64_t image = block / blocks;
      const std::int64_t pixel = block % blocks * most;
      const auto pixels = static_cast<std::size_t>(std::min(most, pixels_ - pixel));
      unsigned char codes[kChannels * kPixels];
      for (std::int64_t channel = 0; channel < channels_; channel += kChannels) {
        const std::int64_t channels = std::min(kChannels, channels_ - channel);
        for (std::int64_t i = 0; i < channels; ++i) {
          kernels_.quantize(from + (image * channels_ + channel + i) * pixels_ + pixel, codes + i * most, pixels,
                            scale_, codes_);
        }
        kernels_.transpose_bytes(codes, static_cast<std::size_t>(most), to + (image * pixels_ + pixel) * pitch_ + channel,
                                 static_cast<std::size_t>(pitch_), static_cast<std::size_t>(channels), pixels);
      }
    });
  }

 private:
  const kernels::Table& kernels_;
  std::int64_t images_;
  std::int64_t channels_;
  std::int64_t pixels_;
  std::int64_t pitch_;
  float scale_;
  kernels::CodesOut codes_;
};

class Quantize final : public Op {
 public:
  Quantize(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        codes_(attributes, ""),
        last_(attributes.text("layout", "same") == "last") {
    attributes.only({"scale", "zero", "type", "layout"});
    if (!last_ && attributes.text("layout", "same") != "same") throw Invalid("attribute 'layout' is no \"same\" or \"last\"");
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    if (inputs[0].type != Type::kF32) throw Invalid("quantize takes f32");
    return {Layout(codes_.type, last_ ? channels_last(inputs[0].dims) : inputs[0].dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    if (last_) {
      return std::make_unique<BoundQuantizeLast>(kernels_, inputs[0], outputs[0], codes_.scale, codes_.kernel());
    }
    return std::make_unique<BoundQuantize>(kernels_, inputs[0].dims.count(), codes_.scale, codes_.kernel());
  }

 private:
  const kernels::Table& kernels_;
  Coding codes_;
  bool last_;
};

}  // namespace

std::unique_ptr<Op> make_quantize(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Quantize>(attributes, kernels);
}

}  // namespace graphopt
