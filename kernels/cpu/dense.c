/* kernels/cpu/dense.c - the classifier's ends: linear layer, cross-entropy, prediction head, pooling. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec.h"
#include "kernels/formula/loss.h"

static float dot(const float *x, const float *y, int n)
{
	v16f sum = v16_set(0);
	int i;

	for (i = 0; i + 16 <= n; i += 16)
		sum += v16_load_f32(x + i, 16) * v16_load_f32(y + i, 16);
	if (i < n)
		sum += v16_load_f32(x + i, n - i) * v16_load_f32(y + i, n - i);
	return v16_sum(sum);
}

/* y += s * x */
static void axpy(float *restrict y, const float *restrict x, float s, int n)
{
	int i;

#pragma omp simd
	for (i = 0; i < n; i++)
		y[i] += s * x[i];
}

static enum ns_status linear_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_linear *v = &ns_cpu_op(plan)->u.linear;
	const float *x = a->in[NS_LINEAR_X], *w = a->in[NS_LINEAR_W], *b = a->in[NS_LINEAR_B];
	float *y = a->out[NS_LINEAR_Y];
	int64_t i, k;

	(void)queue;
	for (k = 0; k < v->k; k++)
		for (i = 0; i < v->n; i++)
			y[i * v->k + k] = b[k] + dot(x + i * v->d, w + k * v->d, v->d);
	return NS_OK;
}

static enum ns_status linear_backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_linear *v = &ns_cpu_op(plan)->u.linear;
	const float *x = a->in[NS_LINEARB_X], *w = a->in[NS_LINEARB_W], *dy = a->in[NS_LINEARB_DY];
	float *dx = a->out[NS_LINEARB_DX], *dw = a->out[NS_LINEARB_DW], *db = a->out[NS_LINEARB_DB];
	int64_t i, k;

	(void)queue;
	memset(dx, 0, (size_t)v->n * (size_t)v->d * sizeof *dx);
	memset(dw, 0, (size_t)v->k * (size_t)v->d * sizeof *dw);
	memset(db, 0, (size_t)v->k * sizeof *db);
	for (k = 0; k < v->k; k++)
		for (i = 0; i < v->n; i++) {
			float g = dy[i * v->k + k];

			axpy(dx + i * v->d, w + k * v->d, g, v->d);
			axpy(dw + k * v->d, x + i * v->d, g, v->d);
			db[k] += g;
		}
	return NS_OK;
}

static int argmax(const float *x, int k)
{
	int j, best = 0;

	for (j = 1; j < k; j++)
		if (x[j] > x[best])
			best = j;
	return best;
}

/* y = exp((x - top) / over), and its sum */
static float exp_row(float *y, const float *x, float top, float over, int k)
{
	float sum = 0;
	int j;

	for (j = 0; j < k; j++) {
		float t = (x[j] - top) * over;

		y[j] = t == t ? ns_exp_neg(t) : t; /* NaN is passed on */
		sum += y[j];
	}
	return sum;
}

/* The row's loss, and dx, which holds exponentials that add up to `sum`, becomes its gradient; label -1: soft targets. */
static double xent_row(const struct ns_op_xent *v, const float *x, const float *soft, const float *weights, int label, float top, float sum,
		       float *dx)
{
	float even = v->smoothing / (float)v->k, log_sum = logf(sum), all = v->weighted ? 0 : 1, slope = v->scale;
	double loss = 0;
	int j;

	for (j = 0; v->weighted && j < v->k; j++)
		all += weights[j] * ((1 - v->smoothing) * (soft ? soft[j] : label == j ? 1.0f : 0.0f) + even);
	if (v->focal > 0)
		slope *= (float)ns_focal_slope((double)(x[label] - top - log_sum), (double)v->focal);
	for (j = 0; j < v->k; j++) {
		float t = soft ? soft[j] : label == j ? 1.0f : 0.0f;

		t = (1 - v->smoothing) * t + even;
		t = v->weighted ? t * weights[j] : t;
		if (t != 0)
			loss -= (double)(t * (x[j] - top - log_sum));
		dx[j] = slope * (dx[j] / sum * all - t);
	}
	return v->focal > 0 ? loss * ns_focal((double)(x[label] - top - log_sum), (double)v->focal) : loss;
}

static enum ns_status xent_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_xent *v = &ns_cpu_op(plan)->u.xent;
	const float *x = a->in[NS_XENT_X], *soft = a->in[NS_XENT_T];
	const int32_t *label = a->in[NS_XENT_T];
	float *dx = a->out[NS_XENT_DX];
	double loss = 0;
	int i, hits = 0;

	(void)queue;
	for (i = 0; i < v->n; i++, x += v->k, dx += v->k) {
		int best = argmax(x, v->k);
		float sum = exp_row(dx, x, x[best], 1, v->k);

		if (!v->soft && label[i] < 0) {
			memset(dx, 0, (size_t)v->k * sizeof *dx);
			continue;
		}
		loss += xent_row(v, x, v->soft ? soft + (int64_t)i * v->k : NULL, a->in[NS_XENT_WEIGHTS], v->soft ? -1 : label[i], x[best], sum, dx);
		hits += best == (v->soft ? argmax(soft + (int64_t)i * v->k, v->k) : label[i]);
	}
	*(float *)a->out[NS_XENT_LOSS] = (float)loss;
	*(float *)a->out[NS_XENT_HITS] = (float)hits;
	return NS_OK;
}

static enum ns_status head_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_head *v = &ns_cpu_op(plan)->u.head;
	const float *x = a->in[NS_HEAD_X];
	float *prob = a->out[NS_HEAD_PROB], *entropy = a->out[NS_HEAD_ENTROPY], *margin = a->out[NS_HEAD_MARGIN];
	int32_t *pred = a->out[NS_HEAD_PRED];
	int i, j;

	(void)queue;
	for (i = 0; i < v->n; i++, x += v->k, prob += v->k) {
		int best = argmax(x, v->k);
		float over = 1 / v->temperature, sum = exp_row(prob, x, x[best], over, v->k), second = 0;
		double h = log((double)sum), mean = 0;

		for (j = 0; j < v->k; j++) {
			prob[j] /= sum;
			if (prob[j] > 0)
				mean += (double)(prob[j] * ((x[j] - x[best]) * over));
			if (j != best && prob[j] > second)
				second = prob[j];
		}
		pred[i] = best;
		entropy[i] = (float)(h - mean);
		margin[i] = prob[best] - second;
	}
	return NS_OK;
}

/* --- pooling: rows of C channels, vectorised over C --- */

static inline float load(const void *x, enum ns_dtype t, int64_t i)
{
	return t == NS_BF16 ? ns_f32_of_bf16(((const uint16_t *)x)[i]) : ((const float *)x)[i];
}

struct span {
	int y0, y1, x0, x1;
};

static struct span window(const struct ns_op_pool *v, int p, int q)
{
	int y = p * v->stride - v->pad, x = q * v->stride - v->pad;
	struct span s = {y < 0 ? 0 : y, y + v->r > v->h ? v->h : y + v->r, x < 0 ? 0 : x, x + v->s > v->w ? v->w : x + v->s};

	return s;
}

static void pool_chunk(const struct ns_op_pool *v, const struct ns_args *a, int n, int p, int q, int c, int lanes, int64_t at)
{
	struct span s = window(v, p, q);
	v16f best = v16_set(-INFINITY), sum = v16_set(0);
	v16i which = {0};
	int i, j;

	which += (s.y0 - (p * v->stride - v->pad)) * v->s + s.x0 - (q * v->stride - v->pad);
	for (i = s.y0; i < s.y1; i++)
		for (j = s.x0; j < s.x1; j++) {
			v16f t = v16_load(a->in[NS_POOL_X], v->dtype, ((int64_t)(n * v->h + i) * v->w + j) * v->c + c, lanes);
			v16i more = t > best;
			int32_t here = (i - (p * v->stride - v->pad)) * v->s + j - (q * v->stride - v->pad);

			sum += t;
			best = v16_max(t, best);
			which = (which & ~more) | (here & more);
		}
	if (v->mode == NS_POOL_AVG)
		best = sum * v16_set(1.0f / (float)((s.y1 - s.y0) * (s.x1 - s.x0)));
	v16_store(a->out[NS_POOL_Y], v->out_dtype, at + c, best, lanes);
	for (i = 0; v->mode == NS_POOL_MAX && a->out[NS_POOL_WHICH] && i < lanes; i++)
		((uint8_t *)a->out[NS_POOL_WHICH])[at + c + i] = (uint8_t)which[i];
}

static enum ns_status pool_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool *v = &ns_cpu_op(plan)->u.pool;
	int n, p, q, c, P = ns_op_pool_p(v), Q = ns_op_pool_q(v);
	int64_t at = 0;

	(void)queue;
	for (n = 0; n < v->n; n++)
		for (p = 0; p < P; p++)
			for (q = 0; q < Q; q++, at += v->c)
				for (c = 0; c < v->c; c += 16)
					pool_chunk(v, a, n, p, q, c, v->c - c < 16 ? v->c - c : 16, at);
	return NS_OK;
}

/* add one output's gradient to the f32 gradient of its window */
static void scatter(const struct ns_op_pool *v, const struct ns_args *a, float *dx, int p, int q, int64_t at)
{
	struct span s = window(v, p, q);
	const uint8_t *which = v->mode == NS_POOL_MAX ? (const uint8_t *)a->in[NS_POOLB_WHICH] + at : NULL;
	float share = which ? 1 : 1.0f / (float)((s.y1 - s.y0) * (s.x1 - s.x0));
	int i, j, c;

	for (i = s.y0; i < s.y1; i++)
		for (j = s.x0; j < s.x1; j++) {
			float *d = dx + (int64_t)(i * v->w + j) * v->c;
			int here = (i - p * v->stride + v->pad) * v->s + j - q * v->stride + v->pad;

			for (c = 0; c < v->c; c++) {
				float dy = load(a->in[NS_POOLB_DY], v->out_dtype, at + c);

				if (v->dy2)
					dy += load(a->in[NS_POOLB_DY2], v->out_dtype, at + c);
				d[c] += !which || which[c] == here ? dy * share : 0;
			}
		}
}

static enum ns_status pool_backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_pool *v = &ns_cpu_op(plan)->u.pool;
	int n, p, q, P = ns_op_pool_p(v), Q = ns_op_pool_q(v);
	int64_t at = 0, image = (int64_t)v->h * v->w * v->c, i;
	float *dx = a->workspace;

	(void)queue;
	for (n = 0; n < v->n; n++) {
		memset(dx, 0, (size_t)image * sizeof *dx);
		for (p = 0; p < P; p++)
			for (q = 0; q < Q; q++, at += v->c)
				scatter(v, a, dx, p, q, at);
		for (i = 0; i < image; i += 16) {
			int lanes = image - i < 16 ? (int)(image - i) : 16;

			v16_store(a->out[NS_POOLB_DX], v->dtype, n * image + i, v16_load_f32(dx + i, lanes), lanes);
		}
	}
	return NS_OK;
}

static int plain_type(enum ns_dtype t)
{
	return t == NS_F32 || t == NS_BF16;
}

#define MAKE(name, accepts, run, workspace)                                                                                                          \
	static enum ns_status make_##name(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)                                      \
	{                                                                                                                                            \
		(void)dev;                                                                                                                           \
		return (accepts) ? ns_plain_plan_make(plan, op, (workspace), run) : NS_DECLINED;                                                     \
	}

#define POOL_OK	   (plain_type(op->u.pool.dtype) && plain_type(op->u.pool.out_dtype))
#define POOL_IMAGE ((size_t)op->u.pool.h * (size_t)op->u.pool.w * (size_t)op->u.pool.c * sizeof(float))

MAKE(linear, op->u.linear.dtype == NS_F32, linear_run, 0)
MAKE(linear_backward, op->u.linear.dtype == NS_F32, linear_backward_run, 0)
MAKE(xent, op->u.xent.dtype == NS_F32, xent_run, 0)
MAKE(head, 1, head_run, 0)
MAKE(pool, POOL_OK, pool_run, 0)
MAKE(pool_backward, POOL_OK, pool_backward_run, POOL_IMAGE)

const struct ns_impl ns_cpu_linear = {"linear/cpu", NS_OP_LINEAR, make_linear};
const struct ns_impl ns_cpu_linear_backward = {"linear_backward/cpu", NS_OP_LINEAR_BACKWARD, make_linear_backward};
const struct ns_impl ns_cpu_xent = {"xent/cpu", NS_OP_XENT, make_xent};
const struct ns_impl ns_cpu_head = {"head/cpu", NS_OP_HEAD, make_head};
const struct ns_impl ns_cpu_pool = {"pool/cpu", NS_OP_POOL, make_pool};
const struct ns_impl ns_cpu_pool_backward = {"pool_backward/cpu", NS_OP_POOL_BACKWARD, make_pool_backward};
