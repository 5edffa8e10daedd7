#include "core/order/window.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <queue>
#include <tuple>
#include <utility>

#include "core/clock.h"

namespace graphopt {
namespace {

constexpr int kLongestChain = 12;            // steps that a chain is followed for before it is given up
constexpr std::int64_t kStatesBetweenLooks = 256;  // at the clock
constexpr std::size_t kMostBytes = 128u << 20;      // of states that were met, whatever the limits say

template <int kWords>
using Set = std::array<std::uint64_t, kWords>;

template <int kWords>
bool has(const Set<kWords>& set, int index) {
  return set[index >> 6] >> (index & 63) & 1;
}

template <int kWords>
void add(Set<kWords>& set, int index) {
  set[index >> 6] |= std::uint64_t{1} << (index & 63);
}

template <int kWords>
bool meet(const Set<kWords>& one, const Set<kWords>& other) {
  std::uint64_t common = 0;
  for (int word = 0; word < kWords; ++word) common |= one[word] & other[word];
  return common != 0;
}

template <int kWords>
bool is_within(const Set<kWords>& part, const Set<kWords>& whole) {
  std::uint64_t outside = 0;
  for (int word = 0; word < kWords; ++word) outside |= part[word] & ~whole[word];
  return outside == 0;
}

template <int kWords>
Set<kWords> set_of(const Bits& bits) {
  Set<kWords> set{};
  for (int index : bits) add<kWords>(set, index);
  return set;
}

template <int kWords>
struct Shared {
  std::int64_t bytes;
  Set<kWords> steps;
};

template <int kWords>
struct Chance {
  Set<kWords> makers;
  std::int64_t bytes;
  Set<kWords> users;
};

template <int kWords>
struct Move {
  Set<kWords> needs;
  Bits leads;
  std::int64_t brings, frees, scratch;
  std::vector<Shared<kWords>> brings_first, frees_last;
  std::vector<Chance<kWords>> takes_over;
};

// What running one step, or a chain of them, leads to.
template <int kWords>
struct State {
  Set<kWords> ran, ready;
  std::int64_t alive = 0;
  std::int64_t highest = 0;  // the most bytes needed on the way
  int count = 0;             // steps of the chain
  std::array<std::uint16_t, kLongestChain> steps{};
};

// A state that was met, and how it was reached.
template <int kWords>
struct Met {
  Set<kWords> ran, ready;
  std::int64_t alive, peak;
  std::uint32_t from;
  std::uint16_t progress;
  std::uint16_t count;
  std::array<std::uint16_t, kLongestChain> steps;
};

template <int kWords>
class Table {  // open addressing from sets to the newest state met with them
 public:
  Table() : slots_(1u << 12, 0) {}

  // The slot of a set: 0 where it was not met, else its state's index and 1.
  std::uint32_t& slot(const Set<kWords>& set, const std::vector<Met<kWords>>& met) {
    if (2 * met.size() > slots_.size()) grow(met);
    return find(set, met);
  }

 private:
  std::uint32_t& find(const Set<kWords>& set, const std::vector<Met<kWords>>& met) {
    std::size_t at = hash(set) & (slots_.size() - 1);
    while (slots_[at] != 0 && met[slots_[at] - 1].ran != set) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }

  void grow(const std::vector<Met<kWords>>& met) {
    std::vector<std::uint32_t> old(slots_.size() * 2, 0);
    old.swap(slots_);
    for (std::uint32_t index : old) {
      if (index != 0) find(met[index - 1].ran, met) = index;
    }
  }

  static std::size_t hash(const Set<kWords>& set) {
    std::uint64_t mixed = 0x9e3779b97f4a7c15u;
    for (std::uint64_t word : set) {
      mixed = (mixed ^ word) * 0xff51afd7ed558ccdu;
      mixed ^= mixed >> 32;
    }
    return static_cast<std::size_t>(mixed);
  }

  std::vector<std::uint32_t> slots_;
};

template <int kWords>
class Search {
 public:
  Search(const OrderWindow& window, const OrderLimits& limits)
      : limits_(limits),
        deadline_(after(limits.seconds)) {
    for (const OrderMove& move : window.moves) {
      Move<kWords> made{set_of<kWords>(move.needs), move.leads, move.brings, move.frees, move.scratch, {}, {}, {}};
      for (const auto& [bytes, steps] : move.brings_first) made.brings_first.push_back({bytes, set_of<kWords>(steps)});
      for (const auto& [bytes, steps] : move.frees_last) made.frees_last.push_back({bytes, set_of<kWords>(steps)});
      for (const auto& [makers, bytes, users] : move.takes_over) {
        made.takes_over.push_back({set_of<kWords>(makers), bytes, set_of<kWords>(users)});
      }
      moves_.push_back(std::move(made));
    }
    Met<kWords> start{};
    for (std::size_t index = 0; index < window.moves.size(); ++index) {
      if (window.moves[index].needs.empty()) add<kWords>(start.ready, static_cast<int>(index));
    }
    start.alive = window.alive;
    start.peak = window.bound;
    met_.push_back(start);
    table_.slot(start.ran, met_) = 1;
  }

  OrderFound best_first() {
    struct Entry {
      std::int64_t peak;
      int left;  // steps still to run: those that came furthest go first
      std::int64_t alive;
      std::uint32_t index;
      bool operator<(const Entry& other) const {  // the queue pops its largest
        return std::tie(other.peak, other.left, other.alive, other.index) < std::tie(peak, left, alive, index);
      }
    };
    std::priority_queue<Entry> queue;
    const int count = static_cast<int>(moves_.size());
    queue.push({met_[0].peak, count, met_[0].alive, 0});
    std::vector<State<kWords>> next;
    while (!queue.empty()) {
      const Entry entry = queue.top();
      queue.pop();
      if (entry.left == 0) return {entry.peak, path(entry.index), true, looked_};
      const Met<kWords> here = met_[entry.index];
      if (table_.slot(here.ran, met_) != entry.index + 1) continue;  // reached with a lower peak since
      if (!take()) return {entry.peak, {}, false, looked_};
      expand(here, next);
      for (const State<kWords>& state : next) {
        const std::int64_t peak = std::max(here.peak, state.highest);
        if (peak >= limits_.peak) continue;
        std::uint32_t& slot = table_.slot(state.ran, met_);
        if (slot != 0 && met_[slot - 1].peak <= peak) continue;
        slot = store(here, entry.index, state, peak) + 1;
        queue.push({peak, count - met_.back().progress, state.alive, slot - 1});
      }
    }
    return {limits_.peak, {}, true, looked_};
  }

  OrderFound beam(int width) {
    const std::size_t count = moves_.size();
    const std::int64_t bound = met_[0].peak;
    std::vector<std::vector<std::uint32_t>> levels(count + 1);
    levels[0].push_back(0);
    std::vector<State<kWords>> next;
    for (std::size_t size = 0; size < count; ++size) {
      std::vector<std::uint32_t>& level = levels[size];
      const auto is_better = [this](std::uint32_t one, std::uint32_t other) {
        return std::tie(met_[one].peak, met_[one].alive, one) < std::tie(met_[other].peak, met_[other].alive, other);
      };
      const std::size_t kept = std::min(level.size(), static_cast<std::size_t>(width));
      std::partial_sort(level.begin(), level.begin() + static_cast<std::ptrdiff_t>(kept), level.end(), is_better);
      for (std::size_t rank = 0; rank < kept; ++rank) {
        if (!take()) return {bound, {}, false, looked_};
        const std::uint32_t index = level[rank];
        const Met<kWords> here = met_[index];
        expand(here, next);
        for (const State<kWords>& state : next) {
          const std::int64_t peak = std::max(here.peak, state.highest);
          if (peak >= limits_.peak) continue;
          std::uint32_t& slot = table_.slot(state.ran, met_);
          if (slot == 0) {
            slot = store(here, index, state, peak) + 1;
            levels[met_.back().progress].push_back(slot - 1);
          } else if (peak < met_[slot - 1].peak) {
            met_[slot - 1] = reached(here, index, state, peak);
          }
        }
      }
      level = {};
    }
    if (levels[count].empty()) return {bound, {}, false, looked_};
    const std::uint32_t last = levels[count][0];
    return {met_[last].peak, path(last), met_[last].peak == bound, looked_};
  }

 private:
  bool take() {
    if (looked_ >= limits_.states || met_.size() >= kMostBytes / sizeof(Met<kWords>)) return false;
    if (looked_ % kStatesBetweenLooks == 0 && Clock::now() > deadline_) return false;
    ++looked_;
    return true;
  }

  // The states that follow one; a single one where it dominates.
  void expand(const Met<kWords>& here, std::vector<State<kWords>>& next) const {
    next.clear();
    for (int word = 0; word < kWords; ++word) {
      for (std::uint64_t left = here.ready[word]; left != 0; left &= left - 1) {
        State<kWords> state;
        state.ran = here.ran;
        state.ready = here.ready;
        state.alive = here.alive;
        run(64 * word + __builtin_ctzll(left), state);
        if (state.highest <= here.peak) {
          State<kWords> chain = state;
          if (follow(here, chain)) {
            next.assign(1, chain);
            return;
          }
        }
        next.push_back(state);
      }
    }
  }

  // Go on by steps that only the last one has made ready, until no more is alive than at first.
  bool follow(const Met<kWords>& here, State<kWords>& state) const {
    Set<kWords> known = here.ready;
    while (state.alive > here.alive) {
      int fresh = -1;
      for (int word = 0; word < kWords; ++word) {
        const std::uint64_t more = state.ready[word] & ~known[word];
        if (more == 0) continue;
        if (fresh >= 0 || (more & (more - 1)) != 0) return false;
        fresh = 64 * word + __builtin_ctzll(more);
      }
      if (fresh < 0 || state.count == kLongestChain) return false;
      known = state.ready;
      run(fresh, state);
      if (state.highest > here.peak) return false;
    }
    return true;
  }

  void run(int index, State<kWords>& state) const {
    const Move<kWords>& move = moves_[index];
    std::int64_t brings = move.brings, frees = move.frees;
    for (const Shared<kWords>& piece : move.brings_first) {
      if (!meet<kWords>(piece.steps, state.ran)) brings += piece.bytes;
    }
    const Set<kWords> before = state.ran;
    add<kWords>(state.ran, index);
    for (const Shared<kWords>& piece : move.frees_last) {
      if (is_within<kWords>(piece.steps, state.ran)) frees += piece.bytes;
    }
    std::int64_t need = state.alive + brings + move.scratch;
    for (const Chance<kWords>& chance : move.takes_over) {
      if (!meet<kWords>(chance.makers, before) && is_within<kWords>(chance.users, state.ran)) {
        need -= chance.bytes;
        break;
      }
    }
    state.highest = std::max(state.highest, need);
    state.alive += brings - frees;
    state.ready[index >> 6] &= ~(std::uint64_t{1} << (index & 63));
    for (int lead : move.leads) {
      if (is_within<kWords>(moves_[lead].needs, state.ran)) add<kWords>(state.ready, lead);
    }
    state.steps[state.count++] = static_cast<std::uint16_t>(index);
  }

  static Met<kWords> reached(const Met<kWords>& here, std::uint32_t from, const State<kWords>& state,
                             std::int64_t peak) {
    return {state.ran, state.ready, state.alive, peak, from, static_cast<std::uint16_t>(here.progress + state.count),
            static_cast<std::uint16_t>(state.count), state.steps};
  }

  std::uint32_t store(const Met<kWords>& here, std::uint32_t from, const State<kWords>& state, std::int64_t peak) {
    met_.push_back(reached(here, from, state, peak));
    return static_cast<std::uint32_t>(met_.size() - 1);
  }

  std::vector<int> path(std::uint32_t index) const {
    std::vector<int> steps;
    for (; index != 0; index = met_[index].from) {
      for (int back = met_[index].count - 1; back >= 0; --back) steps.push_back(met_[index].steps[back]);
    }
    std::reverse(steps.begin(), steps.end());
    return steps;
  }

  OrderLimits limits_;
  Clock::time_point deadline_;
  std::vector<Move<kWords>> moves_;
  std::vector<Met<kWords>> met_;
  Table<kWords> table_;
  std::int64_t looked_ = 0;
};

template <int kWords>
OrderFound run_search(const OrderWindow& window, int width, const OrderLimits& limits) {
  Search<kWords> search(window, limits);
  return width > 0 ? search.beam(width) : search.best_first();
}

OrderFound of_width(const OrderWindow& window, int width, const OrderLimits& limits) {
  const std::size_t count = window.moves.size();
  if (count <= 64) return run_search<1>(window, width, limits);
  if (count <= 128) return run_search<2>(window, width, limits);
  if (count <= 256) return run_search<4>(window, width, limits);
  if (count <= 512) return run_search<8>(window, width, limits);
  if (count <= 1024) return run_search<16>(window, width, limits);
  return {window.bound, {}, false, 0};
}

}  // namespace

OrderFound search_order(const OrderWindow& window, const OrderLimits& limits) {
  if (window.bound >= limits.peak) return {window.bound, {}, true, 0};
  return of_width(window, 0, limits);
}

OrderFound beam_order(const OrderWindow& window, int width, const OrderLimits& limits) {
  return of_width(window, width, limits);
}

}  // namespace graphopt
