/* kernels/ref/stats.c - image statistics; definitions in kernels/formula/stats.h. */
#include "kernels/formula/stats.h"
#include "kernels/ref/ref.h"

#include <stdlib.h>

static int32_t at(const uint8_t *x, int w, int c, int i, int j)
{
	return ns_luma(x + ((int64_t)i * w + j) * c, c);
}

static void measure(float *out, const uint8_t *x, int h, int w, int c)
{
	struct ns_stat_sums s = {0};
	int i, j;

	for (i = 0; i < h; i++)
		for (j = 0; j < w; j++) {
			int32_t l = at(x, w, c, i, j), cross, corners, laplace;

			s.sum += l;
			s.square += l * l;
			s.chroma += ns_chroma(x + ((int64_t)i * w + j) * c, c);
			s.dark += l < 16;
			s.bright += l > 239;
			if (i == 0 || j == 0 || i == h - 1 || j == w - 1)
				continue;
			cross = at(x, w, c, i - 1, j) + at(x, w, c, i + 1, j) + at(x, w, c, i, j - 1) + at(x, w, c, i, j + 1);
			corners = at(x, w, c, i - 1, j - 1) + at(x, w, c, i - 1, j + 1) + at(x, w, c, i + 1, j - 1) + at(x, w, c, i + 1, j + 1);
			laplace = cross - 4 * l;
			s.laplace2 += laplace * laplace;
			s.immerkaer += abs(corners - 2 * cross + 4 * l);
		}
	ns_stats_finish(out, &s, h, w);
}

static enum ns_status stats_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_stats *v = &ns_ref_op(plan)->u.stats;
	int i;

	(void)queue;
	for (i = 0; i < v->n; i++)
		measure((float *)a->out[NS_STATS_Y] + (int64_t)i * NS_STAT_COUNT,
			(const uint8_t *)a->in[NS_STATS_X] + (int64_t)i * v->h * v->w * v->c, v->h, v->w, v->c);
	return NS_OK;
}

NS_REF_IMPL(ns_ref_stats, "stats/ref", NS_OP_STATS, stats_run, 0);
