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

uint8_t *ns_gate_rows(const uint64_t *id, const int32_t *label, int64_t n, uint64_t seed)
{
	struct drawn *d = malloc(sizeof *d * (size_t)(n + 1));
	uint8_t *gate = calloc((size_t)n + 1, 1);
	int64_t i, count = 0;

	if (!d || !gate) {
		free(d);
		free(gate);
		return NULL;
	}
	for (i = 0; i < n; i++)
		if (label[i] >= 0)
			d[count++] = (struct drawn){ns_draw_u64(seed, NS_FOR_AUDIT, 1, id[i]), i};
	qsort(d, (size_t)count, sizeof *d, by_draw);
	for (i = 0; i < count / 2; i++)
		gate[d[i].row] = 1;
	/* copies of one image stay in one half: rows with the identity of the gate's last row join it */
	for (; i > 0 && i < count && d[i].draw == d[i - 1].draw; i++)
		gate[d[i].row] = 1;
	free(d);
	return gate;
}
