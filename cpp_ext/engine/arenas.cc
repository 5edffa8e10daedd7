// A list of pieces that are not in use, linked through the pieces themselves: giving back allocates nothing.

#include "engine/arenas.h"

#include <new>

#include "ops/op.h"

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace graphopt {

struct Piece {
  Piece* next;
  std::size_t bytes;
};

namespace {

constexpr std::size_t kHeader = kAlignment;
static_assert(sizeof(Piece) <= kHeader);

std::size_t most() {
#if defined(_SC_PHYS_PAGES)
  static const std::size_t bytes =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
#else
  return static_cast<std::size_t>(-1) / 2;
#endif
}

Piece* make(std::size_t bytes) {
  expect_memory(bytes);
  void* memory = ::operator new(kHeader + bytes, std::align_val_t(kAlignment));
  return new (memory) Piece{nullptr, bytes};
}

void destroy(Piece* piece) { ::operator delete(piece, std::align_val_t(kAlignment)); }

}  // namespace

void expect_memory(std::size_t bytes) {
  if (bytes > most()) throw std::bad_alloc();
}

Arenas::~Arenas() {
  while (left_ != nullptr) {
    Piece* const next = left_->next;
    destroy(left_);
    left_ = next;
  }
}

std::size_t Arenas::held() const {
  const std::lock_guard<std::mutex> lock(lock_);
  return held_;
}

Arenas::Lease::Lease(Arenas& arenas, std::size_t bytes) : arenas_(arenas), piece_(nullptr) {
  Piece* small = nullptr;
  {
    const std::lock_guard<std::mutex> lock(arenas.lock_);
    Piece** link = &arenas.left_;
    while (*link != nullptr && (*link)->bytes < bytes) link = &(*link)->next;
    if (*link != nullptr) {
      piece_ = *link;
      *link = piece_->next;
      return;
    }
    // None is large enough: one of the others makes room for the new one.
    small = arenas.left_;
    if (small != nullptr) {
      arenas.left_ = small->next;
      arenas.held_ -= small->bytes;
    }
  }
  if (small != nullptr) destroy(small);
  piece_ = make(bytes);
  const std::lock_guard<std::mutex> lock(arenas.lock_);
  arenas.held_ += bytes;
}

Arenas::Lease::~Lease() {
  const std::lock_guard<std::mutex> lock(arenas_.lock_);
  piece_->next = arenas_.left_;
  arenas_.left_ = piece_;
}

char* Arenas::Lease::data() const { return reinterpret_cast<char*>(piece_) + kHeader; }

}  // namespace graphopt
