// Memory of runs: each takes one piece and puts it back.
#pragma once

#include <cstddef>
#include <mutex>

namespace graphopt {

struct Piece;

// Throws std::bad_alloc for more bytes than the machine has: where the system promises them all the same, a process
// that uses them is killed, and no exception comes of it.
void expect_memory(std::size_t bytes);

// Holds as many pieces as there were runs at a time. Taking one allocates where none that is left is large enough.
class Arenas {
 public:
  Arenas() = default;
  ~Arenas();
  Arenas(const Arenas&) = delete;
  Arenas& operator=(const Arenas&) = delete;

  // A piece, aligned to kAlignment, until the lease ends.
  class Lease {
   public:
    // Throws std::bad_alloc.
    Lease(Arenas& arenas, std::size_t bytes);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    char* data() const;

   private:
    Arenas& arenas_;
    Piece* piece_;
  };

  // Bytes of all pieces, in use or not.
  std::size_t held() const;

 private:
  mutable std::mutex lock_;
  Piece* left_ = nullptr;
  std::size_t held_ = 0;
};

}  // namespace graphopt
