// The arena: pieces of memory placed by the searches that graphopt.memory uses.

#include <algorithm>
#include <numeric>

#include "core/memory/greedy.h"
#include "core/memory/improve.h"
#include "core/memory/outward.h"
#include "engine/plan.h"

namespace graphopt {

namespace {

// Programs are bound while their users wait. What one-pass placement leaves is worth this much of a search.
constexpr double kSeconds = 0.02;
constexpr std::int64_t kMostBytes = std::int64_t{1} << 60;

std::int64_t top(const Buffers& buffers, const std::vector<std::int64_t>& offsets) {
  std::int64_t highest = 0;
  for (std::size_t i = 0; i < offsets.size(); ++i) highest = std::max(highest, offsets[i] + buffers.size[i]);
  return highest;
}

// The most bytes that are live at a time: no arena is smaller.
std::int64_t most_live(const Buffers& buffers) {
  const std::int64_t end = *std::max_element(buffers.upper.begin(), buffers.upper.end());
  std::vector<std::int64_t> change(static_cast<std::size_t>(end) + 1, 0);
  for (std::size_t i = 0; i < buffers.count(); ++i) {
    change[static_cast<std::size_t>(buffers.lower[i])] += buffers.size[i];
    change[static_cast<std::size_t>(buffers.upper[i])] -= buffers.size[i];
  }
  std::int64_t live = 0, most = 0;
  for (const std::int64_t each : change) most = std::max(most, live += each);
  return most;
}

}  // namespace

Arena place(const std::vector<Pieces::Range>& ranges) {
  constexpr auto kUnit = static_cast<std::int64_t>(kAlignment);
  Buffers buffers;
  std::vector<std::size_t> which;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    if (ranges[i].bytes == 0) continue;
    const std::int64_t size = (ranges[i].bytes + kUnit - 1) / kUnit * kUnit;
    if (size > kMostBytes - total) throw Invalid("the values of the program take too many bytes");
    total += size;
    which.push_back(i);
    buffers.lower.push_back(ranges[i].first);
    buffers.upper.push_back(ranges[i].last + 1);
    buffers.size.push_back(size);
    buffers.alignment.push_back(kUnit);
    buffers.fixed.push_back(-1);
  }
  Arena arena;
  arena.offsets.assign(ranges.size(), 0);
  if (which.empty()) return arena;

  const Problem problem(buffers);
  std::vector<std::int64_t> best;
  std::int64_t least = 0;
  const auto offer = [&](std::vector<std::int64_t> offsets) {
    for (std::int64_t& offset : offsets) offset *= problem.unit;
    const std::int64_t size = top(buffers, offsets);
    if (!best.empty() && size >= least) return;
    best = std::move(offsets);
    least = size;
  };
  std::vector<int> by_size(which.size());
  std::iota(by_size.begin(), by_size.end(), 0);
  std::stable_sort(by_size.begin(), by_size.end(), [&](int a, int b) {
    return buffers.size[static_cast<std::size_t>(a)] > buffers.size[static_cast<std::size_t>(b)];
  });
  for (const Fit fit : {Fit::kFirst, Fit::kBest}) offer(place_greedily(problem, by_size, fit, after(kSeconds)));
  if (problem.uniform) {
    for (const Stacking stacking : {Stacking::kReach, Stacking::kArea, Stacking::kDuration, Stacking::kSize}) {
      offer(place_outward(problem, stacking));
    }
  }
  const std::int64_t bound = most_live(buffers);
  if (least > bound) {
    Improver improver(buffers, best, bound, bound, 0);
    improver.improve(kSeconds, kSeconds);
    best = improver.offsets();
    least = improver.arena();
  }
  for (std::size_t i = 0; i < which.size(); ++i) arena.offsets[which[i]] = static_cast<std::size_t>(best[i]);
  arena.bytes = static_cast<std::size_t>(least);
  return arena;
}

}  // namespace graphopt
