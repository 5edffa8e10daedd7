// A small pool of threads that share out the blocks of one task at a time. Sharing out allocates nothing.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace graphopt {

// Blocks must not depend on each other, nor results on the number of threads: their bounds may only where sums are
// exact.
//
// Each thread begins with a range of blocks of its own, the same part of every task: what it wrote for one step is
// mostly still in its cache when it reads it for the next, and threads seldom write to the same line of memory. Who is
// done with its own takes what others have left.
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
  // All blocks run on the caller's thread.
  bool alone() const { return workers_.empty() && share_ == nullptr; }

  // Calls task(block) for each of the blocks, and returns when all are done. The task must not throw. Where the
  // pool is at work for another caller, the blocks run on this caller's thread alone.
  template <typename Task>
  void run(std::int64_t blocks, const Task& task) {
    run(blocks, [](const void* context, std::int64_t block) { (*static_cast<const Task*>(context))(block); }, &task);
  }

 private:
  // What is shared out in a round. Written for the round after the next while late workers may still read it; they
  // see by the number of the round that it is no longer theirs.
  struct Task {
    std::atomic<Call> call{nullptr};
    std::atomic<const void*> context{nullptr};
    std::atomic<std::int64_t> blocks{0};
  };

  // A round's number and how many blocks: in one word, so that no block of a round is taken after it, however late
  // a thread may be.
  struct Count {
    alignas(128) std::atomic<std::uint64_t> word{0};
  };

  struct Place {
    Count taken;  // of the thread's own range, by whomever
    Count done;   // by the thread, of whatever range
  };

  void run(std::int64_t blocks, Call call, const void* context);
  void run_round(std::int64_t blocks, Call call, const void* context);
  void work(int self);
  // The next round after `seen`; 0 if there will be none.
  std::uint64_t wait(std::uint64_t seen);
  void stop();
  // How many it ran.
  std::int64_t take_blocks(int self, std::uint64_t round, std::int64_t blocks, Call call, const void* context);

  Share share_ = nullptr;
  const void* lender_ = nullptr;
  std::vector<std::thread> workers_;
  std::unique_ptr<Place[]> places_;
  std::mutex busy_;  // held by the caller whose task is shared out

  alignas(128) std::atomic<std::uint64_t> round_{0};
  Task tasks_[2];  // of even and of odd rounds

  alignas(128) std::atomic<bool> stop_{false};
  std::atomic<int> asleep_{0};
  std::mutex sleep_;
  std::condition_variable wake_;
};

}  // namespace graphopt
