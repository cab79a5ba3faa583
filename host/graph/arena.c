#include "host/graph/arena_inner.h"

#include <stdlib.h>

static size_t round64(size_t n)
{
	return (n + 63) / 64 * 64;
}

static int alive_together(const struct ns_buffer *a, const struct ns_buffer *b)
{
	return a->born <= b->dies && b->born <= a->dies;
}

/* The lowest offset at which b overlaps no placed buffer that is alive at the same time; `placed` is sorted by offset. */
static size_t lowest(const struct ns_buffer *b, struct ns_buffer *const *placed, int n)
{
	size_t at = 0;
	int i;

	for (i = 0; i < n; i++) {
		if (!alive_together(b, placed[i]))
			continue;
		if (at + round64(b->bytes) <= placed[i]->at)
			return at;
		if (placed[i]->at + round64(placed[i]->bytes) > at)
			at = placed[i]->at + round64(placed[i]->bytes);
	}
	return at;
}

static int by_size(const void *a, const void *b)
{
	const struct ns_buffer *x = *(struct ns_buffer *const *)a, *y = *(struct ns_buffer *const *)b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return x < y ? -1 : x > y;
}

enum ns_status ns_arena_plan(struct ns_buffer *buffers, int n, size_t *total)
{
	struct ns_buffer **order = malloc(2 * sizeof *order * (size_t)(n + 1)), **placed = order ? order + n : NULL;
	int i, j;

	if (!order)
		return ns_fail(NS_NO_MEMORY, "out of memory for the layout of %d buffers", n);
	for (i = 0; i < n; i++)
		order[i] = &buffers[i];
	qsort(order, (size_t)n, sizeof *order, by_size);
	*total = 0;
	for (i = 0; i < n; i++) {
		struct ns_buffer *b = order[i];

		b->at = lowest(b, placed, i);
		if (b->at + round64(b->bytes) > *total)
			*total = b->at + round64(b->bytes);
		for (j = i; j > 0 && placed[j - 1]->at > b->at; j--)
			placed[j] = placed[j - 1];
		placed[j] = b;
	}
	free(order);
	return NS_OK;
}
