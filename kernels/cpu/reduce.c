/* kernels/cpu/reduce.c - over neighbouring axes of f32: sums, means and extremes, softmax. Sums run in double, as ref's do. */
#include <math.h>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/fast.h"

/* The axes that are reduced have to be neighbours: outer x n x inner. */
static int neighbours(const struct ns_op_reduce *v, int64_t *outer, int64_t *n, int64_t *inner)
{
	int d, state = 0;

	*outer = *n = *inner = 1;
	for (d = 0; d < v->in.rank; d++) {
		int reduced = v->axes >> d & 1;

		if (v->in.dim[d] == 1)
			continue;
		state += state == 0 && reduced;
		state += state == 1 && !reduced;
		if (state == 2 && reduced)
			return 0;
		*(state == 0 ? outer : state == 1 ? n : inner) *= v->in.dim[d];
	}
	return *n >= 1 && *outer >= 1 && *inner >= 1;
}

/* What is no number stays, as an extreme of it is none. */
static inline v16f further(int how, v16f x, v16f best)
{
	return v16_select((how == NS_REDUCE_MAX ? x > best : x < best) | (x != x), x, best);
}

/* n elements side by side: sixteen results beside each other, then those, in their order. */
static float reduce_line(int how, const float *x, int64_t n)
{
	double sums[16] = {0}, sum = 0;
	v16f most = v16_set(x[0]);
	float best = x[0];
	int64_t i;
	int k;

	if (how == NS_REDUCE_MAX || how == NS_REDUCE_MIN) {
		for (i = 0; i + 16 <= n; i += 16)
			most = further(how, v16_load_f32(x + i, 16), most);
		for (k = 0; k < 16; k++)
			best = further(how, v16_set(most[k]), v16_set(best))[0];
		for (; i < n; i++)
			best = further(how, v16_set(x[i]), v16_set(best))[0];
		return best;
	}
	for (i = 0; i + 16 <= n; i += 16)
		for (k = 0; k < 16; k++)
			sums[k] += (double)x[i + k];
	for (k = 0; k < 16; k++)
		sum += sums[k];
	for (; i < n; i++)
		sum += (double)x[i];
	return (float)(how == NS_REDUCE_MEAN ? sum / (double)n : sum);
}

/* n rows of `inner` elements, row by row. */
static void reduce_rows(int how, const float *restrict x, int64_t n, int64_t inner, double *restrict sums, float *restrict y)
{
	int64_t i, k;

	if (how == NS_REDUCE_MAX || how == NS_REDUCE_MIN) {
		memcpy(y, x, sizeof *y * (size_t)inner);
		for (i = 1; i < n; i++)
			for (k = 0; k < inner; k += 16) {
				int lanes = inner - k < 16 ? (int)(inner - k) : 16;

				v16_store_f32(y + k, further(how, v16_load_f32(x + i * inner + k, lanes), v16_load_f32(y + k, lanes)), lanes);
			}
		return;
	}
	memset(sums, 0, sizeof *sums * (size_t)inner);
	for (i = 0; i < n; i++)
		for (k = 0; k < inner; k++)
			sums[k] += (double)x[i * inner + k];
	for (k = 0; k < inner; k++)
		y[k] = (float)(how == NS_REDUCE_MEAN ? sums[k] / (double)n : sums[k]);
}

static enum ns_status reduce_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_reduce *v = &ns_cpu_op(plan)->u.reduce;
	const float *x = a->in[NS_REDUCE_X];
	float *y = a->out[NS_REDUCE_Y];
	int64_t outer, n, inner, o;

	(void)queue;
	(void)neighbours(v, &outer, &n, &inner);
	for (o = 0; o < outer; o++, x += n * inner, y += inner)
		if (inner == 1)
			*y = reduce_line(v->how, x, n);
		else
			reduce_rows(v->how, x, n, inner, a->workspace, y);
	return NS_OK;
}

static enum ns_status reduce_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_reduce *v = &op->u.reduce;
	int64_t outer, n, inner;

	(void)dev;
	if (v->dtype != NS_F32 || (v->how != NS_REDUCE_SUM && v->how != NS_REDUCE_MEAN && v->how != NS_REDUCE_MAX && v->how != NS_REDUCE_MIN) ||
	    !neighbours(v, &outer, &n, &inner))
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, inner == 1 ? 0 : sizeof(double) * (size_t)inner, reduce_run);
}

const struct ns_impl ns_cpu_reduce = {"reduce/lines", NS_OP_REDUCE, reduce_make};

/* --- softmax --- */

#define BLOCK 1024 /* elements whose sum is of floats, lane by lane, before it goes into the whole's, which is a double */

static double sum_of_lanes(v16f x)
{
	double sum = 0;
	int i;

	for (i = 0; i < 16; i++)
		sum += (double)x[i];
	return sum;
}

/* A line without gaps, of at least 16. */
static void softmax_line(const float *x, float *y, int64_t n)
{
	v16f most = v16_load_f32(x, 16), sums, e, scale;
	float max = -INFINITY;
	double sum = 0;
	int64_t i, end;

	for (i = 16; i + 16 <= n; i += 16) {
		v16f t = v16_load_f32(x + i, 16);

		most = v16_select(t > most, t, most);
	}
	for (end = 0; end < 16; end++)
		max = most[end] > max ? most[end] : max;
	for (; i < n; i++)
		max = x[i] > max ? x[i] : max;
	for (i = 0; i < n; i = end) {
		end = i + BLOCK < n ? i + BLOCK : n;
		for (sums = v16_set(0); i + 16 <= end; i += 16) {
			e = v16_fast_exp(v16_load_f32(x + i, 16) - max);
			v16_store_f32(y + i, e, 16);
			sums += e;
		}
		for (sum += sum_of_lanes(sums); i < end; i++) {
			y[i] = v16_fast_exp(v16_set(x[i] - max))[0];
			sum += (double)y[i];
		}
	}
	scale = v16_set((float)(1 / sum));
	for (i = 0; i + 16 <= n; i += 16)
		v16_store_f32(y + i, v16_load_f32(y + i, 16) * scale, 16);
	for (; i < n; i++)
		y[i] *= scale[0];
}

static enum ns_status along_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_along *v = &ns_cpu_op(plan)->u.along;
	int64_t o, i, j;

	(void)queue;
	for (o = 0; v->inner == 1 && v->n >= 16 && o < v->outer; o++)
		softmax_line((const float *)a->in[NS_ALONG_X] + o * v->n, (float *)a->out[NS_ALONG_Y] + o * v->n, v->n);
	for (; o < v->outer; o++)
		for (i = 0; i < v->inner; i++) {
			const float *x = (const float *)a->in[NS_ALONG_X] + o * v->n * v->inner + i;
			float *y = (float *)a->out[NS_ALONG_Y] + o * v->n * v->inner + i, max = -INFINITY;
			double sum = 0;

			for (j = 0; j < v->n; j++)
				max = x[j * v->inner] > max ? x[j * v->inner] : max;
			for (j = 0; j < v->n; j++) {
				float e = expf(x[j * v->inner] - max);

				y[j * v->inner] = e;
				sum += (double)e;
			}
			for (j = 0; j < v->n; j++)
				y[j * v->inner] = (float)((double)y[j * v->inner] / sum);
		}
	return NS_OK;
}

static enum ns_status along_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	if (op->u.along.dtype != NS_F32 || op->u.along.how != NS_ALONG_SOFTMAX)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, 0, along_run);
}

const struct ns_impl ns_cpu_along = {"along/lines", NS_OP_ALONG, along_make};
