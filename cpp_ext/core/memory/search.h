// Depth-first search for a placement of all items below a ceiling.
//
// Items are placed upwards from the floor, a skyline over the sections. Each node of the search picks one section
// and decides what begins at its floor there: one of the items that can, or nothing, which raises the floor to
// the lowest place where something can begin. A section may be decided when whatever can begin at its floor
// lies on level floor as a whole; those where the floor is lowest always may. So any section can be next, and the
// one with the fewest choices is. It is complete: some best placement is canonical, each item on the bottom or on
// another one (Moffitt, "MiniMalloc", ASPLOS 2023, uses the same fact with another branching).
//
// A node is given up when an item or a section no longer fits: a section is a machine that runs its items one at
// a time, each released at the lowest place it can still have, and the earliest end of all is a bound. Parts of
// the problem that share no item are solved one after the other. An item that spans its whole part may lie on
// top of it. States that failed are remembered by a 128-bit hash of what is left and the floor under it. Where one
// fails, the items that did not fit are to blame (Boussemart, Hemery, Lecoutre and Sais, "Boosting systematic
// search by weighting constraints", ECAI 2004): a restart that places them early meets fewer dead ends.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "core/memory/problem.h"

namespace graphopt {

enum class Outcome { kPlaced, kImpossible, kStopped };

// Which of the sections with equally many choices is decided first.
enum class SectionRule { kLowestFloor, kLeastSlack, kFloorOnly };

struct Strategy {
  SectionRule rule = SectionRule::kLowestFloor;
  bool span_on_top = true;        // items that span their part go on top at once
  std::vector<double> priority;  // of each item: the first choice is the highest
};

struct Limit {
  std::int64_t nodes;
  Clock::time_point deadline;
};

// A search of one instance below one capacity; it remembers what failed from one run to the next.
class PlacementSearch {
 public:
  virtual ~PlacementSearch() = default;

  // kImpossible is proved: no placement fits below the capacity. After kPlaced, `offset` holds one.
  virtual Outcome run(const Strategy& strategy, const Limit& limit) = 0;

  virtual std::int64_t offset(int item) const = 0;  // units

  // Of each item, how much of all the failures so far it has a part in; late ones count more. They add up to the
  // number of items, if there was any.
  virtual std::vector<double> blame() const = 0;
};

// The highest offset that an item may have is (capacity - its bytes), in bytes.
std::unique_ptr<PlacementSearch> make_search(const Problem& problem, std::int64_t capacity);

}  // namespace graphopt
