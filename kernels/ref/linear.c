/* kernels/ref/linear.c - y = x w' + b; x (N,D), w (K,D), b (K). */
#include "kernels/ref/ref.h"

static enum ns_status linear_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_linear *v = &ns_ref_op(plan)->u.linear;
	int i, j, k;

	(void)queue;
	for (i = 0; i < v->n; i++)
		for (k = 0; k < v->k; k++) {
			double sum = ns_typed_get(a->in[NS_LINEAR_B], v->dtype, k);

			for (j = 0; j < v->d; j++)
				sum += ns_typed_get(a->in[NS_LINEAR_X], v->dtype, (int64_t)i * v->d + j) *
				       ns_typed_get(a->in[NS_LINEAR_W], v->dtype, (int64_t)k * v->d + j);
			ns_typed_set(a->out[NS_LINEAR_Y], v->dtype, (int64_t)i * v->k + k, sum);
		}
	return NS_OK;
}

static enum ns_status linear_backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_linear *v = &ns_ref_op(plan)->u.linear;
	const void *dy = a->in[NS_LINEARB_DY];
	double sum;
	int i, j, k;

	(void)queue;
	for (i = 0; i < v->n; i++)
		for (j = 0; j < v->d; j++) {
			for (sum = 0, k = 0; k < v->k; k++)
				sum += ns_typed_get(dy, v->dtype, (int64_t)i * v->k + k) *
				       ns_typed_get(a->in[NS_LINEARB_W], v->dtype, (int64_t)k * v->d + j);
			ns_typed_set(a->out[NS_LINEARB_DX], v->dtype, (int64_t)i * v->d + j, sum);
		}
	for (k = 0; k < v->k; k++) {
		for (j = 0; j < v->d; j++) {
			for (sum = 0, i = 0; i < v->n; i++)
				sum += ns_typed_get(dy, v->dtype, (int64_t)i * v->k + k) *
				       ns_typed_get(a->in[NS_LINEARB_X], v->dtype, (int64_t)i * v->d + j);
			ns_typed_set(a->out[NS_LINEARB_DW], v->dtype, (int64_t)k * v->d + j, sum);
		}
		for (sum = 0, i = 0; i < v->n; i++)
			sum += ns_typed_get(dy, v->dtype, (int64_t)i * v->k + k);
		ns_typed_set(a->out[NS_LINEARB_DB], v->dtype, k, sum);
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_linear, "linear/ref", NS_OP_LINEAR, linear_run, 0);
NS_REF_IMPL(ns_ref_linear_backward, "linear_backward/ref", NS_OP_LINEAR_BACKWARD, linear_backward_run, 0);
