// The best placement that can be found in some time, and what is proved about it.
//
// Restarts of the exact search with few nodes each: below the goal, which most instances can reach, below levels
// that sink towards it, and just below the best arena found. What a run tries first comes from the sizes and live
// ranges, or from one of the best placements so far with some noise (Beck, "Solution-guided multi-point
// constructive search for job shop scheduling", JAIR 2007); what earlier runs failed at comes earlier. Limits grow now and then (Luby, Sinclair and Zuckerman
// 1993) and searches remember what failed, so that small instances are exhausted, which proves that a capacity
// is impossible.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "core/memory/problem.h"
#include "core/memory/search.h"

namespace graphopt {

class Improver {
 public:
  // Starts from a placement, offsets in bytes. `bound` is a proved lower bound of the arena, in bytes; an arena
  // of `goal` bytes or less is good enough.
  Improver(const Buffers& buffers, std::vector<std::int64_t> offsets, std::int64_t bound, std::int64_t goal,
           std::uint64_t seed);

  // Searches until `finished`, or for some time: returns after the first restart that ends later than `seconds`
  // from now, and ends a restart at `limit` seconds. Which restarts there are depends on the seed alone.
  void improve(double seconds, double limit);

  // Whether the goal is reached, or proved to be out of reach by any arena smaller than the one found.
  bool finished() const { return arena_ <= goal_ || arena_ <= bound_; }

  std::int64_t arena() const { return arena_; }
  std::int64_t bound() const { return bound_; }
  const std::vector<std::int64_t>& offsets() const { return offsets_; }

 private:
  struct Elite {
    std::int64_t arena;
    std::vector<std::int64_t> offsets;  // units
  };

  // A search below some capacity and how often it ran.
  struct Target {
    std::int64_t capacity = 0, runs = 0;
    std::unique_ptr<PlacementSearch> search;
  };

  void aim(Target& target, std::int64_t capacity);
  std::int64_t next_level() const;
  std::int64_t next_arena(std::int64_t capacity) const;
  void run(Target& target, Clock::time_point deadline, Strategy strategy);
  void learn(const Target& target, Strategy& strategy);
  Strategy by_any();
  Strategy by_shape();
  Strategy by_elite();
  SectionRule any_rule();
  void take(const PlacementSearch& search);
  double noise() { return normal_(random_); }
  std::int64_t below(std::int64_t count) { return static_cast<std::int64_t>(random_() % count); }

  Problem problem_;
  std::vector<std::int64_t> offsets_;
  std::int64_t arena_, bound_, goal_;
  Target at_goal_, level_, just_below_;
  std::int64_t runs_ = 0;
  std::vector<Elite> elites_;
  std::mt19937_64 random_;
  std::normal_distribution<double> normal_;
};

}  // namespace graphopt
