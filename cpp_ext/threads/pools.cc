// One pool for each number of threads that was asked for.

#include "threads/pools.h"

#include <algorithm>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

namespace graphopt {

namespace {

constexpr int kMostThreads = 256;

struct Pools {
  std::mutex lock;
  std::map<int, std::unique_ptr<ThreadPool>> by_threads;
};

}  // namespace

ThreadPool& shared_pool(int threads) {
  if (threads < 0 || threads > kMostThreads) {
    throw std::invalid_argument("threads: 0 to " + std::to_string(kMostThreads) + ", not " + std::to_string(threads));
  }
  if (threads == 0) threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMostThreads);
  // Never destroyed: at the end of a process, and in a child that was forked, its workers may be gone already.
  static Pools& pools = *new Pools;
  const std::lock_guard<std::mutex> lock(pools.lock);
  std::unique_ptr<ThreadPool>& pool = pools.by_threads[threads];
  if (!pool) pool = std::make_unique<ThreadPool>(threads);
  return *pool;
}

}  // namespace graphopt
