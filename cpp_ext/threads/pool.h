// A small pool of threads that share out the blocks of one task at a time. Sharing out allocates nothing.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace graphopt {

// Blocks must not depend on each other, nor their bounds on the number of threads: so results do not either.
class ThreadPool {
 public:
  using Call = void (*)(const void* context, std::int64_t block);
  // Calls call(context, block) for each of the blocks, on whatever threads, and returns when all are done.
  using Share = void (*)(const void* lender, std::int64_t blocks, Call call, const void* context);

  // `threads` counts the caller; at least 1.
  explicit ThreadPool(int threads);
  // Has no threads of its own: another's are lent to it.
  ThreadPool(Share share, const void* lender) : share_(share), lender_(lender) {}
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // 1 where they are another's.
  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls task(block) for each of the blocks, and returns when all are done. The task must not throw. Where the
  // pool is at work for another caller, the blocks run on this caller's thread alone.
  template <typename Task>
  void run(std::int64_t blocks, const Task& task) {
    run(blocks, [](const void* context, std::int64_t block) { (*static_cast<const Task*>(context))(block); }, &task);
  }

 private:
  void run(std::int64_t blocks, Call call, const void* context);
  void work();
  void stop();
  void take_blocks();

  Share share_ = nullptr;
  const void* lender_ = nullptr;
  std::vector<std::thread> workers_;
  std::mutex busy_;  // held by the caller whose task is shared out

  // The task at hand. `round_` is odd while workers may join it.
  Call call_ = nullptr;
  const void* context_ = nullptr;
  std::int64_t blocks_ = 0;
  std::atomic<std::int64_t> next_{0};
  std::atomic<int> joined_{0};
  std::atomic<std::uint64_t> round_{0};
  std::atomic<bool> stop_{false};
  std::mutex sleep_;
  std::condition_variable wake_;
  std::atomic<int> asleep_{0};
};

}  // namespace graphopt
