#include "core/order/problem.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <stdexcept>

namespace graphopt {
namespace {

std::vector<int> places(const std::vector<int>& order, std::size_t count) {
  std::vector<int> place(count, -1);
  bool is_valid = order.size() == count;
  for (std::size_t at = 0; is_valid && at < count; ++at) {
    const int step = order[at];
    is_valid = step >= 0 && static_cast<std::size_t>(step) < count && place[step] < 0;
    if (is_valid) place[step] = static_cast<int>(at);
  }
  if (!is_valid) throw std::invalid_argument("an order holds each step once");
  return place;
}

// The piece whose memory a step writes its result into, or -1.
int host(const OrderProblem& problem, const OrderTrace& found, int step, int at) {
  const int target = problem.target[step];
  if (target < 0 || found.lower[target] != at || problem.makers[target].empty()) return -1;
  for (int other : problem.sources[step]) {
    if (found.upper[other] == at + 1 && !problem.kept[other]) return other;
  }
  return -1;
}

using Key = std::array<std::int64_t, 3>;

Key key_of(OrderRule rule, std::int64_t need, std::int64_t left, std::int64_t age) {
  switch (rule) {
    case OrderRule::kFewestLeft: return {left, need, age};
    case OrderRule::kFewestNeeded: return {need, left, age};
    case OrderRule::kDeepest: return {left > 0, age, left};
    case OrderRule::kFreesFirst: return {std::min<std::int64_t>(left, 0), age, need};
  }
  return {};
}

}  // namespace

OrderTrace trace_order(const OrderProblem& problem, const std::vector<int>& order) {
  const int count = static_cast<int>(problem.before.size());
  const std::vector<int> place = places(order, problem.before.size());
  std::vector<std::int64_t> born(count + 1, 0), dead(count + 2, 0);
  OrderTrace found;
  for (std::size_t piece = 0; piece < problem.sizes.size(); ++piece) {
    int first = problem.makers[piece].empty() ? 0 : count;
    for (int step : problem.makers[piece]) first = std::min(first, place[step]);
    int last = 0;
    for (int step : problem.users[piece]) last = std::max(last, place[step] + 1);
    if (problem.kept[piece]) last = std::max(count, 1);  // without steps, inputs that are outputs stand there
    if (first < last) {
      born[first] += problem.sizes[piece];
      if (!problem.kept[piece]) dead[last] += problem.sizes[piece];
    }
    found.lower.push_back(first);
    found.upper.push_back(last);
  }
  std::int64_t alive = 0;
  found.peak = count == 0 ? born[0] : 0;
  for (int at = 0; at < count; ++at) {
    const int step = order[at];
    alive += born[at] - dead[at];
    std::int64_t need = alive + problem.scratch[step];
    const int other = host(problem, found, step, at);
    if (other >= 0) {
      found.hosts.push_back({problem.target[step], other});
      need -= problem.sizes[other];
    }
    found.needs.push_back(need);
    found.leaves.push_back(alive - dead[at + 1]);
    found.peak = std::max(found.peak, need);
  }
  return found;
}

std::vector<int> order_greedily(const OrderProblem& problem, OrderRule rule, int compared) {
  const std::size_t count = problem.before.size();
  std::vector<Bits> after(count), made(count), used(count);
  std::vector<int> waiting(count), users_left;
  std::vector<char> is_made;
  for (std::size_t step = 0; step < count; ++step) {
    waiting[step] = static_cast<int>(problem.before[step].size());
    for (int source : problem.before[step]) after[source].push_back(static_cast<int>(step));
  }
  for (std::size_t piece = 0; piece < problem.sizes.size(); ++piece) {
    users_left.push_back(static_cast<int>(problem.users[piece].size()));
    is_made.push_back(problem.makers[piece].empty());
    for (int step : problem.makers[piece]) made[step].push_back(static_cast<int>(piece));
    if (problem.kept[piece]) continue;
    for (int step : problem.users[piece]) used[step].push_back(static_cast<int>(piece));
  }
  std::vector<int> ready, order;
  for (std::size_t step = count; step-- > 0;) {
    if (waiting[step] == 0) ready.push_back(static_cast<int>(step));
  }
  while (!ready.empty()) {
    const int latest = static_cast<int>(ready.size()), oldest = std::max(latest - compared, 0);
    int best = -1;
    Key best_key{};
    for (int index = latest - 1; index >= oldest; --index) {
      const int step = ready[index];
      std::int64_t brings = 0, frees = 0;
      for (int piece : made[step]) brings += is_made[piece] ? 0 : problem.sizes[piece];
      for (int piece : used[step]) frees += users_left[piece] == 1 ? problem.sizes[piece] : 0;
      const Key key = key_of(rule, brings + problem.scratch[step], brings - frees, latest - index);
      if (best < 0 || key < best_key) {
        best = index;
        best_key = key;
      }
    }
    const int step = ready[best];
    ready.erase(ready.begin() + best);
    order.push_back(step);
    for (int piece : made[step]) is_made[piece] = true;
    for (int piece : used[step]) --users_left[piece];
    for (auto user = after[step].rbegin(); user != after[step].rend(); ++user) {
      if (--waiting[*user] == 0) ready.push_back(*user);
    }
  }
  return order;
}

}  // namespace graphopt
