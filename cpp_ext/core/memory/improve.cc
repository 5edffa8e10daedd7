#include "core/memory/improve.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace graphopt {
namespace {

constexpr std::int64_t kNodesPerRun = 200;    // and one per item
constexpr std::int64_t kRunsAtGoal = 24;      // before a placement somewhere above it is looked for
constexpr std::int64_t kManyRunsAtGoal = 150;
constexpr std::int64_t kGoalPercent = 45;      // of later runs that go for the goal itself, up to many of them
constexpr std::int64_t kLateGoalPercent = 10;  // the same from then on
constexpr std::int64_t kBelowPercent = 5;     // and for anything better than the best
constexpr double kHighestLevel = 0.16;        // above the goal; each level is half as high as the one before
constexpr int kLevels = 24;
constexpr std::int64_t kElitePercent = 10;    // of runs above the goal that start from a placement
constexpr std::int64_t kWindowPercent = 70;   // of those that change one window of time
constexpr std::int64_t kFloorOnlyPercent = 20;
constexpr std::size_t kElites = 4;

// Weights of the size and of the duration of an item.
struct Mixture {
  double of_size, of_duration;
};
constexpr Mixture kKnown[] = {{1.0, 1.0}, {1.0, 0.0}, {0.5, 0.8}, {0.0, 1.0}, {0.25, 0.8}, {1.0, 0.5}};
constexpr std::int64_t kRules = 3;
constexpr std::int64_t kFirstRuns = kRules * static_cast<std::int64_t>(std::size(kKnown));  // without chance

// 1, 1, 2, 1, 1, 2, 4, ...
std::int64_t luby(std::int64_t index) {
  std::int64_t size = 1;
  while (size < index + 1) size = 2 * size + 1;
  while (size - 1 != index) {
    size = (size - 1) / 2;
    index %= size;
  }
  return (size + 1) / 2;
}

}  // namespace

Improver::Improver(const Buffers& buffers, std::vector<std::int64_t> offsets, std::int64_t bound,
                   std::int64_t goal, std::uint64_t seed)
    : problem_(buffers), offsets_(std::move(offsets)), arena_(0), bound_(bound), goal_(goal), random_(seed) {
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    arena_ = std::max(arena_, offsets_[i] + problem_.items[i].bytes);
  }
  goal_ = std::max(goal_, bound_);
}

void Improver::improve(double seconds, double limit) {
  const Clock::time_point pause = after(seconds), deadline = after(limit);
  while (!finished() && Clock::now() < std::min(pause, deadline)) {
    if (at_goal_.search == nullptr) at_goal_ = {goal_, 0, make_search(problem_, goal_)};
    const std::int64_t goal_percent = at_goal_.runs < kRunsAtGoal       ? 100
                                      : at_goal_.runs < kManyRunsAtGoal ? kGoalPercent
                                                                        : kLateGoalPercent;
    const std::int64_t percent = below(100);
    if (percent < goal_percent) {
      run(at_goal_, deadline, by_shape());
    } else if (percent < goal_percent + kBelowPercent) {
      aim(just_below_, arena_ - 1);
      run(just_below_, deadline, by_any());
    } else {
      aim(level_, next_level());
      run(level_, deadline, by_any());
    }
  }
}

// One restart. The searches remember what failed, so that many short runs add up.
void Improver::run(Target& target, Clock::time_point deadline, Strategy strategy) {
  const std::int64_t items = static_cast<std::int64_t>(problem_.items.size());
  if (runs_ >= kFirstRuns) learn(target, strategy);
  const Outcome outcome = target.search->run(strategy, {items + kNodesPerRun * luby(target.runs), deadline});
  ++runs_;
  ++target.runs;
  if (outcome == Outcome::kPlaced) {
    take(*target.search);
  } else if (outcome == Outcome::kImpossible) {
    bound_ = std::max(bound_, next_arena(target.capacity));
    if (goal_ < bound_) {
      goal_ = bound_;
      at_goal_ = {};
    }
  }
}

// Moves what the search failed at up, a little or a lot.
void Improver::learn(const Target& target, Strategy& strategy) {
  constexpr double kPowers[] = {0.5, 1.0, 2.0, 4.0, 8.0}, kLeast = 0.05;
  const double power = kPowers[below(std::size(kPowers))];
  const std::vector<double> blame = target.search->blame();
  for (std::size_t i = 0; i < blame.size(); ++i) {
    double& priority = strategy.priority[i];
    if (priority > 0.0) priority *= std::pow(kLeast + blame[i], power);
  }
}

void Improver::aim(Target& target, std::int64_t capacity) {
  if (target.search == nullptr || target.capacity != capacity) {
    target = {capacity, 0, make_search(problem_, capacity)};
  }
}

// The highest level below the best arena: one that is reached is followed by the next.
std::int64_t Improver::next_level() const {
  double above = kHighestLevel;
  for (int level = 0; level < kLevels; ++level, above /= 2) {
    const std::int64_t capacity = goal_ + static_cast<std::int64_t>(above * static_cast<double>(goal_));
    if (capacity < arena_) return capacity;
  }
  return goal_;
}

// The least arena above a capacity that any placement can have: a multiple of the unit and some item.
std::int64_t Improver::next_arena(std::int64_t capacity) const {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const Item& item : problem_.items) {
    const std::int64_t above = std::max<std::int64_t>(capacity + 1 - item.bytes, 0);
    const std::int64_t steps = above / problem_.unit + (above % problem_.unit != 0);
    least = std::min(least, steps * problem_.unit + item.bytes);
  }
  return least;
}

Strategy Improver::by_any() {
  return elites_.empty() || below(100) >= kElitePercent ? by_shape() : by_elite();
}

SectionRule Improver::any_rule() {
  if (below(100) < kFloorOnlyPercent) return SectionRule::kFloorOnly;
  return below(2) == 0 ? SectionRule::kLowestFloor : SectionRule::kLeastSlack;
}

// Large or long-lived items first, in some mixture of the two: known ones without noise, then any with some.
Strategy Improver::by_shape() {
  Strategy strategy;
  strategy.rule = static_cast<SectionRule>(runs_ % kRules);
  strategy.span_on_top = runs_ < kFirstRuns ? runs_ % 2 == 0 : below(2) == 0;
  Mixture mixture = kKnown[runs_ / kRules % std::size(kKnown)];
  double spread = 0.0;
  if (runs_ >= kFirstRuns) {
    strategy.rule = any_rule();
    spread = 0.15 * static_cast<double>(below(4));
    mixture.of_size = below(10) == 0 ? static_cast<double>(below(4)) / 4.0 : 1.0;
    mixture.of_duration = static_cast<double>(below(6)) / 5.0;
  }
  for (const Item& item : problem_.items) {
    const double weight = std::pow(item.size, mixture.of_size) * std::pow(item.last - item.first, mixture.of_duration);
    strategy.priority.push_back(weight * std::exp(spread * noise()));
  }
  return strategy;
}

// Low in a good placement first: with noise everywhere, or with more of it in a window of time alone, so that what
// is well placed elsewhere comes out again.
Strategy Improver::by_elite() {
  constexpr double kSpreads[] = {0.0, 0.002, 0.006, 0.02, 0.06};  // of the arena
  Strategy strategy;
  strategy.rule = any_rule();
  strategy.span_on_top = below(2) == 0;
  const Elite& elite = elites_[static_cast<std::size_t>(below(static_cast<std::int64_t>(elites_.size())))];
  const double spread = kSpreads[below(5)] * static_cast<double>(elite.arena) / static_cast<double>(problem_.unit);
  const bool in_window = below(100) < kWindowPercent;
  const std::int64_t middle = below(problem_.sections), half = 2 + below(problem_.sections / 6 + 1);
  for (std::size_t i = 0; i < elite.offsets.size(); ++i) {
    const Item& item = problem_.items[i];
    const bool inside = item.first <= middle + half && item.last > middle - half;
    const double scale = !in_window ? 1.0 : inside ? 2.0 : 0.0;
    strategy.priority.push_back(-static_cast<double>(elite.offsets[i]) - scale * spread * noise());
  }
  return strategy;
}

void Improver::take(const PlacementSearch& search) {
  Elite found{0, {}};
  for (std::size_t i = 0; i < problem_.items.size(); ++i) {
    found.offsets.push_back(search.offset(static_cast<int>(i)));
    found.arena = std::max(found.arena, found.offsets[i] * problem_.unit + problem_.items[i].bytes);
  }
  if (found.arena < arena_) {
    arena_ = found.arena;
    for (std::size_t i = 0; i < offsets_.size(); ++i) offsets_[i] = found.offsets[i] * problem_.unit;
  }
  elites_.push_back(std::move(found));
  std::stable_sort(elites_.begin(), elites_.end(), [](const Elite& a, const Elite& b) { return a.arena < b.arena; });
  if (elites_.size() > kElites) elites_.pop_back();
}

}  // namespace graphopt
