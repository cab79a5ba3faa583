/*
 * kernels/cuda/contract.cu - sums of products over shared axes: matrices, batch by batch, through tiles in shared memory; whatever is none, a thread a result.
 */
#include "kernels/cuda/gemm.cuh"
#include "kernels/cuda/tensor.cuh"

struct matrix { /* element (i, j) at i * row + j * column; one matrix for each place of a box */
	const float *p;
	strides batch;
	int64_t row, column;
	__device__ void go(int64_t z)
	{
		p += offset_in(batch, z);
	}
	__device__ float at(int64_t i, int64_t j) const
	{
		return p[i * row + j * column];
	}
};

/* The last two axes are rows and columns, of f32. */
static int is_matrices(const struct ns_op_contract *v)
{
	int r = v->out.rank;

	return v->dtype == NS_F32 && v->out_dtype == NS_F32 && r >= 2 && v->sum.rank == 1 && !v->b_out[r - 2] && !v->a_out[r - 1] &&
	       v->out.dim[r - 2] < (int64_t)GEMM_TILE * INT32_MAX && v->out.dim[r - 1] <= (int64_t)GEMM_TILE * 65535;
}

static __global__ void contract_any(const struct ns_op_contract v, int64_t n, int64_t m, const void *a, const void *b, void *y)
{
	NS_CUDA_EACH(i, n)
	{
		int64_t base[2] = {0, 0}, rest = i, j;
		uint64_t whole = 0;
		double sum = 0;
		int d, is_float = ns_typed_is_float(v.dtype);

		for (d = v.out.rank - 1; d >= 0; d--) {
			base[0] += rest % v.out.dim[d] * v.a_out[d];
			base[1] += rest % v.out.dim[d] * v.b_out[d];
			rest /= v.out.dim[d];
		}
		for (j = 0; j < m; j++) {
			int64_t at = base[0], bt = base[1];

			for (rest = j, d = v.sum.rank - 1; d >= 0; d--) {
				at += rest % v.sum.dim[d] * v.a_sum[d];
				bt += rest % v.sum.dim[d] * v.b_sum[d];
				rest /= v.sum.dim[d];
			}
			if (is_float)
				sum += ns_typed_get(a, v.dtype, at) * ns_typed_get(b, v.dtype, bt);
			else
				whole += (uint64_t)ns_typed_get_whole(a, v.dtype, at) * (uint64_t)ns_typed_get_whole(b, v.dtype, bt);
		}
		if (is_float)
			ns_typed_set(y, v.out_dtype, i, sum);
		else
			ns_typed_set_whole(y, v.out_dtype, i, (int64_t)whole);
	}
}

static enum ns_status contract_run(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue)
{
	const struct ns_op_contract *v = &ns_cuda_op(plan)->u.contract;
	int r = v->out.rank;
	struct ns_box batch = v->out;
	int64_t n = ns_box_count(&v->out);

	if (!is_matrices(v)) {
		NS_LAUNCH(contract_any, tensor_grid(n), TENSOR_THREADS, 0, ns_cuda_stream(queue), *v, n, ns_box_count(&v->sum),
			  args->in[NS_CONTRACT_A], args->in[NS_CONTRACT_B], args->out[NS_CONTRACT_Y]);
		return ns_cuda_launched(plan);
	}
	batch.rank -= 2;
	{
		matrix a = {(const float *)args->in[NS_CONTRACT_A], strides_of(&batch, v->a_out), v->a_out[r - 2], v->a_sum[0]},
		       b = {(const float *)args->in[NS_CONTRACT_B], strides_of(&batch, v->b_out), v->b_sum[0], v->b_out[r - 1]};
		gemm_store_many y = {(float *)args->out[NS_CONTRACT_Y], v->out.dim[r - 1], v->out.dim[r - 2] * v->out.dim[r - 1]};

		if (n)
			launch_gemm_many(a, b, y, v->out.dim[r - 2], v->out.dim[r - 1], v->sum.dim[0], ns_box_count(&batch), ns_cuda_stream(queue));
	}
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_contract, "contract/cuda", NS_OP_CONTRACT, 1, 0, contract_run);
