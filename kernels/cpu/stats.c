/* kernels/cpu/stats.c - image statistics: a padded plane of luma, then row loops that vectorise. */
#include "kernels/cpu/cpu.h"
#include "kernels/formula/stats.h"

#include <stdlib.h>

static void luma_row(int16_t *l, struct ns_stat_sums *s, const uint8_t *x, int w, int c)
{
	int32_t sum = 0, square = 0, chroma = 0, dark = 0, bright = 0;
	int j;

	if (c == 1)
		for (j = 0; j < w; j++)
			l[j] = x[j];
	else
		for (j = 0; j < w; j++) {
			l[j] = (int16_t)ns_luma(x + 3 * j, 3);
			chroma += ns_chroma(x + 3 * j, 3);
		}
	for (j = 0; j < w; j++) {
		sum += l[j];
		square += l[j] * l[j];
		dark += l[j] < 16;
		bright += l[j] > 239;
	}
	s->sum += sum;
	s->square += square;
	s->chroma += chroma;
	s->dark += dark;
	s->bright += bright;
}

static void inner_row(struct ns_stat_sums *s, const int16_t *up, const int16_t *at, const int16_t *down, int w)
{
	int64_t laplace2 = 0;
	int32_t immerkaer = 0;
	int j;

	for (j = 1; j < w - 1; j++) {
		int32_t cross = up[j] + down[j] + at[j - 1] + at[j + 1];
		int32_t corners = up[j - 1] + up[j + 1] + down[j - 1] + down[j + 1], t = cross - 4 * at[j];

		laplace2 += t * t;
		immerkaer += abs(corners - 2 * cross + 4 * at[j]);
	}
	s->laplace2 += laplace2;
	s->immerkaer += immerkaer;
}

static enum ns_status stats_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_stats *v = &ns_cpu_op(plan)->u.stats;
	int16_t *l = a->workspace;
	int64_t row = (int64_t)v->w * v->c;
	int n, i;

	(void)queue;
	for (n = 0; n < v->n; n++) {
		const uint8_t *x = (const uint8_t *)a->in[NS_STATS_X] + n * row * v->h;
		struct ns_stat_sums s = {0};

		for (i = 0; i < v->h; i++)
			luma_row(l + (int64_t)i * v->w, &s, x + i * row, v->w, v->c);
		for (i = 1; i < v->h - 1; i++)
			inner_row(&s, l + (int64_t)(i - 1) * v->w, l + (int64_t)i * v->w, l + (int64_t)(i + 1) * v->w, v->w);
		ns_stats_finish((float *)a->out[NS_STATS_Y] + (int64_t)n * NS_STAT_COUNT, &s, v->h, v->w);
	}
	return NS_OK;
}

static enum ns_status make_stats(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_stats *v = &op->u.stats;

	(void)dev;
	/* a row's sums are 32 bits: 255^2 * w must fit */
	if ((v->c != 1 && v->c != 3) || v->w > 32768)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, (size_t)v->h * (size_t)v->w * sizeof(int16_t), stats_run);
}

const struct ns_impl ns_cpu_stats = {"stats/cpu", NS_OP_STATS, make_stats};
