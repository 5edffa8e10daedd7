// dequantize: codes, or sums of them (s32), to floats, (x - zero) * scale, and optionally channels to the front.
//
// Attributes: scale, zero; `layout`, "same" (the default) or "first" (N, spatial..., C -> N, C, spatial...).

#include <algorithm>

#include "ops/channels.h"
#include "ops/coding.h"
#include "ops/op.h"

namespace graphopt {

namespace {

constexpr std::int64_t kBlock = 1 << 14;
// Pixels and channels that are transposed to be dequantized together.
constexpr std::int64_t kPixels = 128;
constexpr std::int64_t kChannels = 64;
// Of images with fewer channels than that, more pixels.
constexpr std::int64_t kFewChannels = 4;
constexpr std::int64_t kMorePixels = kChannels * kPixels / kFewChannels;

class BoundDequantize final : public Bound {
 public:
  BoundDequantize(const kernels::Table& kernels, const Layout& input, float scale, const kernels::CodesIn& codes)
      : kernels_(kernels), count_(input.dims.count()), scale_(scale), codes_(codes) {}

  void run(const Run& run) const override {
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<float*>(run.outputs[0]);
    run.pool.run((count_ + kBlock - 1) / kBlock, [&](std::int64_t block) {
      const std::int64_t begin = block * kBlock;
      const std::int64_t count = std::min(kBlock, count_ - begin);
      kernels_.dequantize(from + begin, to + begin, static_cast<std::size_t>(count), scale_, codes_);
    });
  }

 private:
  const kernels::Table& kernels_;
  std::int64_t count_;
  float scale_;
  kernels::CodesIn codes_;
};

// Rare: sums are most often requantized where they are made.
class BoundDequantizeSums final : public Bound {
 public:
  BoundDequantizeSums(std::int64_t rows, std::int64_t columns, std::int64_t channels, float scale, std::int32_t zero)
      : images_(rows), pixels_(columns), channels_(channels), scale_(scale), zero_(static_cast<std::uint32_t>(zero)) {}

  void run(const Run& run) const override {
    const auto* from = static_cast<const std::uint32_t*>(run.inputs[0]);
    auto* to = static_cast<float*>(run.outputs[0]);
    run.pool.run(images_ * channels_, [&](std::int64_t block) {
      const std::int64_t image = block / channels_;
      const std::int64_t channel = block % channels_;
      const std::uint32_t* sums = from + image * pixels_ * channels_ + channel;
      for (std::int64_t pixel = 0; pixel < pixels_; ++pixel) {
        const auto value = static_cast<float>(static_cast<std::int32_t>(sums[pixel * channels_] - zero_));
        to[block * pixels_ + pixel] = value * scale_;
      }
    });
  }

 private:
  std::int64_t images_;
  std::int64_t pixels_;
  std::int64_t channels_;
  float scale_;
  std::uint32_t zero_;
};

class BoundDequantizeFirst final : public Bound {
 public:
  BoundDequantizeFirst(const kernels::Table& kernels, const Layout& input, std::int64_t pixels, float scale,
                       const kernels::CodesIn& codes)
      : kernels_(kernels),
        images_(input.dims[0]),
        channels_(input.dims[-1]),
        pixels_(pixels),
        pitch_(input.pitch),
        scale_(scale),
        codes_(codes) {}

  void run(const Run& run) const override {
    const auto* from = static_cast<const unsigned char*>(run.inputs[0]);
    auto* to = static_cast<float*>(run.outputs[0]);
    const std::int64_t most = channels_ <= kFewChannels ? kMorePixels : kPixels;
    const std::int64_t blocks = (pixels_ + most - 1) / most;
    run.pool.run(images_ * blocks, [&](std::int64_t block) {
      const std::int64_t image = block / blocks;
      const std::int64_t pixel = block % blocks * most;
      const auto pixels = static_cast<std::size_t>(std::min(most, pixels_ - pixel));
      unsigned char codes[kChannels * kPixels];
      for (std::int64_t channel = 0; channel < channels_; channel += kChannels) {
        const std::int64_t channels = std::min(kChannels, channels_ - channel);
        kernels_.transpose_bytes(from + (image * pixels_ + pixel) * pitch_ + channel, static_cast<std::size_t>(pitch_),
                                 codes, static_cast<std::size_t>(most), pixels, static_cast<std::size_t>(channels));
        for (std::int64_t i = 0; i < channels; ++i) {
          kernels_.dequantize(codes + i * most, to + (image * channels_ + channel + i) * pixels_ + pixel, pixels,
                              scale_, codes_);
        }
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
  kernels::CodesIn codes_;
};

class Dequantize final : public Op {
 public:
  Dequantize(const Attributes& attributes, const kernels::Table& kernels)
      : kernels_(kernels),
        scale_(scale_of(attributes, "scale")),
        zero_(input_zero_of(attributes, "zero")),
        first_(attributes.text("layout", "same") == "first") {
    attributes.only({"scale", "zero", "layout"});
    if (!first_ && attributes.text("layout", "same") != "same") throw Invalid("attribute 'layout' is no \"same\" or \"first\"");
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, 1);
    if (inputs[0].type != Type::kS32) codes_in(inputs[0].type, zero_);
    return {Layout(Type::kF32, first_ ? channels_first(inputs[0].dims) : inputs[0].dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts&) const override {
    const Dims& dims = inputs[0].dims;
    const std::int64_t channels = first_ ? dims[-1] : 1;
    const std::int64_t images = first_ ? dims[0] : 1;
    const std::int64_t pixels = dims.count() == 0 ? 0 : dims.count() / channels / images;
    if (inputs[0].type == Type::kS32) {
      return std::make_unique<BoundDequantizeSums>(images, pixels, channels, scale_, zero_);
    }
    const kernels::CodesIn codes = codes_in(inputs[0].type, zero_);
    if (first_) return std::make_unique<BoundDequantizeFirst>(kernels_, inputs[0], pixels, scale_, codes);
    return std::make_unique<BoundDequantize>(kernels_, inputs[0], scale_, codes);
  }

 private:
  const kernels::Table& kernels_;
  float scale_;
  int zero_;
  bool first_;
};

}  // namespace

std::unique_ptr<Op> make_dequantize(const Attributes& attributes, const kernels::Table& kernels) {
  return std::make_unique<Dequantize>(attributes, kernels);
}

}  // namespace graphopt
