// Pooling of pixels whose channels lie together; written with the vectors of the tier that includes it.

// Calls part(pixel, channel, count) over all pixels and their channels, so many at a time.
template <size_t kStep, typename Part>
static inline void each_part(const Window& window, const Part& part) {
  for (size_t pixel = 0; pixel < window.pixels; ++pixel) {
    size_t channel = 0;
    for (; channel + kStep <= window.channels; channel += kStep) part(pixel, channel, kStep);
    if (channel < window.channels) part(pixel, channel, window.channels - channel);
  }
}

// Likewise of floats: wide(pixel, channel) for several vectors of channels, part(pixel, channel, count) for the rest.
template <typename Several, typename Part>
static inline void each_floats(const Window& window, const Several& wide, const Part& part) {
  for (size_t pixel = 0; pixel < window.pixels; ++pixel) {
    size_t channel = 0;
    for (; channel + kWideFloats <= window.channels; channel += kWideFloats) wide(pixel, channel);
    for (; channel < window.channels; channel += kFloats) {
      part(pixel, channel, window.channels - channel < kFloats ? window.channels - channel : kFloats);
    }
  }
}

// Calls tap(from) for all taps of a window that begins there.
template <typename From, typename Tap>
static inline void each_tap(const From* from, const Window& window, const Tap& tap) {
  for (size_t row = 0; row < window.rows; ++row, from += window.row_step) {
    const From* at = from;
    for (size_t i = 0; i < window.taps; ++i, at += window.tap_step) tap(at);
  }
}

static void max_pool(const uint8_t* from, uint8_t* to, const Window& window, uint8_t flip) {
  each_part<kBytes>(window, [&](size_t pixel, size_t channel, size_t count) {
    Bytes most = all_bytes(0);
    each_tap(from + pixel * window.step + channel, window, [&](const uint8_t* at) {
      most = greater_bytes(most, flipped(load_bytes(at, count), flip));
    });
    store_bytes(to + pixel * window.to_step + channel, count, flipped(most, flip));
  });
}

static void max_pool_f32(const float* from, float* to, const Window& window) {
  const auto wide = [&](size_t pixel, size_t channel) {
    Wide most = all(-3.402823466e+38F);
    each_tap(from + pixel * window.step + channel, window,
             [&](const float* at) { most = greater(load_wide(at), most); });
    store_wide(to + pixel * window.to_step + channel, most);
  };
  const auto one = [&](size_t pixel, size_t channel, size_t count) {
    Floats most = all(-3.402823466e+38F);
    each_tap(from + pixel * window.step + channel, window,
             [&](const float* at) { most = greater(load(at, count), most); });
    store(to + pixel * window.to_step + channel, count, most);
  };
  each_floats(window, wide, one);
}

static void average_pool(const uint8_t* from, uint8_t* to, const Window& window, const Average& average) {
  const Narrow narrow = narrowing(average.y);
  each_part<kBytes>(window, [&](size_t pixel, size_t channel, size_t count) {
    IntQuad sums = {};
    each_tap(from + pixel * window.step + channel, window, [&](const uint8_t* at) {
      const IntQuad codes = widened_ints(flipped(load_bytes(at, count), average.flip));
      for (size_t i = 0; i < 4; ++i) sums.at[i] = sum(sums.at[i], codes.at[i]);
    });
    Quad values;
    for (size_t i = 0; i < 4; ++i) {
      values.at[i] = to_floats(sum(sums.at[i], all_ints(-average.zeros))) * all(average.factor);
    }
    store_bytes(to + pixel * window.to_step + channel, count, narrowed(values, narrow));
  });
}

static void average_codes(const uint8_t* from, uint8_t* to, const Window& window, const AverageNumbers& average) {
  const Narrow narrow = narrowing(average.y);
  const Floats scale = all(average.scale);
  each_part<kBytes>(window, [&](size_t pixel, size_t channel, size_t count) {
    Quad sums = {{all(0), all(0), all(0), all(0)}};
    each_tap(from + pixel * window.step + channel, window, [&](const uint8_t* at) {
      const Quad codes = widened(flipped(load_bytes(at, count), average.in.flip), average.in.zero);
      for (size_t i = 0; i < 4; ++i) sums.at[i] = sums.at[i] + codes.at[i] * scale;
    });
    for (size_t i = 0; i < 4; ++i) {
      sums.at[i] = sums.at[i] / all(average.count) / all(average.y_scale) + all(average.y_zero);
    }
    store_bytes(to + pixel * window.to_step + channel, count, narrowed(sums, narrow));
  });
}

static void average_pool_f32(const float* from, float* to, const Window& window, float divisor) {
  const auto wide = [&](size_t pixel, size_t channel) {
    Wide total = all(0);
    each_tap(from + pixel * window.step + channel, window,
             [&](const float* at) { total = total + load_wide(at); });
    store_wide(to + pixel * window.to_step + channel, total / all(divisor));
  };
  const auto one = [&](size_t pixel, size_t channel, size_t count) {
    Floats total = all(0);
    each_tap(from + pixel * window.step + channel, window,
             [&](const float* at) { total = total + load(at, count); });
    store(to + pixel * window.to_step + channel, count, total / all(divisor));
  };
  each_floats(window, wide, one);
}
