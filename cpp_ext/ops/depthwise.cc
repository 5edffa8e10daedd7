// The kernel sums over four lines at once: four of the window's, some with weights of 0 where several lines of outputs
// are made of them, or, for windows of one line, four neighbouring pixels of it. Where the last channels fill at most
// half a block, it takes them of several lines of outputs at once.
//
// A weight less its zero point that s8 has no room for is the sum of several that it has: lines are read once for each.

#include "ops/depthwise.h"

#include <algorithm>

#include "ops/epilogue.h"

namespace graphopt {

namespace {

constexpr int kMaxRows = 4;
constexpr int kMaxStreams = 4;
// Lines of a window, filled up to fours.
constexpr std::int64_t kMaxLines = 256;
constexpr std::int64_t kOutputsOfStrip = 512;
constexpr std::int64_t kBlocksWanted = 16;
// Lines of outputs of direct strips that are made one after the other: each is too short to be worth its beginning.
constexpr std::int64_t kLinesOfDirect = 8;
constexpr std::int64_t kMaxTall = std::max<std::int64_t>(kMaxStreams, kLinesOfDirect);
// Products that are worth a block of their own.
constexpr std::int64_t kWorthwhile = 1 << 15;

std::int64_t ceil_divide(std::int64_t a, std::int64_t by) { return (a + by - 1) / by; }

std::int64_t without_zero(const Convolution& all, std::int64_t channel, std::int64_t product) {
  return std::int64_t{all.weights[static_cast<std::size_t>(channel * all.products() + product)]} -
         all.zeros[static_cast<std::size_t>(channel)];
}

// Numbers of s8 that add up to any of the weights without their zero points.
std::int64_t terms_of(const Convolution& all) {
  std::int64_t most = 1;
  if (!all.asymmetric) return most;
  for (std::int64_t channel = 0; channel < all.columns; ++channel) {
    for (std::int64_t i = 0; i < all.products(); ++i) {
      const std::int64_t weight = without_zero(all, channel, i);
      most = std::max({most, ceil_divide(weight, 127), ceil_divide(-weight, 128)});
    }
  }
  return most;
}

// One of them.
std::int8_t term_of(std::int64_t weight, std::int64_t term) {
  std::int64_t part = 0;
  for (std::int64_t i = 0; i <= term; ++i, weight -= part) part = std::clamp<std::int64_t>(weight, -128, 127);
  return static_cast<std::int8_t>(part);
}

// Line and column of the window that each weight of a direct strip goes with; none if -1.
struct Tap {
  std::int64_t line;
  std::int64_t column;
};
constexpr Tap kPaired[4][4] = {{{0, 0}, {1, 0}, {2, 0}, {-1, -1}},
                               {{0, 2}, {1, 2}, {2, 2}, {0, 1}},
                               {{1, 1}, {2, 1}, {-1, -1}, {-1, -1}},
                               {{-1, -1}, {-1, -1}, {1, 1}, {2, 1}}};
constexpr Tap kFives[7][4] = {{{0, 0}, {1, 0}, {2, 0}, {3, 0}}, {{0, 1}, {1, 1}, {2, 1}, {3, 1}},
                              {{0, 2}, {1, 2}, {2, 2}, {3, 2}}, {{0, 3}, {1, 3}, {2, 3}, {3, 3}},
                              {{0, 4}, {1, 4}, {2, 4}, {3, 4}}, {{-1, -1}, {4, 0}, {-1, -1}, {-1, -1}},
                              {{4, 1}, {4, 2}, {4, 3}, {4, 4}}};

// The window as the kernel sees it.
struct Form {
  explicit Form(const Convolution& all) {
    groups = ceil_divide(all.kernel[0], 4);
    terms = terms_of(all);
    width = all.kernel[1];
    stride = all.strides[1];
    dilation = all.dilations[1];
    if (all.kernel[0] > 1) {
      if (all.dilations[0] > 1) return;
      lines = static_cast<int>(std::min<std::int64_t>(kMaxRows, (4 * groups - all.kernel[0]) / all.strides[0] + 1));
      return;
    }
    flat = true;
    if (dilation > 1 || 4 % stride != 0) {
      width = ceil_divide(width, 4);
      dilation *= 4;
      return;
    }
    // Fours of pixels that are not in two fours: of the outputs that begin in one, each has weights of its own.
    phases = static_cast<int>(4 / stride);
    advance = 4;
    width = ceil_divide(width + 4 - stride, 4);
    stride = 1;
  }

  // Fours of weights of a channel.
  std::int64_t fours() const { return direct ? (width == 3 ? 4 : 7) : lines * phases * terms * groups * width; }

  std::int64_t term(std::int64_t i) const { return i / 4 / width / groups % terms; }

  // Line and column of the window that weight i of a channel goes with; outside of it for none.
  Tap tap(std::int64_t i, const Convolution& all) const {
    const std::int64_t four = i / 4;
    if (direct) return width == 3 ? kPaired[four][i % 4] : kFives[four][i % 4];
    const std::int64_t column = four % width;
    const std::int64_t row = four / width / groups / terms;
    if (flat) return {0, 4 * column + i % 4 - row * all.strides[1]};
    return {four / width % groups * 4 + i % 4 - row * all.strides[0], column};
  }

  bool flat = false;  // the window is one line
  bool direct = false;  // as DepthwiseStrip says
  std::int64_t groups;
  // What each weight is the sum of; for each all lines once more.
  std::int64_t terms;
  // In places of `advance` pixels.
  std::int64_t width;
  std::int64_t stride;
  std::int64_t dilation;
  std::int64_t advance = 1;
  // Lines of outputs made at once; or, of one line, neighbouring outputs.
  int lines = 1;
  int phases = 1;
};

struct Shared {
  Epilogue epilogue;
  Form form;
  Convolution all;
  const kernels::Depthwise* kernel;
  std::int64_t blocks;   // of channels
  std::int64_t streams;  // of the last block; the others have one
  // By place instead of channel, padded to whole blocks.
  Aligned<float> scale;
  Aligned<float> shift;
  Aligned<std::int8_t> weights;
};

std::int64_t bytes_of_block(const Shared& shared) {
  return shared.form.fours() * shared.kernel->channels * 4;
}

std::int64_t streams_of(const Shared& shared, std::int64_t block) {
  return block == shared.blocks - 1 ? shared.streams : 1;
}

// The channel at a place, or -1.
std::int64_t channel_at(const Shared& shared, std::int64_t place) {
  const std::int64_t width = shared.kernel->channels;
  const std::int64_t streams = streams_of(shared, place / width);
  const std::int64_t channel = place / width * width + shared.kernel->order[place % width] % (width / streams);
  return channel < shared.all.columns ? channel : -1;
}

class BoundDepthwise final : public Bound {
 public:
  BoundDepthwise(const Shared& shared, const Layouts& inputs, const Layout& y)
      : shared_(shared),
        x_(inputs[0]),
        y_(y),
        r_(inputs.back()),
        addition_(shared.epilogue.addition(r_.type, y.dims.count(), false)),
        blank_(static_cast<std::size_t>((shared.form.direct ? (x_.dims[2] - 1) * x_.pitch : 0) + x_.dims[3]),
               static_cast<unsigned char>(shared.all.x_zero)),
        bias_(shared.blocks * shared.kernel->channels),
        tall_(shared.form.direct ? kLinesOfDirect : shared.form.lines * shared.streams),
        lines_(ceil_divide(y.dims[1], tall_)),
        strips_(ceil_divide(y.dims[2], kOutputsOfStrip)) {
    const Convolution& all = shared.all;
    for (std::int64_t place = 0; place < shared.blocks * shared.kernel->channels; ++place) {
      const std::int64_t channel = channel_at(shared, place);
      if (channel < 0) continue;
      std::int64_t sum = 0;
      for (std::int64_t i = 0; i < all.products(); ++i) sum += without_zero(all, channel, i);
      bias_[place] = all.folded_bias(channel, x_.type, static_cast<std::int32_t>(sum), 0);
    }
    const std::int64_t units = y.dims[0] * lines_ * strips_;
    // A block of channels with several streams is as much work as one without them, for all of its lines.
    const std::int64_t work = all.products() * shared.kernel->channels * std::min(y.dims[2], kOutputsOfStrip) *
                              std::min(tall_, y.dims[1]) / shared.streams;
    const std::int64_t most = ceil_divide(work * ((shared.blocks - 1) * shared.streams + 1), kWorthwhile);
    const std::int64_t wanted = std::min(most, ceil_divide(kBlocksWanted, std::max<std::int64_t>(1, units)));
    channel_blocks_ = ceil_divide(shared.blocks, std::max<std::int64_t>(1, wanted));
    parts_ = ceil_divide(shared.blocks, channel_blocks_);
    blocks_ = units * parts_;
  }

  void run(const Run& run) const override {
    run.pool.run(blocks_, [&](std::int64_t block) { run_block(run, block); });
  }

 private:
  void run_block(const Run& run, std::int64_t block) const {
    const Convolution& all = shared_.all;
    const Form& form = shared_.form;
    const std::int64_t first = block % parts_ * channel_blocks_;
    const std::int64_t last = std::min(first + channel_blocks_, shared_.blocks);
    block /= parts_;
    const std::int64_t begin = block % strips_ * kOutputsOfStrip;
    const std::int64_t count = std::min(kOutputsOfStrip, y_.dims[2] - begin);
    block /= strips_;
    const std::int64_t line = block % lines_ * tall_;
    const std::int64_t image = block / lines_;
    const std::int64_t left = std::min(tall_, y_.dims[1] - line);
    const std::int64_t place = (image * y_.dims[1] + line) * y_.dims[2] + begin;
    const auto size = static_cast<std::int64_t>(size_of(y_.type));
    auto* y = static_cast<unsigned char*>(run.outputs[0]) + place * y_.pitch * size;
    const std::int64_t single = std::min(last, shared_.streams == 1 ? shared_.blocks : shared_.blocks - 1);
    const std::int64_t step = form.direct ? left : form.lines;
    for (std::int64_t done = 0; done < left && first < single; done += step) {
      run_strips(run, {image, line + done, std::min(step, left - done), begin, count, 1}, first, single);
    }
    if (single < last) run_strips(run, {image, line, left, begin, count, shared_.streams}, single, last);
    if (!shared_.epilogue.unfinished(addition_)) return;
    const std::int64_t channel = first * shared_.kernel->channels;
    const std::int64_t channels = std::min(last * shared_.kernel->channels, all.columns) - channel;
    for (std::int64_t row = 0; row < left; ++row) {
      const void* residual = nullptr;
      if (shared_.epilogue.residual()) {
        residual = static_cast<const unsigned char*>(run.inputs[1]) +
                   ((place + row * y_.dims[2]) * r_.pitch + channel) * size;
      }
      shared_.epilogue.finish(y + (row * y_.dims[2] * y_.pitch + channel) * size, y_.pitch, residual, r_.pitch,
                              addition_, count, channels);
    }
  }

  // Outputs `begin` to `begin + count` of neighbouring lines of an image.
  struct Part {
    std::int64_t image;
    std::int64_t line;
    std::int64_t lines;
    std::int64_t begin;
    std::int64_t count;
    std::int64_t streams;
  };

  // Of blocks `first` to `last` of the channels.
  void run_strips(const Run& run, const Part& part, std::int64_t first, std::int64_t last) const {
    const Convolution& all = shared_.all;
    const Form& form = shared_.form;
    const std::int64_t lines_of_outputs = std::min<std::int64_t>(form.lines, part.lines);
    // Of a stream.
    const std::int64_t height = form.direct ? ceil_divide(part.lines, part.streams) : 1;
    const auto* x = static_cast<const std::uint8_t*>(run.inputs[0]) + part.image * x_.dims[1] * x_.dims[2] * x_.pitch;
    const auto size = static_cast<std::int64_t>(size_of(y_.type));
    const std::int64_t place = (part.image * y_.dims[1] + part.line) * y_.dims[2] + part.begin;
    auto* y = static_cast<unsigned char*>(run.outputs[0]) + place * y_.pitch * size;
    const std::uint8_t* lines[kMaxStreams * kMaxLines];
    std::int64_t pixels[kMaxStreams * kMaxLines];
    const std::uint8_t* const* windows[kMaxTall];
    std::int64_t outputs[kMaxTall];
    for (std::int64_t each = 0; each < height * part.streams; ++each) {
      // Where lines are left for less than all streams, some are computed twice.
      outputs[each] = std::min(each * lines_of_outputs, part.lines - lines_of_outputs);
    }
    if (form.direct) {
      // Windows of neighbouring lines of outputs share most of theirs.
      const std::int64_t first_line = part.line * all.strides[0] - all.pads[0];
      const std::int64_t count = (part.lines - 1) * all.strides[0] + all.kernel[0];
      for (std::int64_t line = 0, input = first_line; line < count; ++line, ++input) {
        const bool inside = input >= 0 && input < x_.dims[1];
        lines[line] = inside ? x + input * x_.dims[2] * x_.pitch : blank_.data();
      }
      pixels[0] = x_.pitch;
      for (std::int64_t each = 0; each < height * part.streams; ++each) {
        windows[each] = lines + outputs[each] * all.strides[0];
      }
    } else {
      std::int64_t count_of_lines = 0;
      for (std::int64_t stream = 0; stream < part.streams; ++stream) {
        const std::int64_t first_line = (part.line + outputs[stream]) * all.strides[0] - all.pads[0];
        const std::int64_t down = form.flat ? 0 : all.dilations[0];
        for (std::int64_t term = 0; term < form.terms; ++term) {
          std::int64_t input = first_line;
          for (std::int64_t line = 0; line < 4 * form.groups; ++line, ++count_of_lines, input += down) {
            const bool inside = input >= 0 && input < x_.dims[1];
            lines[count_of_lines] = inside ? x + input * x_.dims[2] * x_.pitch : blank_.data();
            pixels[count_of_lines] = inside ? x_.pitch : 0;
          }
        }
      }
    }
    void* to[kMaxStreams * kMaxRows];
    kernels::DepthwiseStrip strip;
    strip.lines = lines;
    strip.pixels = pixels;
    strip.windows = windows;
    strip.blank = blank_.data();
    strip.advance = form.advance;
    strip.shift = form.flat ? all.dilations[1] : 0;
    strip.width = x_.dims[2];
    strip.flip = x_.type == Type::kS8;
    strip.streams = static_cast<int>(part.streams);
    strip.direct = form.direct;
    strip.height = height;
    strip.groups = static_cast<int>(form.groups * form.terms);
    strip.kernel_width = static_cast<int>(form.width);
    strip.stride = form.stride;
    strip.dilation = form.dilation;
    strip.out = shared_.epilogue.tile();
    strip.to = to;
    strip.pitch = form.phases * y_.pitch;
    // From one row of the kernel to the next, in pixels of the result.
    const std::int64_t step = form.phases == 1 ? y_.dims[2] : 1;
    for (std::int64_t each = first; each < last; ++each) {
      const std::int64_t channel = each * shared_.kernel->channels;
      strip.channel = channel;
      strip.channels = static_cast<int>(std::min<std::int64_t>(shared_.kernel->channels, all.columns - channel));
      strip.weights = shared_.weights.data() + each * bytes_of_block(shared_);
      strip.bias = bias_.data() + channel;
      strip.out.scale = shared_.scale.data() + channel;
      if (strip.out.shift != nullptr) strip.out.shift = shared_.shift.data() + channel;
      // Of outputs `from` to `from + count * rows`.
      const auto run_rows = [&](std::int64_t from, std::int64_t count, std::int64_t rows) {
        strip.first = (part.begin + from) * all.strides[1] - all.pads[1];
        strip.count = count;
        strip.rows = static_cast<int>(rows);
        for (std::int64_t each = 0; each < height * part.streams; ++each) {
          std::int64_t output = outputs[each] * y_.dims[2] + from;
          for (std::int64_t row = 0; row < rows; ++row, output += step) {
            to[each * rows + row] = y + (output * y_.pitch + channel) * size;
          }
        }
        shared_.kernel->strip(strip);
      };
      if (form.phases == 1) {
        run_rows(0, part.count, lines_of_outputs);
        continue;
      }
      const std::int64_t whole = part.count / form.phases;
      const std::int64_t over = part.count % form.phases;
      if (whole > 0) run_rows(0, whole, form.phases);
      if (over > 0) run_rows(whole * form.phases, 1, over);
    }
  }

  const Shared& shared_;
  Layout x_;
  Layout y_;
  Layout r_;
  Addition addition_;
  std::vector<std::uint8_t> blank_;  // a pixel; of direct strips, a line
  Aligned<std::int32_t> bias_;
  std::int64_t tall_;    // lines of outputs of a block of work
  std::int64_t lines_;   // of outputs, times those of a block
  std::int64_t strips_;  // of a line
  std::int64_t channel_blocks_ = 0;  // of a block of work
  std::int64_t parts_ = 0;           // of the channels
  std::int64_t blocks_ = 0;
};

class DepthwiseConvolution final : public Op {
 public:
  DepthwiseConvolution(const Attributes& attributes, const kernels::Table& kernels, Convolution convolution)
      : shared_{Epilogue(attributes, kernels, convolution.scales),
                Form(convolution),
                std::move(convolution),
                &kernels.depthwise,
                0,
                1,
                {},
                {},
                {}} {
    const Convolution& all = shared_.all;
    const Form& form = shared_.form;
    const kernels::Requantize& tile = shared_.epilogue.tile();
    const std::int64_t width = shared_.kernel->channels;
    shared_.form.direct = shared_.kernel->direct && all.kernel[0] == all.kernel[1] &&
                          (all.kernel[0] == 3 || all.kernel[0] == 5) && all.strides[0] <= 2 &&
                          all.strides[1] == 2 && all.dilations[0] == 1 && all.dilations[1] == 1 && form.terms == 1 &&
                          tile.type != Type::kF32 && !tile.large;
    if (form.direct) shared_.form.lines = 1;
    shared_.blocks = ceil_divide(all.columns, width);
    const std::int64_t room = std::min<std::int64_t>(kMaxStreams, width / shared_.kernel->least);
    const std::int64_t last = all.columns - (shared_.blocks - 1) * width;
    while (2 * shared_.streams <= room && 2 * shared_.streams * last <= width) shared_.streams *= 2;
    shared_.scale = Aligned<float>(shared_.blocks * width);
    shared_.shift = Aligned<float>(shared_.blocks * width);
    shared_.weights = Aligned<std::int8_t>(shared_.blocks * bytes_of_block(shared_));
    for (std::int64_t place = 0; place < shared_.blocks * width; ++place) {
      const std::int64_t channel = channel_at(shared_, place);
      if (channel < 0) continue;
      shared_.scale[place] = tile.scale[channel];
      if (tile.shift != nullptr) shared_.shift[place] = tile.shift[channel];
      std::int8_t* to = shared_.weights.data() + place / width * bytes_of_block(shared_) + place % width * 4;
      for (std::int64_t i = 0; i < 4 * form.fours(); ++i) {
        const Tap tap = form.tap(i, all);
        if (tap.line < 0 || tap.line >= all.kernel[0] || tap.column < 0 || tap.column >= all.kernel[1]) continue;
        const std::int64_t weight = without_zero(all, channel, tap.line * all.kernel[1] + tap.column);
        to[i / 4 * width * 4 + i % 4] = term_of(weight, form.term(i));
      }
    }
  }

  Layouts infer(const Layouts& inputs) const override {
    expect_inputs(inputs, shared_.epilogue.residual() ? 2 : 1);
    const Dims dims = shared_.all.result(inputs[0]);
    if (shared_.epilogue.residual()) shared_.epilogue.expect_residual(inputs[1], dims);
    return {Layout(shared_.epilogue.type(), dims)};
  }

  std::unique_ptr<Bound> bind(const Layouts& inputs, const Layouts& outputs) const override {
    return std::make_unique<BoundDepthwise>(shared_, inputs, outputs[0]);
  }

  bool pitched() const override { return true; }

 private:
  Shared shared_;
};

}  // namespace

bool is_depthwise(const Convolution& all, const kernels::Depthwise& kernel) {
  if (all.transposed || all.depth != 1 || all.columns != all.groups) return false;
  const Form form(all);
  const std::int64_t places = (form.width - 1) * form.dilation + 1;
  const std::int64_t groups = form.groups * form.terms;
  return 4 * groups <= kMaxLines && places <= kernel.places / groups;
}

std::unique_ptr<Op> make_depthwise(const Attributes& attributes, const kernels::Table& kernels,
                                   Convolution convolution) {
  return std::make_unique<DepthwiseConvolution>(attributes, kernels, std::move(convolution));
}

}  // namespace graphopt
