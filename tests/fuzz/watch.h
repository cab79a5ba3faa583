/* tests/fuzz/watch.h - what an input must keep to beyond not crashing: memory, file descriptors, and the message of a refusal. */
#ifndef NS_FUZZ_WATCH_H
#define NS_FUZZ_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

/* From here on small blocks of memory hold `fill` when they are given out. */
void fuzz_fill_memory(int fill);
/*
 * Begins to count blocks of at most `largest` bytes; fuzz_memory_peak(): the most that was in use at once since, beyond what was in use then.
 * `largest` is the same in all of a process.
 */
void fuzz_memory_begin(size_t largest);
size_t fuzz_memory_peak(void);
/* Says what is wrong, and aborts. */
_Noreturn void fuzz_found(const char *format, ...) NS_PRINTF(1, 2);
/* The message of a refusal: one line of UTF-8 without control characters; ascii: and nothing but ASCII, as no byte of a file is quoted. */
void fuzz_check_message(int ascii);
/* The lowest file descriptor that is free; the same afterwards, where nothing was left open. */
int fuzz_free_descriptor(void);

#endif
