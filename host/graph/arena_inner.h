/*
 * host/graph/arena_inner.h - activation memory planned by lifetime: buffers that never live at the same time share bytes.
 */
#ifndef NS_ARENA_H
#define NS_ARENA_H

#include <stddef.h>

#include "kernels/status.h"

struct ns_buffer {
	size_t bytes;
	int born, dies; /* steps, both included */
	size_t at;	/* result: offset, a multiple of 64 */
};

/* Greedy by size; fills in `at`, and the size of the whole. */
enum ns_status ns_arena_plan(struct ns_buffer *buffers, int n, size_t *total);

#endif
