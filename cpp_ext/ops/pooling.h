// Windows that slide over images N, H, W, C; those at the borders are cut to what lies in the image.
//
// Attributes: kernel [2], strides [2], pads [4] (top, left, bottom, right), dilations [2] if any, ceil 0 or 1.
#pragma once

#include <algorithm>

#include "ops/op.h"

namespace graphopt {

class Pooling {
 public:
  // `dilated`: there may be an attribute `dilations`.
  Pooling(const Attributes& attributes, bool dilated);

  // Throws Invalid if that is no image, or one that is far too small.
  Dims result(const Dims& x) const;

  // Calls part(from, to, window, count) for all windows, in parallel: offsets of elements, and how many places of the
  // window lie in the padded image.
  template <typename Part>
  void run(ThreadPool& pool, const Layout& x, const Layout& y, const Part& part) const {
    const std::int64_t rows = y.dims[0] * y.dims[1];
    const std::int64_t row = std::max<std::int64_t>(1, y.dims[2] * y.dims[3]);
    const std::int64_t block = std::max<std::int64_t>(1, kBlockElements / row);
    pool.run((rows + block - 1) / block, [&](std::int64_t index) {
      const std::int64_t end = std::min((index + 1) * block, rows);
      for (std::int64_t at = index * block; at < end; ++at) run_row(x, y, at, part);
    });
  }

 private:
  static constexpr std::int64_t kBlockElements = 1 << 13;

  // The places of a window along one side that lie in the image, and how many lie in the padded image.
  struct Span {
    std::int64_t start;  // in the image
    std::int64_t taps;
    std::int64_t count;
  };

  Span span(int side, std::int64_t position, std::int64_t size) const;

  template <typename Part>
  void run_row(const Layout& x, const Layout& y, std::int64_t row, const Part& part) const {
    const std::int64_t height = x.dims[1];
    const std::int64_t width = x.dims[2];
    const Span down = span(0, row % y.dims[1], height);
    const std::int64_t source = (row / y.dims[1] * height + down.start) * width;
    const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
    for (std::int64_t pixel = 0; pixel < y.dims[2];) {
      const Span across = span(1, pixel, width);
      std::int64_t pixels = 1;
      if (across.taps == kernel_[1]) {
        // All windows from here on that lie in the image as a whole.
        const std::int64_t last = (width - extent(1) + pads_[1]) / strides_[1];
        pixels = std::min(last, y.dims[2] - 1) - pixel + 1;
      }
      const kernels::Window window = {size(across.taps == 0 ? 0 : down.taps),
                                      size(dilations_[0] * width * x.pitch),
                                      size(across.taps),
                                      size(dilations_[1] * x.pitch),
                                      size(pixels),
                                      size(strides_[1] * x.pitch),
                                      size(y.pitch),
                                      size(x.dims[3])};
      part((source + across.start) * x.pitch, (row * y.dims[2] + pixel) * y.pitch, window, down.count * across.count);
      pixel += pixels;
    }
  }

  std::int64_t extent(int side) const { return (kernel_[side] - 1) * dilations_[side] + 1; }

  std::int64_t kernel_[2];
  std::int64_t strides_[2];
  std::int64_t pads_[4];
  std::int64_t dilations_[2];
  bool ceil_;
};

}  // namespace graphopt
