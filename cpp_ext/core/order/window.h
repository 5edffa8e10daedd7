// Steps that stand together in an order, to be put in a better one: what each does to memory, as bits.
// graphopt/memory/order/window.py makes them; graphopt/memory/order/search.py says what the searches mean.

#pragma once

#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

namespace graphopt {

using Bits = std::vector<int>;                          // indices of steps
using SharedPiece = std::pair<std::int64_t, Bits>;      // bytes, and who decides about them together
using TakeOver = std::tuple<Bits, std::int64_t, Bits>;  // makers of what is made, bytes, users of what dies

struct OrderMove {
  Bits needs;                             // steps that must have run
  Bits leads;                             // steps that need this one
  std::int64_t brings = 0;                // bytes brought to life
  std::int64_t frees = 0;                 // bytes that die
  std::int64_t scratch = 0;               // bytes needed for the step itself
  std::vector<SharedPiece> brings_first;  // brought to life if none of these has run
  std::vector<SharedPiece> frees_last;    // they die when all of these have run
  std::vector<TakeOver> takes_over;       // the first that applies spares its bytes
};

struct OrderWindow {
  std::vector<OrderMove> moves;
  std::int64_t alive = 0;  // bytes before the first step
  std::int64_t bound = 0;  // no order needs less
};

struct OrderLimits {
  std::int64_t peak = 0;      // only orders that need less are of interest
  std::int64_t states = 0;    // to be looked at
  double seconds = 0;         // to take
};

struct OrderFound {
  std::int64_t peak = 0;   // of the order, or a lower bound where there is none
  std::vector<int> steps;  // empty where none was found
  bool proved = false;     // no order needs less than `peak`
  std::int64_t states = 0; // that were looked at
};

// Best-first search over the sets of steps that can have run; the first full one is optimal.
OrderFound search_order(const OrderWindow& window, const OrderLimits& limits);

// The same with no more than `width` sets of each size: those of the lowest peaks, then of the fewest bytes.
OrderFound beam_order(const OrderWindow& window, int width, const OrderLimits& limits);

}  // namespace graphopt
