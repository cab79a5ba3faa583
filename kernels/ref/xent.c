/* kernels/ref/xent.c - softmax cross-entropy with its gradient, and the prediction head. */
#include "kernels/formula/loss.h"
#include "kernels/ref/ref.h"

static int largest(const void *x, enum ns_dtype dtype, int64_t at, int k)
{
	int j, best = 0;

	for (j = 1; j < k; j++)
		if (ns_typed_get(x, dtype, at + j) > ns_typed_get(x, dtype, at + best))
			best = j;
	return best;
}

static double log_sum_exp(const void *x, enum ns_dtype dtype, int64_t at, int k, double over)
{
	double top = ns_typed_get(x, dtype, at + largest(x, dtype, at, k)), sum = 0;
	int j;

	for (j = 0; j < k; j++)
		sum += exp((ns_typed_get(x, dtype, at + j) - top) / over);
	return top / over + log(sum);
}

static double target(const struct ns_op_xent *v, const struct ns_args *a, int i, int j)
{
	const void *t = a->in[NS_XENT_T];
	double hard = v->soft ? (double)((const float *)t)[(int64_t)i * v->k + j] : ((const int32_t *)t)[i] == j;
	double weight = v->weighted ? (double)((const float *)a->in[NS_XENT_WEIGHTS])[j] : 1;

	return weight * ((1 - (double)v->smoothing) * hard + (double)v->smoothing / v->k);
}

/* The row's loss, and its gradient; label -1: it has none. */
static double one_row(const struct ns_op_xent *v, const struct ns_args *a, int i, int label)
{
	const void *x = a->in[NS_XENT_X];
	int64_t at = (int64_t)i * v->k;
	double lse = log_sum_exp(x, v->dtype, at, v->k, 1), all = v->weighted ? 0 : 1, loss = 0, slope = 1;
	int off = !v->soft && label < 0, j;

	for (j = 0; j < v->k; j++) {
		double y = target(v, a, i, j);

		all += v->weighted ? y : 0;
		loss -= off || y == 0 ? 0 : y * (ns_typed_get(x, v->dtype, at + j) - lse); /* 0 * -infinity is 0 here */
	}
	if (v->focal > 0 && !off) {
		double log_p = ns_typed_get(x, v->dtype, at + label) - lse;

		loss *= ns_focal(log_p, (double)v->focal);
		slope = ns_focal_slope(log_p, (double)v->focal);
	}
	for (j = 0; j < v->k; j++)
		ns_typed_set(a->out[NS_XENT_DX], v->dtype, at + j,
			     off ? 0 : (double)v->scale * slope * (exp(ns_typed_get(x, v->dtype, at + j) - lse) * all - target(v, a, i, j)));
	return loss;
}

static enum ns_status xent_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_xent *v = &ns_ref_op(plan)->u.xent;
	const void *x = a->in[NS_XENT_X], *t = a->in[NS_XENT_T];
	double loss = 0, hits = 0;
	int i;

	(void)queue;
	for (i = 0; i < v->n; i++) {
		int64_t at = (int64_t)i * v->k;
		int label = v->soft ? largest(t, NS_F32, at, v->k) : ((const int32_t *)t)[i];

		loss += one_row(v, a, i, label);
		hits += largest(x, v->dtype, at, v->k) == label;
	}
	ns_typed_set(a->out[NS_XENT_LOSS], ns_ref_param(v->dtype), 0, loss);
	ns_typed_set(a->out[NS_XENT_HITS], ns_ref_param(v->dtype), 0, hits);
	return NS_OK;
}

static enum ns_status head_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_head *v = &ns_ref_op(plan)->u.head;
	const float *x = a->in[NS_HEAD_X];
	float *prob = a->out[NS_HEAD_PROB];
	int i, j;

	(void)queue;
	for (i = 0; i < v->n; i++) {
		int64_t at = (int64_t)i * v->k;
		double lse = log_sum_exp(x, NS_F32, at, v->k, (double)v->temperature), entropy = 0, second = 0;
		int best = largest(x, NS_F32, at, v->k);

		for (j = 0; j < v->k; j++) {
			double lp = (double)x[at + j] / (double)v->temperature - lse, p = exp(lp);

			prob[at + j] = (float)p;
			entropy -= p * lp;
			if (j != best && (double)prob[at + j] > second)
				second = (double)prob[at + j];
		}
		((int32_t *)a->out[NS_HEAD_PRED])[i] = best;
		((float *)a->out[NS_HEAD_ENTROPY])[i] = (float)entropy;
		((float *)a->out[NS_HEAD_MARGIN])[i] = (float)((double)prob[at + best] - second);
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_xent, "xent/ref", NS_OP_XENT, xent_run, 0);
NS_REF_IMPL(ns_ref_head, "head/ref", NS_OP_HEAD, head_run, 0);
