// Bilinear interpolation of pixels whose channels lie together; written with the vectors of the tier that includes it.

static inline Floats between(Floats first, Floats second, Floats weight) { return first + (second - first) * weight; }

template <size_t kStep, typename Part>
static inline void each_between(const Between& how, const Part& part) {
  for (size_t pixel = 0; pixel < how.pixels; ++pixel) {
    size_t channel = 0;
    for (; channel + kStep <= how.channels; channel += kStep) part(pixel, channel, kStep);
    if (channel < how.channels) part(pixel, channel, how.channels - channel);
  }
}

static void resize_linear(const uint8_t* top, const uint8_t* bottom, uint8_t* to, const Between& how, uint8_t flip) {
  const Narrow narrow = narrowing({flip, 0, 0, 255});
  each_between<kBytes>(how, [&](size_t pixel, size_t channel, size_t count) {
    const auto at = [&](const uint8_t* row, size_t offset) {
      return widened(flipped(load_bytes(row + offset + channel, count), flip), 0);
    };
    const size_t left = how.left[pixel];
    const size_t right = how.right[pixel];
    const Quad corners[] = {at(top, left), at(top, right), at(bottom, left), at(bottom, right)};
    const Floats x = all(how.x[pixel]);
    Quad values;
    for (size_t i = 0; i < 4; ++i) {
      values.at[i] = between(between(corners[0].at[i], corners[1].at[i], x),
                             between(corners[2].at[i], corners[3].at[i], x), all(how.y));
    }
    store_bytes(to + pixel * how.to_step + channel, count, narrowed(values, narrow));
  });
}

static void resize_linear_f32(const float* top, const float* bottom, float* to, const Between& how) {
  each_between<kFloats>(how, [&](size_t pixel, size_t channel, size_t count) {
    const auto at = [&](const float* row, size_t offset) { return load(row + offset + channel, count); };
    const size_t left = how.left[pixel];
    const size_t right = how.right[pixel];
    const Floats x = all(how.x[pixel]);
    store(to + pixel * how.to_step + channel, count,
          between(between(at(top, left), at(top, right), x), between(at(bottom, left), at(bottom, right), x),
                  all(how.y)));
  });
}
