/* Counts what a process asks of malloc and its kin: preloaded into it by test_allocations.py. */
#include <errno.h>
#include <stddef.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

enum { LARGE = 1 << 16 };

static long count;
static long large;

long graphopt_allocations(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }

/* Bytes of all requests of so many. */
long graphopt_large(void) { return __atomic_load_n(&large, __ATOMIC_SEQ_CST); }

static void one(size_t size) {
  __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
  if (size >= LARGE) __atomic_add_fetch(&large, (long)size, __ATOMIC_SEQ_CST);
}

void *malloc(size_t size) { one(size); return __libc_malloc(size); }
void *calloc(size_t items, size_t size) { one(items * size); return __libc_calloc(items, size); }
void *realloc(void *old, size_t size) { one(size); return __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { one(size); return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { one(size); return __libc_memalign(alignment, size); }
int posix_memalign(void **to, size_t alignment, size_t size) {
  one(size);
  *to = __libc_memalign(alignment, size);
  return *to ? 0 : ENOMEM;
}
