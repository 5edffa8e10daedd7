#include "core/memory/outward.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <queue>
#include <set>
#include <utility>

namespace graphopt {
namespace {

// What is free below the highest end so far.
class Gaps {
 public:
  explicit Gaps(std::int64_t top) : top_(top) {}

  void give(std::int64_t offset, std::int64_t end) {
    auto above = by_offset_.lower_bound(offset);
    if (above != by_offset_.end() && above->first == end) {
      end = above->second;
      above = remove(above);
    }
    if (above != by_offset_.begin() && std::prev(above)->second == offset) {
      offset = std::prev(above)->first;
      remove(std::prev(above));
    }
    add(offset, end);
  }

  // The offset of the tightest gap that holds a size, or else of the top, which rises.
  std::int64_t take(std::int64_t size) {
    const auto tightest = by_size_.lower_bound({size, 0});
    if (tightest != by_size_.end()) {
      const std::int64_t offset = tightest->second, end = offset + tightest->first;
      remove(by_offset_.find(offset));
      if (end - offset > size) add(offset + size, end);
      return offset;
    }
    std::int64_t offset = top_;
    if (!by_offset_.empty() && by_offset_.rbegin()->second == top_) {
      offset = by_offset_.rbegin()->first;
      remove(std::prev(by_offset_.end()));
    }
    top_ = offset + size;
    return offset;
  }

 private:
  using Offsets = std::map<std::int64_t, std::int64_t>;  // offset -> end

  void add(std::int64_t offset, std::int64_t end) {
    by_offset_.emplace(offset, end);
    by_size_.emplace(end - offset, offset);
  }

  Offsets::iterator remove(Offsets::iterator gap) {
    by_size_.erase({gap->second - gap->first, gap->first});
    return by_offset_.erase(gap);
  }

  Offsets by_offset_;
  std::set<std::pair<std::int64_t, std::int64_t>> by_size_;  // size and offset
  std::int64_t top_;
};

int find_peak(const Problem& problem) {
  std::vector<std::int64_t> change(problem.sections + 1, 0);
  for (const Item& item : problem.items) {
    change[item.first] += item.size;
    change[item.last] -= item.size;
  }
  std::int64_t live = 0, most = 0;
  int peak = 0;
  for (int section = 0; section < problem.sections; ++section) {
    live += change[section];
    if (live > most) {
      most = live;
      peak = section;
    }
  }
  return peak;
}

double weight(const Item& item, int peak, Stacking stacking) {
  const double size = static_cast<double>(item.size), duration = item.last - item.first;
  switch (stacking) {
    case Stacking::kReach: return std::min(item.last - 1 - peak, peak - item.first);
    case Stacking::kDuration: return duration;
    case Stacking::kArea: return size * duration;
    case Stacking::kSize: return size;
  }
  return 0.0;
}

// One side of the peak, time running away from it: those of `items` begin after it, `from` and `until` tell when
// each begins and ends.
template <class From, class Until>
void place_side(const Problem& problem, const std::vector<int>& at_peak, std::vector<int> items, From from,
                Until until, std::vector<std::int64_t>& offsets) {
  using Ending = std::pair<int, int>;  // when, and which
  std::priority_queue<Ending, std::vector<Ending>, std::greater<Ending>> live;
  std::int64_t top = 0;
  for (int i : at_peak) {
    live.push({until(i), i});
    top += problem.items[i].size;
  }
  std::stable_sort(items.begin(), items.end(), [&](int a, int b) {
    return from(a) != from(b) ? from(a) < from(b) : problem.items[a].size > problem.items[b].size;
  });
  Gaps gaps(top);
  for (int i : items) {
    for (; !live.empty() && live.top().first <= from(i); live.pop()) {
      const int dead = live.top().second;
      gaps.give(offsets[dead], offsets[dead] + problem.items[dead].size);
    }
    offsets[i] = gaps.take(problem.items[i].size);
    live.push({until(i), i});
  }
}

}  // namespace

std::vector<std::int64_t> place_outward(const Problem& problem, Stacking stacking) {
  std::vector<std::int64_t> offsets(problem.items.size(), 0);
  const int peak = find_peak(problem);
  std::vector<int> at_peak, before, after;
  for (std::size_t i = 0; i < problem.items.size(); ++i) {
    const Item& item = problem.items[i];
    (item.last <= peak ? before : item.first > peak ? after : at_peak).push_back(static_cast<int>(i));
  }
  std::stable_sort(at_peak.begin(), at_peak.end(), [&](int a, int b) {
    return weight(problem.items[a], peak, stacking) > weight(problem.items[b], peak, stacking);
  });
  std::int64_t top = 0;
  for (int i : at_peak) {
    offsets[i] = top;
    top += problem.items[i].size;
  }
  const auto first = [&](int i) { return problem.items[i].first; };
  const auto last = [&](int i) { return problem.items[i].last; };
  const auto back_from = [&](int i) { return -problem.items[i].last; };
  const auto back_until = [&](int i) { return -problem.items[i].first; };
  place_side(problem, at_peak, std::move(after), first, last, offsets);
  place_side(problem, at_peak, std::move(before), back_from, back_until, offsets);
  return offsets;
}

}  // namespace graphopt
