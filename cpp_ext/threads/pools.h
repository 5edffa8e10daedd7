// The pools that all programs of a process share.
#pragma once

#include "threads/pool.h"

namespace graphopt {

// The pool of so many threads, the caller's included; 0 stands for one a processor. It is made at the first call and
// stays to the end of the process. Throws std::invalid_argument if there are too many.
ThreadPool& shared_pool(int threads);

}  // namespace graphopt
