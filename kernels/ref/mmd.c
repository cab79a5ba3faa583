/* kernels/ref/mmd.c - the sums behind MMD^2 and all its permutations, pair by pair. See struct ns_op_mmd. */
#include "kernels/formula/mmd.h"
#include "kernels/ref/ref.h"

static const float *row(const struct ns_op_mmd *v, const struct ns_args *a, int64_t i)
{
	return i < v->m ? (const float *)a->in[NS_MMD_REF] + i * v->d : (const float *)a->in[NS_MMD_CUR] + (i - v->m) * v->d;
}

static uint32_t kernel(const struct ns_op_mmd *v, const struct ns_args *a, int64_t i, int64_t j)
{
	const float *x = row(v, a, i < j ? i : j), *y = row(v, a, i < j ? j : i);
	float d2 = 0;
	int c;

	for (c = 0; c < v->d; c++)
		d2 = ns_mmd_distance(d2, x[c], y[c]);
	return ns_mmd_kernel(d2, v->gamma, v->distance);
}

/* member[p * total + i] = 1 where row i is in group X under permutation p */
static void draw_members(const struct ns_op_mmd *v, const int32_t *block, uint32_t *bits, uint8_t *member)
{
	uint32_t total = (uint32_t)(v->m + v->n), i;
	int p;

	for (p = 0; p <= v->permutations; p++, member += total) {
		ns_mmd_members(bits, (uint32_t)(block ? v->ref_blocks : v->m), block ? (uint32_t)v->blocks : total, v->seed, (uint32_t)p);
		for (i = 0; i < total; i++) {
			uint32_t b = block ? (uint32_t)block[i] : i;

			member[i] = bits[b / 32] >> b % 32 & 1;
		}
	}
}

static enum ns_status mmd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_mmd *v = &ns_ref_op(plan)->u.mmd;
	int64_t *q = a->out[NS_MMD_Q], *s = a->out[NS_MMD_S], *total = a->out[NS_MMD_TOTAL], i, j, all = v->m + v->n;
	uint8_t *member = (uint8_t *)a->workspace + all * 4;
	int p;

	(void)queue;
	draw_members(v, v->blocks ? a->in[NS_MMD_BLOCK] : NULL, a->workspace, member);
	*total = 0;
	for (p = 0; p <= v->permutations; p++)
		q[p] = s[p] = 0;
	for (i = v->row_begin; i < v->row_end; i++)
		for (j = 0; j < all; j++) {
			int64_t k = i == j ? 0 : kernel(v, a, i, j);

			*total += k;
			for (p = 0; p <= v->permutations; p++) {
				s[p] += member[p * all + i] * k;
				q[p] += member[p * all + i] * member[p * all + j] * k;
			}
		}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_mmd, "mmd/ref", NS_OP_MMD, mmd_run, (size_t)(op->u.mmd.m + op->u.mmd.n) * (size_t)(op->u.mmd.permutations + 5));
