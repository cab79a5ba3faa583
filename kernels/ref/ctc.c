/* kernels/ref/ctc.c - texts of images, one after the other. */
#include "kernels/formula/ctc.h"
#include "kernels/ref/ref.h"

static enum ns_status ctc_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_ctc *v = &ns_ref_op(plan)->u.ctc;
	const float *z = a->in[NS_CTC_X];
	const int32_t *text = a->in[NS_CTC_TEXT];
	float *dx = a->out[NS_CTC_DX];
	double loss = 0;
	int64_t n;
	int hits = 0, read;

	(void)queue;
	for (n = 0; n < v->n; n++, z += v->t * v->k, dx += v->t * v->k, text += v->most) {
		loss += ns_ctc_one(v, z, text, dx, a->workspace, &read);
		hits += read;
	}
	*(float *)a->out[NS_CTC_LOSS] = (float)loss;
	*(float *)a->out[NS_CTC_HITS] = (float)hits;
	return NS_OK;
}

NS_REF_IMPL(ns_ref_ctc, "ctc/ref", NS_OP_CTC, ctc_run, sizeof(double) * (size_t)ns_ctc_work(&op->u.ctc));
