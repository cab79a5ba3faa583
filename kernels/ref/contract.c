/* kernels/ref/contract.c - sums of products over shared axes. */
#include "kernels/ref/ref.h"

static enum ns_status contract_run(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue)
{
	const struct ns_op_contract *v = &ns_ref_op(plan)->u.contract;
	const int64_t *const out[2] = {v->a_out, v->b_out}, *const sum[2] = {v->a_sum, v->b_sum};
	const void *a = args->in[NS_CONTRACT_A], *b = args->in[NS_CONTRACT_B];
	int64_t i, j, n = ns_box_count(&v->out), m = ns_box_count(&v->sum), at[NS_RANK] = {0}, base[2] = {0, 0};

	(void)queue;
	for (i = 0; i < n; i++, ns_ref_next(&v->out, at, out, base, 2)) {
		int64_t inner[NS_RANK] = {0}, offset[2] = {base[0], base[1]};
		uint64_t whole = 0;
		double y = 0;

		for (j = 0; j < m; j++, ns_ref_next(&v->sum, inner, sum, offset, 2)) {
			if (ns_dtype_is_float(v->dtype))
				y += ns_typed_get(a, v->dtype, offset[0]) * ns_typed_get(b, v->dtype, offset[1]);
			else
				whole += (uint64_t)ns_typed_get_whole(a, v->dtype, offset[0]) * (uint64_t)ns_typed_get_whole(b, v->dtype, offset[1]);
		}
		if (ns_dtype_is_float(v->dtype))
			ns_typed_set(args->out[NS_CONTRACT_Y], v->out_dtype, i, y);
		else
			ns_typed_set_whole(args->out[NS_CONTRACT_Y], v->out_dtype, i, (int64_t)whole);
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_contract, "contract/ref", NS_OP_CONTRACT, contract_run, 0);
