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

constexpr auto kSpin = std::chrono::microseconds(100);
constexpr int kSpinsBetweenYields = 64;

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads < 1) throw std::invalid_argument("a pool has at least one thread, its caller's");
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
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
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::take_blocks() {
  for (std::int64_t block = next_.fetch_add(1); block < blocks_; block = next_.fetch_add(1)) call_(context_, block);
}

void ThreadPool::run(std::int64_t blocks, Call call, const void* context) {
  if (share_ != nullptr && blocks > 1) return share_(lender_, blocks, call, context);
  std::unique_lock<std::mutex> mine(busy_, std::defer_lock);
  if (blocks <= 1 || workers_.empty() || !mine.try_lock()) {
    for (std::int64_t block = 0; block < blocks; ++block) call(context, block);
    return;
  }
  call_ = call;
  context_ = context;
  blocks_ = blocks;
  next_ = 0;
  ++round_;  // odd: open
  if (asleep_ > 0) {
    const std::lock_guard<std::mutex> lock(sleep_);
    wake_.notify_all();
  }
  take_blocks();
  ++round_;  // even: closed; who joined before is waited for
  for (int spins = 1; joined_ > 0; ++spins) {
    pause();
    // Who is waited for may be waiting for this very processor.
    if (spins % kSpinsBetweenYields == 0) std::this_thread::yield();
  }
}

void ThreadPool::work() {
  std::uint64_t seen = 0;
  while (!stop_) {
    const auto limit = std::chrono::steady_clock::now() + kSpin;
    std::uint64_t round = round_;
    for (int spins = 0; (round <= seen || round % 2 == 0) && !stop_; round = round_) {
      pause();
      if (++spins % kSpinsBetweenYields != 0) continue;
      std::this_thread::yield();
      if (std::chrono::steady_clock::now() > limit) {
        std::unique_lock<std::mutex> lock(sleep_);
        ++asleep_;
        wake_.wait(lock, [&] { return stop_ || (round_ > seen && round_ % 2 == 1); });
        --asleep_;
      }
    }
    if (stop_) return;
    ++joined_;
    // The round may have been closed between the look and the joining; then nothing of it may be read.
    if (round_ == round) take_blocks();
    --joined_;
    seen = round;
  }
}

}  // namespace graphopt
