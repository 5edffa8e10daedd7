// A whole ordering problem; graphopt/memory/order/problem.py says what each part means.

#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/order/window.h"

namespace graphopt {

struct OrderProblem {
  std::vector<Bits> before;  // by step
  std::vector<std::int64_t> sizes;
  std::vector<Bits> makers, users;  // by piece
  std::vector<char> kept;
  std::vector<std::int64_t> scratch;
  std::vector<int> target;  // piece that a step may write into another's memory, or -1
  std::vector<Bits> sources;
};

struct OrderTrace {
  std::int64_t peak = 0;
  std::vector<std::int64_t> needs, leaves;  // by place
  std::vector<std::pair<int, int>> hosts;
  std::vector<int> lower, upper;  // by piece
};

// Follows an order and counts bytes. Throws std::invalid_argument if it does not hold each step once.
OrderTrace trace_order(const OrderProblem& problem, const std::vector<int>& order);

// What a greedy rule prefers, in this order; less is better. `left`: bytes alive after a step less those
// before; `need`: bytes it brings to life; `age`: steps that became ready since it did.
enum class OrderRule { kFewestLeft, kFewestNeeded, kDeepest, kFreesFirst };

// A topological order: always the ready step that the rule likes best, among the `compared` latest.
std::vector<int> order_greedily(const OrderProblem& problem, OrderRule rule, int compared);

}  // namespace graphopt
