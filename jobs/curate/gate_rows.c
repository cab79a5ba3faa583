/* jobs/curate/gate_rows.c - determines the gate's half of the audited rows. */
#include "jobs/curate/curate.h"

#include <stdlib.h>

#include "kernels/formula/random.h"

struct drawn {
	uint64_t draw;
	int64_t row;
};

static int by_draw(const void *a, const void *b)
{
	const struct drawn *x = a, *y = b;

	return x->draw != y->draw ? (x->draw > y->draw) - (x->draw < y->draw) : (x->row > y->row) - (x->row < y->row);
}

/* The least identity of each sequence. */
static uint64_t *least_ids(const uint64_t *id, const int32_t *block, int64_t n)
{
	int64_t count = 0, i;
	uint64_t *least;

	for (i = 0; i < n; i++)
		count = block[i] >= count ? block[i] + (int64_t)1 : count;
	least = malloc(sizeof *least * (size_t)(count + 1));
	for (i = 0; least && i < count; i++)
		least[i] = UINT64_MAX;
	for (i = 0; least && i < n; i++)
		least[block[i]] = id[i] < least[block[i]] ? id[i] : least[block[i]];
	return least;
}

/*
 * Copies of one image, and frames of one sequence, stay in one half: the border is that of the draws which is nearest to the middle, the later of two; and
 * something is left to teach.
 */
static int64_t border(const struct drawn *d, int64_t count)
{
	int64_t half = count / 2, low = half, high = half;

	while (low > 0 && d[low].draw == d[low - 1].draw)
		low--;
	while (high > 0 && high < count && d[high].draw == d[high - 1].draw)
		high++;
	return high < count && high - half <= half - low ? high : low;
}

uint8_t *ns_gate_rows(const uint64_t *id, const int32_t *label, const int32_t *block, int64_t n, uint64_t seed)
{
	struct drawn *d = malloc(sizeof *d * (size_t)(n + 1));
	uint8_t *gate = calloc((size_t)n + 1, 1);
	uint64_t *least = block ? least_ids(id, block, n) : NULL;
	int64_t i, count = 0, half;

	if (!d || !gate || (block && !least)) {
		free(d);
		free(gate);
		free(least);
		return NULL;
	}
	for (i = 0; i < n; i++)
		if (label[i] >= 0)
			d[count++] = (struct drawn){ns_draw_u64(seed, NS_FOR_AUDIT, 1, block ? least[block[i]] : id[i]), i};
	qsort(d, (size_t)count, sizeof *d, by_draw);
	half = border(d, count);
	for (i = 0; i < half; i++)
		gate[d[i].row] = 1;
	free(d);
	free(least);
	return gate;
}
