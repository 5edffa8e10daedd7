#include "ops/convolution_form.h"

#include <cstring>

namespace graphopt {

namespace {

constexpr std::int64_t kMaxStrip = 4096;
// Copying them takes less time than finding each pixel.
constexpr std::int64_t kFewChannels = 48;
// Of the groups of a vector of columns.
constexpr std::int64_t kMostCodes = 64;

std::int64_t ceil_divide(std::int64_t a, std::int64_t by) { return (a + by - 1) / by; }

// The weights of a part: [columns][taps][read].
Panels panels_of(const Convolution& all, const Form& form, const Phase& phase, std::int64_t part,
                 const kernels::Gemm& kernel) {
  const auto taps = static_cast<std::int64_t>(phase.taps.size());
  std::vector<std::int8_t> weights(static_cast<std::size_t>(form.columns * taps * form.read));
  const std::int64_t columns_of_group = all.columns / all.groups;
  for (std::int64_t n = 0; n < form.columns; ++n) {
    const std::int8_t* column = all.weights.data() + (part * form.columns + n) * all.products();
    const std::int64_t first = form.group_columns > 0 ? 0 : n / columns_of_group * all.depth;
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t pixel = 0; pixel < form.span; ++pixel) {
        std::memcpy(weights.data() + (n * taps + tap) * form.read + pixel * form.depth + first,
                    column + phase.taps[static_cast<std::size_t>(tap)].weight + pixel * all.depth,
                    static_cast<std::size_t>(all.depth));
      }
    }
  }
  return {kernel, weights.data(), form.columns, taps, form.read, form.group_columns > 0};
}

// Columns of a panel of several groups, each of few columns; 0 where the kernel has no such panels.
std::int64_t columns_of_groups(const Convolution& all, const kernels::Gemm& kernel) {
  const std::int64_t columns = all.columns / all.groups;
  const bool divides = columns <= kernel.vector && kernel.vector % columns == 0 && all.columns % kernel.vector == 0;
  if (kernel.grouped == nullptr || all.groups == 1 || all.asymmetric || !divides || all.depth % 4 != 0) return 0;
  if (columns < kernel.vector && kernel.vector / columns * all.depth > kMostCodes) return 0;
  std::int64_t vectors = kernel.vectors;
  while (all.columns % (vectors * kernel.vector) != 0) --vectors;
  return vectors * kernel.vector;
}

}  // namespace

Form Form::of(const Convolution& all, const kernels::Gemm& kernel) {
  if (const std::int64_t columns = columns_of_groups(all, kernel); columns > 0) {
    const std::int64_t groups = columns * all.groups / all.columns;
    return {all.columns / columns, columns, groups * all.depth, all.columns / all.groups, 1, all.depth, all.depth};
  }
  const std::int64_t columns = all.columns / all.groups;
  std::int64_t merged = 1;
  std::int64_t least = -1;
  for (std::int64_t by = 1; by <= all.groups && by * columns <= 2 * kernel.vector * kernel.vectors; ++by) {
    if (all.groups % by != 0 || (by > 1 && all.asymmetric)) continue;
    const std::int64_t cost =
        all.groups / by * ceil_divide(by * all.depth, 4) * (ceil_divide(by * columns, kernel.vector) + 1);
    if (least >= 0 && cost >= least) continue;
    least = cost;
    merged = by;
  }
  Form form{all.groups / merged, merged * columns, merged * all.depth, 0, 1, 0, 0};
  const std::int64_t strip = all.kernel[1] * form.depth;
  const bool shorter = ceil_divide(strip, 4) < all.kernel[1] * ceil_divide(form.depth, 4) ||
                       form.depth % 4 != 0 || form.depth <= kFewChannels;
  if (!all.transposed && form.parts == 1 && all.kernel[1] > 1 && all.dilations[1] == 1 && shorter &&
      strip <= kMaxStrip && all.kernel[0] * strip <= kCopiedBytes / 2) {
    form.span = all.kernel[1];
  }
  form.length = form.span * form.depth;
  const std::int64_t segments = all.kernel[0] * all.kernel[1] / form.span;
  const bool rounds = form.parts == 1 && segments * form.length <= kCopiedBytes / 8;
  form.read = rounds ? ceil_divide(form.length, 4) * 4 : form.length;
  return form;
}

Packed::Packed(Phase phase, const Convolution& all, const Form& form, const kernels::Gemm& kernel)
    : Phase(std::move(phase)) {
  for (std::int64_t part = 0; part < form.parts; ++part) panels.push_back(panels_of(all, form, *this, part, kernel));
}

}  // namespace graphopt
