#include "core/memory/search.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <numeric>
#include <unordered_set>

namespace graphopt {
namespace {

constexpr std::size_t kMostFailed = std::size_t{1} << 20;  // remembered states, 32 bytes or so each
constexpr std::int64_t kNodesPerLook = 64;                  // between two looks at the clock
constexpr double kBlameGrowth = 1.0003;                     // of what a failure counts, from one to the next
constexpr double kMostBlame = 1e100;

std::uint64_t mix(std::uint64_t x) {  // the finish of SplitMix64
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

struct Key128 {
  std::uint64_t low, high;
  bool operator==(const Key128& other) const { return low == other.low && high == other.high; }
};

struct Key128Hash {
  std::size_t operator()(const Key128& key) const { return static_cast<std::size_t>(key.low); }
};

// T holds offsets in units: four times the capacity must fit in it.
template <class T>
class Search final : public PlacementSearch {
 public:
  Search(const Problem& problem, std::int64_t capacity);

  Outcome run(const Strategy& strategy, const Limit& limit) override;
  std::int64_t offset(int item) const override { return offset_[item]; }
  std::vector<double> blame() const override;

 private:
  struct Frame {
    std::vector<int> items;  // unplaced, by ascending `low_`
    std::vector<int> choices;
    std::vector<T> floor, top, low;
    std::vector<char> supported;
  };

  struct Choice {
    int section;
    T floor, raised;  // raised: where the floor goes if nothing begins there, or 0
  };

  Frame& frame(std::size_t depth);
  Outcome part(std::size_t depth, T ceiling);
  Outcome split(std::size_t depth, T ceiling, int first, int last);
  Outcome span(std::size_t depth, T ceiling, int first, int last, int item);
  Outcome branch(std::size_t depth, T ceiling, int first, int last);
  void blame_item(int item);
  void blame_section(const Frame& frame, int section);
  void raise_blame();
  bool settle(Frame& frame, T ceiling, int first, int last);
  bool project(Frame& frame, T ceiling, int first, int last);
  void lift_unsupported(const Frame& frame);
  Choice choose(const Frame& frame, T ceiling, int first, int last);
  T raised_floor(const Frame& frame, int section) const;
  bool is_supported(int item) const;
  bool is_level(int item) const;
  T aligned(T offset, int item) const;
  void put(int item, T offset, Frame& from, Frame& to);
  void save(Frame& frame, int first, int last) const;
  void restore(const Frame& frame, int first);
  Key128 key(const Frame& frame, T ceiling, int first, int last) const;

  int count_, sections_;
  bool uniform_;
  bool impossible_ = false;
  T capacity_ = 0;
  std::vector<int> first_, last_;
  std::vector<T> size_, alignment_, fixed_, slack_above_;  // slack_above: units kept free below the ceiling
  std::vector<std::uint64_t> code_;
  std::vector<double> blame_;
  double next_blame_ = 1.0;

  std::vector<T> floor_, top_, load_, low_, offset_;
  std::vector<T> lowest_, projected_, level_count_, undecidable_;
  std::vector<char> supported_;  // whether an item would lie on the bottom or on another at its `low_`
  std::vector<int> crossing_;
  std::deque<Frame> frames_;
  std::unordered_set<Key128, Key128Hash> failed_;

  const Strategy* strategy_ = nullptr;
  Limit limit_{};
  std::int64_t nodes_ = 0;
};

template <class T>
Search<T>::Search(const Problem& problem, std::int64_t capacity)
    : count_(static_cast<int>(problem.items.size())), sections_(problem.sections), uniform_(problem.uniform) {
  std::vector<std::int64_t> ends(count_);  // the highest end of each item, in units
  std::int64_t highest = 0;
  for (int i = 0; i < count_; ++i) {
    const Item& item = problem.items[i];
    const std::int64_t room = capacity - item.bytes;
    impossible_ = impossible_ || room < 0 || item.fixed > room / problem.unit;
    ends[i] = room / problem.unit + item.size;
    highest = std::max(highest, ends[i]);
  }
  if (impossible_) return;
  capacity_ = static_cast<T>(highest);
  for (int i = 0; i < count_; ++i) {
    const Item& item = problem.items[i];
    first_.push_back(item.first);
    last_.push_back(item.last);
    size_.push_back(static_cast<T>(item.size));
    slack_above_.push_back(static_cast<T>(highest - ends[i]));
    // An alignment beyond the capacity is as good as one just beyond it.
    alignment_.push_back(static_cast<T>(std::min(item.alignment, highest + 1)));
    fixed_.push_back(static_cast<T>(item.fixed));
    uniform_ = uniform_ && slack_above_[i] == 0;
    std::uint64_t code = mix(static_cast<std::uint64_t>(item.first) + 0x9E3779B97F4A7C15);
    for (std::int64_t part : {std::int64_t{item.last}, item.size, item.alignment, item.fixed, highest - ends[i]}) {
      code = mix(code + static_cast<std::uint64_t>(part) + 0x632BE59BD9B4E019);
    }
    code_.push_back(code);
  }
  offset_.assign(count_, 0);
  blame_.assign(count_, 0.0);
  projected_.assign(sections_, 0);
  lowest_.assign(sections_, 0);
  level_count_.assign(sections_, 0);
  undecidable_.assign(sections_, 0);
  crossing_.assign(sections_ + 1, 0);
}

template <class T>
Outcome Search<T>::run(const Strategy& strategy, const Limit& limit) {
  if (impossible_) return Outcome::kImpossible;
  strategy_ = &strategy;
  limit_ = limit;
  limit_.nodes += nodes_;
  floor_.assign(sections_, 0);
  top_.assign(sections_, 0);
  low_.assign(count_, 0);
  supported_.assign(count_, 1);
  std::vector<std::int64_t> load(sections_, 0);
  Frame& root = frame(0);
  root.items.clear();
  for (int i = 0; i < count_; ++i) {
    if (fixed_[i] >= 0) low_[i] = fixed_[i];
    root.items.push_back(i);
    for (int s = first_[i]; s < last_[i]; ++s) {
      load[s] += size_[i];
      if (load[s] > capacity_) return Outcome::kImpossible;
    }
  }
  load_.assign(load.begin(), load.end());
  return part(0, capacity_);
}

template <class T>
typename Search<T>::Frame& Search<T>::frame(std::size_t depth) {
  while (frames_.size() <= depth) frames_.emplace_back();
  return frames_[depth];
}

// Solves the items of a frame, all of which overlap in a chain or not at all.
template <class T>
Outcome Search<T>::part(std::size_t depth, T ceiling) {
  Frame& now = frame(depth);
  if (now.items.empty()) return Outcome::kPlaced;
  int first = sections_, last = 0;
  for (int i : now.items) {
    first = std::min(first, first_[i]);
    last = std::max(last, last_[i]);
  }
  if (!settle(now, ceiling, first, last) || !project(now, ceiling, first, last)) return Outcome::kImpossible;

  std::fill(crossing_.begin() + first, crossing_.begin() + last, 0);
  for (int i : now.items) {
    ++crossing_[first_[i]];
    --crossing_[last_[i] - 1];
  }
  int across = 0;
  for (int s = first; s < last - 1; ++s) {
    across += crossing_[s];
    if (across == 0) return split(depth, ceiling, first, last);
  }
  if (uniform_ && strategy_->span_on_top) {
    for (int i : now.items) {
      if (first_[i] == first && last_[i] == last) return span(depth, ceiling, first, last, i);
    }
  }
  return branch(depth, ceiling, first, last);
}

// Solves the parts of a frame between which nothing crosses; `crossing_` is that of the frame.
template <class T>
Outcome Search<T>::split(std::size_t depth, T ceiling, int first, int last) {
  const Frame& now = frame(depth);
  std::vector<int> part_of(last - first);
  int parts = 0, across = 0;
  for (int s = first; s < last; ++s) {
    part_of[s - first] = parts;
    across += crossing_[s];
    parts += across == 0;
  }
  std::vector<std::vector<int>> members(parts);
  for (int i : now.items) members[part_of[first_[i] - first]].push_back(i);
  // The small ones first: they fail fast.
  std::stable_sort(members.begin(), members.end(),
                   [](const auto& a, const auto& b) { return a.size() < b.size(); });
  for (const std::vector<int>& each : members) {
    frame(depth + 1).items = each;
    const Outcome outcome = part(depth + 1, ceiling);
    if (outcome != Outcome::kPlaced) return outcome;
  }
  return Outcome::kPlaced;
}

// Puts an item that spans the whole part on top of it. Nothing is lost: in any placement of the part, what lies
// above the item can move down by its size.
template <class T>
Outcome Search<T>::span(std::size_t depth, T ceiling, int first, int last, int item) {
  Frame& now = frame(depth);
  Frame& next = frame(depth + 1);
  save(now, first, last);
  next.items.clear();
  for (int i : now.items) {
    if (i != item) next.items.push_back(i);
  }
  const T below = static_cast<T>(ceiling - size_[item]);
  offset_[item] = below;
  for (int s = first; s < last; ++s) load_[s] -= size_[item];
  const Outcome outcome = part(depth + 1, below);
  for (int s = first; s < last; ++s) load_[s] += size_[item];
  restore(now, first);
  return outcome;
}

template <class T>
Outcome Search<T>::branch(std::size_t depth, T ceiling, int first, int last) {
  if (++nodes_ > limit_.nodes) return Outcome::kStopped;
  if (nodes_ % kNodesPerLook == 0 && Clock::now() > limit_.deadline) return Outcome::kStopped;
  Frame& now = frame(depth);
  const Key128 state = key(now, ceiling, first, last);
  if (failed_.count(state) != 0) return Outcome::kImpossible;

  const Choice choice = choose(now, ceiling, first, last);
  save(now, first, last);
  now.choices.clear();
  for (int i : now.items) {
    const bool here = first_[i] <= choice.section && choice.section < last_[i] && low_[i] == choice.floor;
    if (here) now.choices.push_back(i);
  }
  const std::vector<double>& priority = strategy_->priority;
  std::stable_sort(now.choices.begin(), now.choices.end(),
                   [&](int a, int b) { return priority[a] > priority[b]; });
  Frame& next = frame(depth + 1);
  for (std::size_t k = 0; k < now.choices.size(); ++k) {
    const int item = now.choices[k];
    bool repeated = false;
    for (std::size_t j = 0; j < k && !repeated; ++j) {
      repeated = code_[now.choices[j]] == code_[item];  // of two equal ones, only the first can fit
    }
    if (repeated) continue;
    put(item, choice.floor, now, next);
    const Outcome outcome = part(depth + 1, ceiling);
    for (int s = first_[item]; s < last_[item]; ++s) load_[s] += size_[item];
    if (outcome == Outcome::kPlaced) return outcome;
    restore(now, first);
    if (outcome == Outcome::kStopped) return outcome;
  }
  if (choice.raised > 0) {
    floor_[choice.section] = choice.raised;
    next.items = now.items;
    for (int i : next.items) {
      if (low_[i] < choice.raised && first_[i] <= choice.section && choice.section < last_[i]) {
        low_[i] = aligned(choice.raised, i);
        supported_[i] = fixed_[i] >= 0 || is_supported(i);
      }
    }
    const Outcome outcome = part(depth + 1, ceiling);
    if (outcome == Outcome::kPlaced) return outcome;
    restore(now, first);
    if (outcome == Outcome::kStopped) return outcome;
  }
  if (failed_.size() < kMostFailed) failed_.insert(state);
  return Outcome::kImpossible;
}

// Places an item on level floor and lists the rest in the next frame.
template <class T>
void Search<T>::put(int item, T offset, Frame& from, Frame& to) {
  const int first = first_[item], last = last_[item];
  const T end = static_cast<T>(offset + size_[item]);
  offset_[item] = offset;
  for (int s = first; s < last; ++s) {
    floor_[s] = top_[s] = end;
    load_[s] -= size_[item];
  }
  to.items.clear();
  for (int i : from.items) {
    if (i == item) continue;
    if (first_[i] < last && first < last_[i]) {
      const T low = aligned(end, i);
      if (low >= low_[i]) {
        low_[i] = low;
        supported_[i] = 1;
      }
    }
    to.items.push_back(i);
  }
}

template <class T>
std::vector<double> Search<T>::blame() const {
  const double sum = std::accumulate(blame_.begin(), blame_.end(), 0.0);
  std::vector<double> shares = blame_;
  for (double& share : shares) share *= sum > 0.0 ? count_ / sum : 0.0;
  return shares;
}

template <class T>
void Search<T>::blame_item(int item) {
  blame_[item] += next_blame_;
  raise_blame();
}

// All that is yet to be placed in a section has a part in its failure.
template <class T>
void Search<T>::blame_section(const Frame& frame, int section) {
  const double part = next_blame_ / static_cast<double>(frame.items.size());
  for (int i : frame.items) {
    if (first_[i] <= section && section < last_[i]) blame_[i] += part;
  }
  raise_blame();
}

template <class T>
void Search<T>::raise_blame() {
  next_blame_ *= kBlameGrowth;
  if (next_blame_ < kMostBlame) return;
  for (double& each : blame_) each /= kMostBlame;
  next_blame_ = 1.0;
}

// Lifts items and floors to the lowest places still possible. False if something no longer fits.
template <class T>
bool Search<T>::settle(Frame& frame, T ceiling, int first, int last) {
  lift_unsupported(frame);
  constexpr T kNothing = std::numeric_limits<T>::max();
  std::fill(lowest_.begin() + first, lowest_.begin() + last, kNothing);
  T* const lowest = lowest_.data();
  for (int i : frame.items) {
    const T low = low_[i];
    if (low > ceiling - slack_above_[i] - size_[i] || (fixed_[i] >= 0 && low > fixed_[i])) {
      blame_item(i);
      return false;
    }
    for (int s = first_[i], end = last_[i]; s < end; ++s) lowest[s] = std::min(lowest[s], low);
  }
  for (int s = first; s < last; ++s) {
    if (lowest[s] == kNothing) continue;
    floor_[s] = lowest[s];
    if (floor_[s] > ceiling - load_[s]) {
      blame_section(frame, s);
      return false;
    }
  }
  return true;
}

// An item lies on the bottom or on another: where nothing it could rest on ends at its lowest place, it goes at
// least as high as the lowest end of what is yet to be placed beside it.
template <class T>
void Search<T>::lift_unsupported(const Frame& frame) {
  for (int i : frame.items) {
    const T low = low_[i];
    if (supported_[i]) continue;
    T least = std::numeric_limits<T>::max();
    for (int j : frame.items) {
      if (j != i && first_[j] < last_[i] && first_[i] < last_[j]) {
        least = std::min(least, static_cast<T>(low_[j] + size_[j]));
        if (least <= low) break;
      }
    }
    if (least != std::numeric_limits<T>::max() && least > low) low_[i] = aligned(least, i);
  }
}

// Whether every section, run as a machine whose jobs are released at their lowest places, ends in time.
// Sorts the items of the frame by those places.
template <class T>
bool Search<T>::project(Frame& frame, T ceiling, int first, int last) {
  std::vector<int>& items = frame.items;
  for (std::size_t k = 1; k < items.size(); ++k) {  // nearly sorted as they come
    const int item = items[k];
    const T low = low_[item];
    std::size_t j = k;
    for (; j > 0 && low_[items[j - 1]] > low; --j) items[j] = items[j - 1];
    items[j] = item;
  }
  T* const projected = projected_.data();
  std::fill(projected + first, projected + last, T{0});
  for (int i : items) {
    const T low = low_[i], size = size_[i];
    for (int s = first_[i], end = last_[i]; s < end; ++s) {
      projected[s] = static_cast<T>(std::max(projected[s], low) + size);
    }
  }
  for (int s = first; s < last; ++s) {
    if (projected[s] > ceiling) {
      blame_section(frame, s);
      return false;
    }
  }
  return true;
}

template <class T>
bool Search<T>::is_supported(int item) const {
  for (int s = first_[item]; s < last_[item]; ++s) {
    if (aligned(top_[s], item) == low_[item]) return true;
  }
  return false;
}

template <class T>
bool Search<T>::is_level(int item) const {
  const T low = low_[item];
  for (int s = first_[item]; s < last_[item]; ++s) {
    if (floor_[s] != low) return false;
  }
  return true;
}

template <class T>
typename Search<T>::Choice Search<T>::choose(const Frame& frame, T ceiling, int first, int last) {
  std::fill(level_count_.begin() + first, level_count_.begin() + last, 0);
  std::fill(undecidable_.begin() + first, undecidable_.begin() + last, 0);
  T* const level_count = level_count_.data();
  T* const undecidable = undecidable_.data();
  const T* const floor = floor_.data();
  const T highest = *std::max_element(floor + first, floor + last);
  for (int i : frame.items) {  // by ascending `low_`
    const T low = low_[i];
    if (low > highest) break;
    const int end = last_[i];
    if (is_level(i)) {
      for (int s = first_[i]; s < end; ++s) ++level_count[s];
    } else {
      for (int s = first_[i]; s < end; ++s) undecidable[s] |= static_cast<T>(floor[s] == low);
    }
  }
  Choice best{-1, 0, 0};
  double best_rank = std::numeric_limits<double>::infinity();
  for (int s = first; s < last; ++s) {
    if (level_count_[s] == 0 || undecidable_[s] != 0) continue;
    const double slack = static_cast<double>(ceiling - floor_[s] - load_[s]);
    T raised = 0;
    if (slack > 0) {
      raised = level_count_[s] == 1 ? raised_floor(frame, s) : static_cast<T>(floor_[s] + 1);
      if (raised - floor_[s] > slack) raised = 0;
    }
    const int choices = level_count_[s] + (raised > 0);
    double rank = choices;
    switch (strategy_->rule) {
      case SectionRule::kLowestFloor: rank += static_cast<double>(floor_[s]) / (2.0 * capacity_); break;
      case SectionRule::kLeastSlack: rank += slack / capacity_; break;
      case SectionRule::kFloorOnly: rank = choices == 1 ? 0 : 1 + floor_[s]; break;
    }
    if (choices == 1) rank -= 1;
    if (rank < best_rank) {
      best_rank = rank;
      best = {s, floor_[s], raised};
    }
  }
  if (best.raised > 0) {
    best.raised = raised_floor(frame, best.section);
    if (best.raised - best.floor > ceiling - best.floor - load_[best.section]) best.raised = 0;
  }
  return best;
}

// The lowest place at which something can begin in a section if nothing begins at its floor. What could have
// begun there then rests on something that is yet to be placed.
template <class T>
T Search<T>::raised_floor(const Frame& frame, int section) const {
  T raised = std::numeric_limits<T>::max();
  for (int i : frame.items) {
    if (first_[i] > section || section >= last_[i]) continue;
    if (low_[i] > floor_[section]) {
      raised = std::min(raised, low_[i]);
      continue;
    }
    if (fixed_[i] >= 0) continue;  // it begins at the floor or not at all
    for (int j : frame.items) {  // by ascending `low_`
      if (low_[j] >= raised) break;
      if (j != i && first_[j] < last_[i] && first_[i] < last_[j]) {
        raised = std::min(raised, aligned(static_cast<T>(low_[j] + size_[j]), i));
      }
    }
  }
  return raised == std::numeric_limits<T>::max() ? T{0} : raised;
}

template <class T>
T Search<T>::aligned(T offset, int item) const {
  const T step = alignment_[item];
  if (step == 1) return offset;
  return static_cast<T>((offset + step - 1) / step * step);
}

template <class T>
void Search<T>::save(Frame& frame, int first, int last) const {
  frame.floor.assign(floor_.begin() + first, floor_.begin() + last);
  frame.top.assign(top_.begin() + first, top_.begin() + last);
  frame.low.clear();
  frame.supported.clear();
  for (int i : frame.items) {
    frame.low.push_back(low_[i]);
    frame.supported.push_back(supported_[i]);
  }
}

template <class T>
void Search<T>::restore(const Frame& frame, int first) {
  std::copy(frame.floor.begin(), frame.floor.end(), floor_.begin() + first);
  std::copy(frame.top.begin(), frame.top.end(), top_.begin() + first);
  for (std::size_t k = 0; k < frame.items.size(); ++k) {
    low_[frame.items[k]] = frame.low[k];
    supported_[frame.items[k]] = frame.supported[k];
  }
}

// What the rest of the search depends on: the unplaced items, the floor under them and whether it is real.
template <class T>
Key128 Search<T>::key(const Frame& frame, T ceiling, int first, int last) const {
  std::uint64_t low = static_cast<std::uint64_t>(ceiling), high = ~low;
  for (int i : frame.items) {
    low += code_[i];
    high += code_[i] * 0x9E3779B97F4A7C15 ^ (code_[i] >> 32);
  }
  for (int s = first; s < last; ++s) {
    const std::uint64_t state = static_cast<std::uint64_t>(floor_[s]) * 2 + (top_[s] == floor_[s]);
    const std::uint64_t mixed = mix(state * 0xD6E8FEB86659FD93 + s);
    low += mixed;
    high += mixed * 0x9E3779B97F4A7C15 ^ (mixed >> 32);
  }
  return {mix(low), mix(high)};
}

}  // namespace

std::unique_ptr<PlacementSearch> make_search(const Problem& problem, std::int64_t capacity) {
  // An item's end may pass the capacity by its alignment and its size before the search looks.
  const std::int64_t units = capacity / problem.unit + 2;
  if (units < std::numeric_limits<std::int16_t>::max() / 4) {
    return std::make_unique<Search<std::int16_t>>(problem, capacity);
  }
  if (units < std::numeric_limits<std::int32_t>::max() / 4) {
    return std::make_unique<Search<std::int32_t>>(problem, capacity);
  }
  return std::make_unique<Search<std::int64_t>>(problem, capacity);
}

}  // namespace graphopt
