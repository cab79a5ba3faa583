/* kernels/cuda/recurrent.cu - RNN, GRU and LSTM: a block an image, which takes its steps with barriers between them; sums in double, as on ref. */
#include "kernels/cuda/tensor.cuh"

extern "C" {
#include "kernels/formula/pointwise.h"
}

struct cell {
	struct ns_op_recurrent v;
	const float *x, *w, *r, *b, *h0, *c0, *p;
	const int32_t *lengths;
	float *y, *h, *c;
	double *scratch; /* of each image: gates (4 H), what R h gives (4 H), the state before (H) */
};

static __device__ inline double activate(const struct ns_op_recurrent &v, int which, double x)
{
	if (v.clip > 0)
		x = ns_clamp_f64(x, -v.clip, v.clip);
	return ns_formula(v.code[which], x, v.alpha[which], v.beta[which]);
}

/* gate = W x + bias of W, recurrent = R h + bias of R */
static __device__ void products(const cell &e, int64_t n, const float *x, const float *h, double *gate, double *recurrent)
{
	for (int64_t g = threadIdx.x; g < n; g += blockDim.x) {
		double a = e.b ? (double)e.b[g] : 0, b = e.b ? (double)e.b[n + g] : 0;
		int64_t i;

		for (i = 0; i < e.v.i; i++)
			a += (double)e.w[g * e.v.i + i] * (double)x[i];
		for (i = 0; i < e.v.h; i++)
			b += (double)e.r[g * e.v.h + i] * (double)h[i];
		gate[g] = a;
		recurrent[g] = b;
	}
	__syncthreads();
}

static __device__ void step_lstm(const cell &e, const double *gate, const double *recurrent, float *h, float *c)
{
	int64_t H = e.v.h;

	for (int64_t j = threadIdx.x; j < H; j += blockDim.x) { /* i, o, f, c */
		double before = (double)c[j], in, out, forget, made;

		in = activate(e.v, 0, gate[j] + recurrent[j] + (e.p ? (double)e.p[j] * before : 0));
		forget = activate(e.v, 0, gate[2 * H + j] + recurrent[2 * H + j] + (e.p ? (double)e.p[2 * H + j] * before : 0));
		if (e.v.couple)
			forget = 1 - in;
		made = forget * before + in * activate(e.v, 1, gate[3 * H + j] + recurrent[3 * H + j]);
		out = activate(e.v, 0, gate[H + j] + recurrent[H + j] + (e.p ? (double)e.p[H + j] * made : 0));
		c[j] = (float)made;
		h[j] = (float)(out * activate(e.v, 2, made));
	}
}

static __device__ void step_gru(const cell &e, double *gate, const double *recurrent, double *before, float *h)
{
	int64_t H = e.v.h, i;

	for (int64_t j = threadIdx.x; j < H; j += blockDim.x) { /* z, r, h */
		before[j] = (double)h[j];
		gate[j] = activate(e.v, 0, gate[j] + recurrent[j]);
		gate[H + j] = activate(e.v, 0, gate[H + j] + recurrent[H + j]);
	}
	__syncthreads();
	for (int64_t j = threadIdx.x; j < H; j += blockDim.x) {
		double hidden = gate[H + j] * recurrent[2 * H + j];

		if (!e.v.linear_before_reset) {
			hidden = e.b ? (double)e.b[5 * H + j] : 0;
			for (i = 0; i < H; i++)
				hidden += (double)e.r[(2 * H + j) * H + i] * (gate[H + i] * before[i]);
		}
		hidden = activate(e.v, 1, gate[2 * H + j] + hidden);
		h[j] = (float)((1 - gate[j]) * hidden + gate[j] * before[j]);
	}
}

static __global__ void images(const cell e, int gates)
{
	const struct ns_op_recurrent &v = e.v;

	for (int64_t n = blockIdx.x; n < v.n; n += gridDim.x) {
		int64_t length = e.lengths ? e.lengths[n] : v.t, s, t, H = v.h;
		float *h = e.h + n * H, *c = e.c + n * H;
		double *gate = e.scratch + n * 9 * H, *recurrent = gate + 4 * H, *before = gate + 8 * H;

		length = length < 0 ? 0 : length > v.t ? v.t : length;
		for (int64_t j = threadIdx.x; j < H; j += blockDim.x) {
			h[j] = e.h0 ? e.h0[n * H + j] : 0;
			c[j] = e.c0 ? e.c0[n * H + j] : 0;
			for (t = 0; t < v.t; t++)
				e.y[(t * v.n + n) * H + j] = 0;
		}
		__syncthreads();
		for (s = 0; s < length; s++) {
			t = v.reverse ? length - 1 - s : s;
			products(e, gates * H, e.x + (t * v.n + n) * v.i, h, gate, recurrent);
			if (v.how == NS_RECURRENT_LSTM)
				step_lstm(e, gate, recurrent, h, c);
			else if (v.how == NS_RECURRENT_GRU)
				step_gru(e, gate, recurrent, before, h);
			else
				for (int64_t j = threadIdx.x; j < H; j += blockDim.x)
					h[j] = (float)activate(v, 0, gate[j] + recurrent[j]);
			for (int64_t j = threadIdx.x; j < H; j += blockDim.x) /* those that this thread made */
				e.y[(t * v.n + n) * H + j] = h[j];
			__syncthreads();
		}
	}
}

static enum ns_status recurrent_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_recurrent *v = &ns_cuda_op(plan)->u.recurrent;
	const void *in[8];
	int k;

	for (k = 0; k < 8; k++)
		in[k] = v->has[k] ? a->in[k] : NULL;
	cell e = {*v,
		  (const float *)in[NS_RECURRENT_X],
		  (const float *)in[NS_RECURRENT_W],
		  (const float *)in[NS_RECURRENT_R],
		  (const float *)in[NS_RECURRENT_B],
		  (const float *)in[NS_RECURRENT_H0],
		  (const float *)in[NS_RECURRENT_C0],
		  (const float *)in[NS_RECURRENT_P],
		  (const int32_t *)in[NS_RECURRENT_LENGTHS],
		  (float *)a->out[NS_RECURRENT_Y],
		  (float *)a->out[NS_RECURRENT_H],
		  (float *)a->out[NS_RECURRENT_C],
		  (double *)a->workspace};
	NS_LAUNCH(images, (unsigned)(v->n < 65535 ? v->n : 65535), TENSOR_THREADS, 0, ns_cuda_stream(queue), e,
		  v->how == NS_RECURRENT_RNN   ? 1
		  : v->how == NS_RECURRENT_GRU ? 3
					       : 4);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_recurrent, "recurrent/cuda", NS_OP_RECURRENT, op->u.recurrent.n > 0,
	     (size_t)op->u.recurrent.n *(size_t)op->u.recurrent.h * 9 * sizeof(double), recurrent_run);
