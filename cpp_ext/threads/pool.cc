// Workers spin for a moment before they sleep: the steps of a program follow each other within microseconds.

#include "threads/pool.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace graphopt {

namespace {

constexpr auto kSpin = std::chrono::microseconds(200);
constexpr int kSpinsBetweenLooks = 64;
constexpr int kLooksBetweenYields = 8;

constexpr int kCountBits = 24;
constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;
// Of a round; tasks of more have several.
constexpr std::int64_t kMostBlocks = std::int64_t{1} << (kCountBits - 1);

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// The first block of a thread's range. Never empty is that of thread 0, the caller.
std::int64_t first_of(std::int64_t blocks, int thread, int threads) { return (blocks * thread + threads - 1) / threads; }

// One more block of a range of `size`, taken for this round: its place in the range, or -1 if none is left.
std::int64_t take(std::atomic<std::uint64_t>& taken, std::uint64_t round, std::int64_t size) {
  std::uint64_t word = taken.load(std::memory_order_relaxed);
  for (;;) {
    if (word >> kCountBits > round) return -1;
    const std::uint64_t count = word >> kCountBits == round ? word & kCountMask : 0;
    if (static_cast<std::int64_t>(count) >= size) return -1;
    if (taken.compare_exchange_weak(word, (round << kCountBits) + count + 1, std::memory_order_relaxed)) {
      return static_cast<std::int64_t>(count);
    }
  }
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads < 1) throw std::invalid_argument("a pool has at least one thread, its caller's");
  places_ = std::make_unique<Place[]>(static_cast<std::size_t>(threads));
  // Before any begins: they ask how many they are.
  workers_.resize(static_cast<std::size_t>(threads - 1));
  try {
    for (int i = 1; i < threads; ++i) workers_[static_cast<std::size_t>(i - 1)] = std::thread([this, i] { work(i); });
  } catch (...) {
    stop();
    throw;
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() {
  stop_ = true;
  {
    const std::lock_guard<std::mutex> lock(sleep_);
    wake_.notify_all();
  }
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
}

void ThreadPool::run(std::int64_t blocks, Call call, const void* context) {
  if (share_ != nullptr && blocks > 1) return share_(lender_, blocks, call, context);
  std::unique_lock<std::mutex> mine(busy_, std::defer_lock);
  if (blocks <= 1 || workers_.empty() || !mine.try_lock()) {
    for (std::int64_t block = 0; block < blocks; ++block) call(context, block);
    return;
  }
  if (blocks <= kMostBlocks) return run_round(blocks, call, context);
  struct Part {
    Call call;
    const void* context;
    std::int64_t first;
  };
  for (std::int64_t first = 0; first < blocks; first += kMostBlocks) {
    const Part part{call, context, first};
    run_round(std::min(kMostBlocks, blocks - first),
              [](const void* each, std::int64_t block) {
                const auto* whole = static_cast<const Part*>(each);
                whole->call(whole->context, whole->first + block);
              },
              &part);
  }
}

void ThreadPool::run_round(std::int64_t blocks, Call call, const void* context) {
  const std::uint64_t round = round_.load(std::memory_order_relaxed) + 1;
  // The caller's first block needs no taking: a locked instruction would wait until the workers' processors have
  // given away the line in which they look for rounds.
  places_[0].taken.word.store((round << kCountBits) + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  Task& task = tasks_[round % 2];
  task.call.store(call, std::memory_order_relaxed);
  task.context.store(context, std::memory_order_relaxed);
  task.blocks.store(blocks, std::memory_order_relaxed);
  round_.store(round, std::memory_order_release);
  // Who falls asleep just now may miss this round, and the others do its part.
  if (asleep_.load(std::memory_order_relaxed) > 0) {
    const std::lock_guard<std::mutex> lock(sleep_);
    wake_.notify_all();
  }
  call(context, 0);
  const std::int64_t own = 1 + take_blocks(0, round, blocks, call, context);
  const auto left = [&] {
    std::int64_t count = blocks - own;
    for (std::size_t i = 1; i <= workers_.size() && count > 0; ++i) {
      const std::uint64_t word = places_[i].done.word.load(std::memory_order_acquire);
      if (word >> kCountBits == round) count -= static_cast<std::int64_t>(word & kCountMask);
    }
    return count;
  };
  for (int spins = 1; left() > 0; ++spins) {
    pause();
    // Who is waited for may be waiting for this very processor.
    if (spins % (kSpinsBetweenLooks * kLooksBetweenYields) == 0) std::this_thread::yield();
  }
}

std::int64_t ThreadPool::take_blocks(int self, std::uint64_t round, std::int64_t blocks, Call call,
                                     const void* context) {
  const int count = threads();
  std::int64_t done = 0;
  for (int i = 0; i < count; ++i) {
    const int thread = (self + i) % count;
    const std::int64_t first = first_of(blocks, thread, count);
    const std::int64_t size = first_of(blocks, thread + 1, count) - first;
    std::atomic<std::uint64_t>& taken = places_[static_cast<std::size_t>(thread)].taken.word;
    for (std::int64_t at = take(taken, round, size); at >= 0; at = take(taken, round, size), ++done) {
      call(context, first + at);
    }
  }
  return done;
}

std::uint64_t ThreadPool::wait(std::uint64_t seen) {
  const auto limit = std::chrono::steady_clock::now() + kSpin;
  for (int looks = 1;; ++looks) {
    for (int spins = 0; spins < kSpinsBetweenLooks; ++spins) {
      const std::uint64_t round = round_.load(std::memory_order_acquire);
      if (round > seen) return round;
      pause();
    }
    if (stop_) return 0;
    if (looks % kLooksBetweenYields == 0) std::this_thread::yield();
    if (std::chrono::steady_clock::now() < limit) continue;
    std::unique_lock<std::mutex> lock(sleep_);
    ++asleep_;
    wake_.wait(lock, [&] { return stop_ || round_.load(std::memory_order_acquire) > seen; });
    --asleep_;
  }
}

void ThreadPool::work(int self) {
  for (std::uint64_t seen = 0;;) {
    const std::uint64_t round = wait(seen);
    if (round == 0) return;
    const Task& task = tasks_[round % 2];
    const Call call = task.call.load(std::memory_order_relaxed);
    const void* const context = task.context.load(std::memory_order_relaxed);
    const std::int64_t blocks = task.blocks.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    // Otherwise it is over, and what was read may be of a later one.
    if (round_.load(std::memory_order_relaxed) != round) continue;
    seen = round;
    const std::int64_t done = take_blocks(self, round, blocks, call, context);
    places_[static_cast<std::size_t>(self)].done.word.store((round << kCountBits) + static_cast<std::uint64_t>(done),
                                                            std::memory_order_release);
  }
}

}  // namespace graphopt
