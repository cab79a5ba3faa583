/* kernels/cuda/ctc.cu - texts of images, a thread an image: a text is short beside the network that reads it. Sums over images are one thread's, in their order. */
#include "kernels/cuda/tensor.cuh"
#include "kernels/formula/ctc.h"

static __global__ void ctc_each(const struct ns_op_ctc v, const float *z, const int32_t *text, float *dx, double *work)
{
	NS_CUDA_EACH(n, v.n)
	{
		double *mine = work + n * (ns_ctc_work(&v) + 2);
		int read;

		mine[0] = ns_ctc_one(&v, z + n * v.t * v.k, text + n * v.most, dx + n * v.t * v.k, mine + 2, &read);
		mine[1] = read;
	}
}

static __global__ void ctc_sums(const struct ns_op_ctc v, const double *work, float *loss, float *hits)
{
	double sum = 0, read = 0;
	int64_t n;

	for (n = 0; n < v.n; n++) {
		sum += work[n * (ns_ctc_work(&v) + 2)];
		read += work[n * (ns_ctc_work(&v) + 2) + 1];
	}
	*loss = (float)sum;
	*hits = (float)read;
}

static enum ns_status ctc_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_ctc *v = &ns_cuda_op(plan)->u.ctc;
	cudaStream_t stream = ns_cuda_stream(queue);
	double *work = (double *)a->workspace;

	NS_LAUNCH(ctc_each, tensor_grid(v->n), TENSOR_THREADS, 0, stream, *v, (const float *)a->in[NS_CTC_X], (const int32_t *)a->in[NS_CTC_TEXT],
		  (float *)a->out[NS_CTC_DX], work);
	NS_LAUNCH(ctc_sums, 1, 1, 0, stream, *v, work, (float *)a->out[NS_CTC_LOSS], (float *)a->out[NS_CTC_HITS]);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_ctc, "ctc/cuda", NS_OP_CTC, 1, sizeof(double) * (size_t)(op->u.ctc.n * (ns_ctc_work(&op->u.ctc) + 2)), ctc_run);
