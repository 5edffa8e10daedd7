// Guard pages by mmap where there is one; elsewhere plain memory.

#include "core/guarded.h"

#include <cstdlib>
#include <new>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#define GRAPHOPT_HAS_MMAP 1
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace graphopt {

#ifdef GRAPHOPT_HAS_MMAP

Guarded::Guarded(std::size_t size, std::size_t alignment, bool at_start) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t inside = (size + page - 1) / page * page;
  length_ = inside + 2 * page;
  pages_ = mmap(nullptr, length_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages_ == MAP_FAILED) throw std::bad_alloc();
  char* first = static_cast<char*>(pages_) + page;
  if (inside > 0 && mprotect(first, inside, PROT_READ | PROT_WRITE) != 0) {
    munmap(pages_, length_);
    throw std::bad_alloc();
  }
  data_ = at_start ? first : first + (inside - size) / alignment * alignment;
}

Guarded::~Guarded() {
  if (pages_ != nullptr) munmap(pages_, length_);
}

#else

Guarded::Guarded(std::size_t size, std::size_t, bool) : pages_(std::malloc(size + 1)), length_(size), data_(pages_) {
  if (pages_ == nullptr) throw std::bad_alloc();
}

Guarded::~Guarded() { std::free(pages_); }

#endif

Guarded::Guarded(Guarded&& other) noexcept
    : pages_(std::exchange(other.pages_, nullptr)), length_(other.length_), data_(other.data_) {}

}  // namespace graphopt
