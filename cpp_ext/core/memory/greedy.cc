#include "core/memory/greedy.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace graphopt {
namespace {

constexpr int kItemsPerLook = 32;  // between two looks at the clock

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return step == 1 ? value : (value + step - 1) / step * step;
}

// Items by the sections they live in. An interval lies in O(log n) nodes of a segment tree, so that the items
// live in a section are those on one path to the root.
class LiveItems {
 public:
  explicit LiveItems(const Problem& problem) : problem_(problem) {
    while (leaves_ < problem.sections) leaves_ *= 2;
    nodes_.resize(2 * leaves_);
    starting_.resize(problem.sections);
  }

  void add(int item) {
    const Item& range = problem_.items[item];
    starting_[range.first].push_back(item);
    int low = range.first + leaves_, high = range.last + leaves_;
    for (; low < high; low /= 2, high /= 2) {
      if (low % 2 == 1) nodes_[low++].push_back(item);
      if (high % 2 == 1) nodes_[--high].push_back(item);
    }
  }

  // Calls `visit` with each item that shares a section with this one.
  template <class Visit>
  void overlapping(int item, Visit visit) const {
    const Item& range = problem_.items[item];
    for (int node = range.first + leaves_; node > 0; node /= 2) {
      for (int other : nodes_[node]) visit(other);
    }
    for (int s = range.first + 1; s < range.last; ++s) {
      for (int other : starting_[s]) visit(other);
    }
  }

 private:
  const Problem& problem_;
  int leaves_ = 1;
  std::vector<std::vector<int>> nodes_, starting_;
};

// The highest end of anything over each section: maximum over a range, and raising a range.
class Skyline {
 public:
  explicit Skyline(int sections) {
    while (leaves_ < sections) leaves_ *= 2;
    highest_.assign(2 * leaves_, 0);
    raised_.assign(2 * leaves_, 0);
  }

  std::int64_t highest(int first, int last) const { return highest(1, 0, leaves_, first, last); }
  void raise(int first, int last, std::int64_t end) { raise(1, 0, leaves_, first, last, end); }

 private:
  // `raised_` holds what covers a node as a whole, `highest_` the maximum in it.
  std::int64_t highest(int node, int low, int high, int first, int last) const {
    if (last <= low || high <= first) return 0;
    if (first <= low && high <= last) return highest_[node];
    const int middle = (low + high) / 2;
    return std::max({raised_[node], highest(2 * node, low, middle, first, last),
                     highest(2 * node + 1, middle, high, first, last)});
  }

  void raise(int node, int low, int high, int first, int last, std::int64_t end) {
    if (last <= low || high <= first) return;
    highest_[node] = std::max(highest_[node], end);
    if (first <= low && high <= last) {
      raised_[node] = std::max(raised_[node], end);
      return;
    }
    const int middle = (low + high) / 2;
    raise(2 * node, low, middle, first, last, end);
    raise(2 * node + 1, middle, high, first, last, end);
  }

  int leaves_ = 1;
  std::vector<std::int64_t> highest_, raised_;
};

using Span = std::pair<std::int64_t, std::int64_t>;  // offset and end

// Looks for a place among what is taken, which it is told from the bottom upwards.
class Gap {
 public:
  Gap(const Item& item, Fit fit) : item_(item), fit_(fit) {}

  // Whether the place is found, so that no more need be told.
  bool tell(std::int64_t offset, std::int64_t end) {
    const std::int64_t candidate = round_up(end_, item_.alignment), gap = offset - candidate;
    if (gap >= item_.size && gap < best_gap_) {
      best_ = candidate;
      best_gap_ = gap;
      if (fit_ == Fit::kFirst) return true;
    }
    end_ = std::max(end_, end);
    return false;
  }

  std::int64_t place() const { return best_ >= 0 ? best_ : round_up(end_, item_.alignment); }

 private:
  const Item& item_;
  Fit fit_;
  std::int64_t end_ = 0, best_ = -1, best_gap_ = std::numeric_limits<std::int64_t>::max();
};

// Finds gaps among the placed items that are live together with an item.
class Finder {
 public:
  Finder(const Problem& problem, const std::vector<std::int64_t>& offsets)
      : problem_(problem), offsets_(offsets), live_(problem), is_deep_(deep(problem)) {}

  void add(int item) {
    if (!is_deep_) return live_.add(item);
    const Item& placed = problem_.items[item];
    const Taken taken{offsets_[item], offsets_[item] + placed.size, placed.first, placed.last};
    const auto above = [](const Taken& a, const Taken& b) { return a.offset < b.offset; };
    taken_.insert(std::upper_bound(taken_.begin(), taken_.end(), taken, above), taken);
  }

  std::int64_t find(int item, Fit fit) {
    const Item& range = problem_.items[item];
    Gap gap(range, fit);
    if (is_deep_) {
      for (const Taken& each : taken_) {
        const bool together = each.first < range.last && range.first < each.last;
        if (together && gap.tell(each.offset, each.end)) break;
      }
      return gap.place();
    }
    spans_.clear();
    live_.overlapping(item, [&](int j) { spans_.push_back({offsets_[j], offsets_[j] + problem_.items[j].size}); });
    std::sort(spans_.begin(), spans_.end());
    for (const Span& span : spans_) {
      if (gap.tell(span.first, span.second)) break;
    }
    return gap.place();
  }

 private:
  struct Taken {
    std::int64_t offset, end;
    int first, last;
  };

  // Whether so many items are live together that walking over all of them beats sorting those that are.
  static bool deep(const Problem& problem) {
    constexpr std::int64_t kShare = 16;
    std::int64_t sections = 0;
    for (const Item& item : problem.items) sections += item.last - item.first;
    const std::int64_t live = problem.sections == 0 ? 0 : sections / problem.sections;
    return live * kShare > static_cast<std::int64_t>(problem.items.size());
  }

  const Problem& problem_;
  const std::vector<std::int64_t>& offsets_;
  LiveItems live_;
  bool is_deep_;
  std::vector<Taken> taken_;  // by ascending offset
  std::vector<Span> spans_;
};

}  // namespace

std::vector<std::int64_t> place_greedily(const Problem& problem, const std::vector<int>& order, Fit fit,
                                         Clock::time_point deadline) {
  std::vector<std::int64_t> offsets(problem.items.size(), 0);
  Finder finder(problem, offsets);
  Skyline skyline(problem.sections);
  const auto put = [&](int i, std::int64_t offset) {
    const Item& item = problem.items[i];
    offsets[i] = offset;
    finder.add(i);
    skyline.raise(item.first, item.last, offset + item.size);
  };
  for (int i : order) {
    if (problem.items[i].fixed >= 0) put(i, problem.items[i].fixed);
  }
  bool in_time = true;
  int looked = 0;
  for (int i : order) {
    const Item& item = problem.items[i];
    if (item.fixed >= 0) continue;
    if (in_time && ++looked % kItemsPerLook == 0) in_time = Clock::now() < deadline;
    if (!in_time) {
      offsets[i] = round_up(skyline.highest(item.first, item.last), item.alignment);
      skyline.raise(item.first, item.last, offsets[i] + item.size);
      continue;
    }
    put(i, finder.find(i, fit));
  }
  return offsets;
}

}  // namespace graphopt
