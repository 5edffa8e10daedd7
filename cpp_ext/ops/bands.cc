#include "ops/bands.h"

#include <algorithm>

namespace graphopt {

namespace {

// Groups of codes that take longer than another tile does.
constexpr std::int64_t kWorthwhile = 96;

// From the first tap that reaches a line of the input to the last one; all, if none does.
Segments taps_of(const Phase& phase, std::int64_t line, std::int64_t height) {
  const auto reaches = [&](const Tap& tap) {
    const std::int64_t input = line * phase.advance[0] + tap.offset[0];
    return input >= 0 && input < height;
  };
  const auto first = std::find_if(phase.taps.begin(), phase.taps.end(), reaches);
  if (first == phase.taps.end()) return phase.all_taps();
  const auto last = std::find_if(phase.taps.rbegin(), phase.taps.rend(), reaches);
  return {first - phase.taps.begin(), last.base() - phase.taps.begin()};
}

void extend(std::vector<Band>& bands, const Band& by) {
  if (!bands.empty() && bands.back().taps == by.taps) {
    bands.back().last = by.last;
  } else {
    bands.push_back(by);
  }
}

}  // namespace

std::vector<Band> bands_of(const Phase& phase, const Counts& counts, std::int64_t height, std::int64_t groups) {
  const Segments all = phase.all_taps();
  std::vector<Band> exact;
  for (std::int64_t line = 0; line < counts.of[0]; ++line) extend(exact, {line + 1, taps_of(phase, line, height)});
  std::vector<Band> bands;
  std::int64_t first = 0;
  for (Band band : exact) {
    const std::int64_t outputs = (band.last - first) * counts.of[1];
    first = band.last;
    if (outputs * (all.count() - band.taps.count()) * groups < kWorthwhile) band.taps = all;
    extend(bands, band);
  }
  return bands;
}

}  // namespace graphopt
