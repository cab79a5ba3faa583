/* tests/cudasim/cudasim_inner.h - between the run time's two files: fibers and blocks, memory and streams. */
#ifndef NS_CUDASIM_INNER_H
#define NS_CUDASIM_INNER_H

#include "tests/cudasim/cudasim.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define POISON(p, n)   __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

/* under MSan: what lies here was computed by nobody; and: does anything here come from such bytes? */
#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define NS_CUDASIM_MSAN
#endif
#endif
#ifdef NS_CUDASIM_MSAN
#include <sanitizer/msan_interface.h>
#define FORGET(p, n)	   __msan_poison(p, n)
#define EXPECT_KNOWN(p, n) __msan_check_mem_is_initialized(p, n)
#else
#define FORGET(p, n)	   ((void)(p), (void)(n))
#define EXPECT_KNOWN(p, n) ((void)(p), (void)(n))
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
