/* kernels/cuda/linear.cu - y = x w' + b and its gradients, in f32. */
#include "kernels/cuda/gemm.cuh"

static enum ns_status linear_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_linear *v = &ns_cuda_op(plan)->u.linear;
	gemm_rows x = {(const float *)a->in[NS_LINEAR_X], v->d};
	gemm_columns w = {(const float *)a->in[NS_LINEAR_W], v->d};
	gemm_store y = {(float *)a->out[NS_LINEAR_Y], (const float *)a->in[NS_LINEAR_B], v->k};

	launch_gemm(x, w, y, v->n, v->k, v->d, ns_cuda_stream(queue));
	return ns_cuda_launched(plan);
}

static enum ns_status linear_backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_linear *v = &ns_cuda_op(plan)->u.linear;
	const float *dy = (const float *)a->in[NS_LINEARB_DY];
	gemm_rows x = {(const float *)a->in[NS_LINEARB_X], v->d}, w = {(const float *)a->in[NS_LINEARB_W], v->d}, rows = {dy, v->k};
	gemm_columns columns = {dy, v->k};
	gemm_store dx = {(float *)a->out[NS_LINEARB_DX], NULL, v->d}, dw = {(float *)a->out[NS_LINEARB_DW], NULL, v->d};
	cudaStream_t stream = ns_cuda_stream(queue);

	launch_gemm(rows, w, dx, v->n, v->d, v->k, stream);
	launch_gemm(columns, x, dw, v->k, v->d, v->n, stream);
	launch_column_sums(dy, v->n, v->k, (float *)a->out[NS_LINEARB_DB], stream);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_linear, "linear/cuda", NS_OP_LINEAR, op->u.linear.dtype == NS_F32, 0, linear_run);
NS_CUDA_IMPL(ns_cuda_linear_backward, "linear_backward/cuda", NS_OP_LINEAR_BACKWARD, op->u.linear.dtype == NS_F32, 0, linear_backward_run);
