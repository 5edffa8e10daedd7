// Depthwise convolutions, an output at a time.

namespace graphopt::kernels::scalar {

constexpr int kDepthwiseChannels = 16;

static void depthwise_strip(const DepthwiseStrip& strip) {
  const uint8_t flip = strip.flip ? 0x80 : 0;
  const int8_t* weights_of_row = strip.weights;
  for (int row = 0; row < strip.rows; ++row) {
    for (int64_t output = 0; output < strip.count; ++output) {
      uint32_t acc[kDepthwiseChannels];
      for (int c = 0; c < kDepthwiseChannels; ++c) acc[c] = static_cast<uint32_t>(strip.bias[c]);
      const int8_t* weights = weights_of_row;
      for (int group = 0; group < strip.groups; ++group) {
        for (int tap = 0; tap < strip.kernel_width; ++tap, weights += 4 * kDepthwiseChannels) {
          for (int i = 0; i < 4; ++i) {
            const int line = 4 * group + i;
            const int64_t place =
                strip.first + (output * strip.stride + tap * strip.dilation) * strip.advance + i * strip.shift;
            const bool inside = place >= 0 && place < strip.width;
            const uint8_t* codes = (inside ? strip.lines[line] + place * strip.pixels[line] : strip.blank) + strip.channel;
            for (int c = 0; c < strip.channels; ++c) {
              acc[c] += static_cast<uint32_t>((codes[c] ^ flip) * weights[4 * c + i]);
            }
          }
        }
      }
      for (int c = 0; c < strip.channels; ++c) {
        const auto sum = static_cast<int32_t>(acc[c]);
        if (strip.out.type == Type::kF32) {
          float number = static_cast<float>(sum) * strip.out.scale[c];
          if (strip.out.shift != nullptr) number += strip.out.shift[c];
          static_cast<float*>(strip.to[row])[output * strip.pitch + c] = number;
        } else {
          auto* to = static_cast<uint8_t*>(strip.to[row]) + output * strip.pitch;
          to[c] = to_code(sum, strip.out.scale[c], strip.out);
        }
      }
    }
    weights_of_row += strip.groups * strip.kernel_width * 4 * kDepthwiseChannels;
  }
}

static const Depthwise depthwise = {kDepthwiseChannels,
                                    kDepthwiseChannels,
                                    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                    INT64_MAX,
                                    false,
                                    &depthwise_strip};

}  // namespace graphopt::kernels::scalar
