/* kernels/ref/pool.c - max and average pooling, forward and backward. */
#include "kernels/ref/ref.h"

struct span {
	int y0, y1, x0, x1; /* the window inside the image */
};

static struct span window(const struct ns_op_pool *v, int p, int q)
{
	int y = p * v->stride - v->pad, x = q * v->stride - v->pad;
	struct span s = {y < 0 ? 0 : y, y + v->r > v->h ? v->h : y + v->r, x < 0 ? 0 : x, x + v->s > v->w ? v->w : x + v->s};

	return s;
}

/* one output; the maximum's index in the window (row-major) in *which */
static double reduce(const struct ns_op_pool *v, const void *x, int n, int p, int q, int c, int *which)
{
	struct span s = window(v, p, q);
	double best = -INFINITY, sum = 0;
	int i, j;

	/* if nothing is larger than -infinity, the first pixel inside the image is taken */
	*which = (s.y0 - (p * v->stride - v->pad)) * v->s + s.x0 - (q * v->stride - v->pad);
	for (i = s.y0; i < s.y1; i++)
		for (j = s.x0; j < s.x1; j++) {
			double t = ns_typed_get(x, v->dtype, ((int64_t)(n * v->h + i) * v->w + j) * v->c + c);

			sum += t;
			if (t > best) {
				best = t;
				*which = (i - (p * v->stride - v->pad)) * v->s + j - (q * v->stride - v->pad);
			}
		}
	return v->mode == NS_POOL_MAX ? best : sum / ((s.y1 - s.y0) * (s.x1 - s.x0));
}

static enum ns_status pool_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool *v = &ns_ref_op(plan)->u.pool;
	int n, p, q, c, which = 0, P = ns_op_pool_p(v), Q = ns_op_pool_q(v);
	int64_t i = 0;

	(void)queue;
	for (n = 0; n < v->n; n++)
		for (p = 0; p < P; p++)
			for (q = 0; q < Q; q++)
				for (c = 0; c < v->c; c++, i++) {
					double y = reduce(v, a->in[NS_POOL_X], n, p, q, c, &which);

					ns_typed_set(a->out[NS_POOL_Y], v->out_dtype, i, y);
					if (v->mode == NS_POOL_MAX && a->out[NS_POOL_WHICH])
						((uint8_t *)a->out[NS_POOL_WHICH])[i] = (uint8_t)which;
				}
	return NS_OK;
}

static double incoming(const struct ns_op_pool *v, const struct ns_args *a, int64_t i)
{
	double dy = ns_typed_get(a->in[NS_POOLB_DY], v->out_dtype, i);

	return v->dy2 ? dy + ns_typed_get(a->in[NS_POOLB_DY2], v->out_dtype, i) : dy;
}

static enum ns_status pool_backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool *v = &ns_ref_op(plan)->u.pool;
	int n, p, q, c, i, j, P = ns_op_pool_p(v), Q = ns_op_pool_q(v);
	double *dx = a->workspace;
	int64_t t, at = 0, total = (int64_t)v->n * v->h * v->w * v->c;

	(void)queue;
	for (t = 0; t < total; t++)
		dx[t] = 0;
	for (n = 0; n < v->n; n++)
		for (p = 0; p < P; p++)
			for (q = 0; q < Q; q++)
				for (c = 0; c < v->c; c++, at++) {
					struct span s = window(v, p, q);
					double dy = incoming(v, a, at) / (v->mode == NS_POOL_MAX ? 1 : (s.y1 - s.y0) * (s.x1 - s.x0));
					int which = v->mode == NS_POOL_MAX ? ((const uint8_t *)a->in[NS_POOLB_WHICH])[at] : -1;

					for (i = s.y0; i < s.y1; i++)
						for (j = s.x0; j < s.x1; j++)
							if (which < 0 || which == (i - p * v->stride + v->pad) * v->s + j - q * v->stride + v->pad)
								dx[((int64_t)(n * v->h + i) * v->w + j) * v->c + c] += dy;
				}
	for (t = 0; t < total; t++)
		ns_typed_set(a->out[NS_POOLB_DX], v->dtype, t, dx[t]);
	return NS_OK;
}

NS_REF_IMPL(ns_ref_pool, "pool/ref", NS_OP_POOL, pool_run, 0);
NS_REF_IMPL(ns_ref_pool_backward, "pool_backward/ref", NS_OP_POOL_BACKWARD, pool_backward_run,
	    (size_t)op->u.pool.n *(size_t)op->u.pool.h *(size_t)op->u.pool.w *(size_t)op->u.pool.c * sizeof(double));
