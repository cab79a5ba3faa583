/* tests/cudasim/cudasim_inner.h - between the run time's two files: fibers and blocks, memory and streams. */
#ifndef NS_CUDASIM_INNER_H
#define NS_CUDASIM_INNER_H

#include "tests/cudasim/cudasim.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define POISON(p, n) __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define POISON(p, n) ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

namespace cudasim
{
/* device memory can be touched while kernels and copies run, and by nobody else (ASan says who did) */
void open_device_memory();
void close_device_memory();
/* "forward", "reverse" or "shuffle:SEED": place i of n */
void make_order(unsigned *order, unsigned n);
} // namespace cudasim

#endif
