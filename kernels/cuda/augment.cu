/*
 * kernels/cuda/augment.cu - the fused augmentation: u8 in, u8 or normalised f32 / bf16 out, each sample with its own draw,
 * the same bytes as ref's.
 *
 * Where the recipe has neither a resolution loss nor blur, one pass does it all: a thread makes four neighbours of a row and
 * writes them in pieces of 16 or 8 bytes where rows allow it; the image lies in shared memory where it fits, else it is
 * gathered through the cache. Otherwise a block owns a sample and works on it stage by stage, in two copies in global memory.
 */
#include "kernels/cuda/cuda.h"

#include <stdlib.h>

extern "C" {
#include "kernels/formula/augment.h"
}

#define THREADS 256
#define RUN 4 /* pixels of a thread */
#define SHARED_MAX (48 << 10)

struct recipe { /* what all samples share; the tables lie in device memory */
	int n, h, w, p, q, fill;
	float scale[4], shift[4];
	const uint8_t *gamma;
};

static __device__ inline int32_t pixel(const uint8_t *x, const recipe &v, int c, int i, int j, int ch)
{
	return i < 0 || j < 0 || i >= v.h || j >= v.w ? v.fill : x[(i * v.w + j) * c + ch];
}

/* all channels of one output pixel, geometry only */
template <int C> static __device__ inline void gather(const uint8_t *x, const recipe &v, const ns_augment_sample &a, int i, int j, int32_t *out)
{
	int32_t u = ns_map_x(&a, j, i), t = ns_map_y(&a, j, i);
	int x0 = u >> 16, y0 = t >> 16, fx = u >> 8 & 255, fy = t >> 8 & 255, ch;

	if (a.exact) { /* whole pixels: the weights of the other three are 0 */
		for (ch = 0; ch < C; ch++)
			out[ch] = pixel(x, v, C, y0, x0, ch);
		return;
	}
	if (x0 >= 0 && y0 >= 0 && x0 + 1 < v.w && y0 + 1 < v.h) { /* inside: no fill */
		const uint8_t *top = x + (y0 * v.w + x0) * C, *bottom = top + v.w * C;

		for (ch = 0; ch < C; ch++)
			out[ch] = ns_bilinear(top[ch], top[ch + C], bottom[ch], bottom[ch + C], fx, fy);
		return;
	}
	for (ch = 0; ch < C; ch++)
		out[ch] = ns_bilinear(pixel(x, v, C, y0, x0, ch), pixel(x, v, C, y0, x0 + 1, ch), pixel(x, v, C, y0 + 1, x0, ch),
				      pixel(x, v, C, y0 + 1, x0 + 1, ch), fx, fy);
}

/* colour, gamma, noise, cutout */
template <int C> static __device__ inline void pointwise(const recipe &v, const ns_augment_sample &a, int i, int j, int32_t *t)
{
	int32_t r = t[0], g = t[C > 1 ? 1 : 0], b = t[C > 2 ? 2 : 0];
	int ch, cut = i >= a.cut[0] && i < a.cut[2] && j >= a.cut[1] && j < a.cut[3];

	for (ch = 0; ch < C; ch++) {
		int32_t x = t[ch];

		if (a.has_colour)
			x = ns_colour(a.colour[ch], r, g, b);
		if (a.gamma >= 0)
			x = v.gamma[a.gamma * 256 + x];
		if (a.noise)
			x = ns_add_noise(x, a.noise, a.key, (uint32_t)((i * v.q + j) * C + ch));
		t[ch] = cut ? v.fill : x;
	}
}

/* --- results --- */

static __device__ inline void put(uint8_t *y, int32_t v, float, float)
{
	*y = (uint8_t)v;
}

static __device__ inline void put(float *y, int32_t v, float scale, float shift)
{
	*y = ns_normalise(v, scale, shift);
}

static __device__ inline void put(ns_bf16 *y, int32_t v, float scale, float shift)
{
	ns_store(y, ns_normalise(v, scale, shift));
}

/* `count` values in registers to memory, in words of 16, 8 or 4 bytes: all begin at a multiple of that */
template <int BYTES> static __device__ inline void copy_out(void *to, const void *from)
{
	const int each = BYTES % 16 == 0 ? 16 : BYTES % 8 == 0 ? 8 : 4;
	int i;

#pragma unroll
	for (i = 0; i < BYTES / each; i++)
		if (each == 16)
			((uint4 *)to)[i] = ((const uint4 *)from)[i];
		else if (each == 8)
			((uint2 *)to)[i] = ((const uint2 *)from)[i];
		else
			((uint32_t *)to)[i] = ((const uint32_t *)from)[i];
}

/* --- one pass: blockIdx.y is the sample, threads take runs of RUN pixels of a row --- */

template <class T, int C, int SHARED, int WHOLE>
static __global__ void augment_pass(const recipe v, const uint8_t *x, const ns_augment_sample *samples, T *y)
{
	NS_SHARED_DYN(uint8_t, cache);
	NS_SHARED(ns_augment_sample, a, [1]);
	int runs = (v.q + RUN - 1) / RUN, at = (int)(blockIdx.x * THREADS + threadIdx.x), i = at / runs, j0 = at % runs * RUN, k, ch;
	const uint8_t *image = x + (int64_t)blockIdx.y * v.h * v.w * C;
	alignas(16) T out[RUN * C];
	T *row;

	for (k = (int)threadIdx.x; k < (int)(sizeof a / 4); k += THREADS)
		((uint32_t *)a)[k] = ((const uint32_t *)(samples + blockIdx.y))[k];
	if (SHARED) {
		int bytes = v.h * v.w * C;

		if ((bytes | (int)((uintptr_t)x & 15)) % 16 == 0)
			for (k = (int)threadIdx.x; k < bytes / 16; k += THREADS)
				((uint4 *)cache)[k] = ((const uint4 *)image)[k];
		else
			for (k = (int)threadIdx.x; k < bytes; k += THREADS)
				cache[k] = image[k];
		image = cache;
	}
	__syncthreads();
	if (i >= v.p)
		return;
	row = y + (((int64_t)blockIdx.y * v.p + i) * v.q + j0) * C;
#pragma unroll
	for (k = 0; k < RUN; k++) {
		int32_t t[C];

		if (!WHOLE && j0 + k >= v.q)
			return;
		gather<C>(image, v, a[0], i, j0 + k, t);
		pointwise<C>(v, a[0], i, j0 + k, t);
#pragma unroll
		for (ch = 0; ch < C; ch++)
			put(WHOLE ? out + k * C + ch : row + k * C + ch, t[ch], v.scale[ch], v.shift[ch]);
	}
	if (WHOLE)
		copy_out<RUN * C * (int)sizeof(T)>(row, out);
}

/* --- stage by stage: a block a sample; t and u are two copies in global memory --- */

template <int C> static __device__ inline void to_coarse(const recipe &v, const ns_augment_sample &a, const uint8_t *t, uint8_t *low)
{
	int k, y, x, ch;

	for (k = (int)threadIdx.x; k < a.low_h * a.low_w; k += THREADS) {
		int i = k / a.low_w, j = k % a.low_w, y1 = ((i + 1) * v.p - 1) / a.low_h, x1 = ((j + 1) * v.q - 1) / a.low_w;
		int64_t sum[C] = {0};

		for (y = i * v.p / a.low_h; y <= y1; y++)
			for (x = j * v.q / a.low_w; x <= x1; x++) {
				int64_t area = (int64_t)ns_overlap(i, y, a.low_h, v.p) * ns_overlap(j, x, a.low_w, v.q);

				for (ch = 0; ch < C; ch++)
					sum[ch] += area * t[((int64_t)y * v.q + x) * C + ch];
			}
		for (ch = 0; ch < C; ch++)
			low[(int64_t)k * C + ch] = (uint8_t)ns_area_round(sum[ch], (int64_t)v.p * v.q);
	}
}

template <int C> static __device__ inline void from_coarse(const recipe &v, const ns_augment_sample &a, const uint8_t *low, uint8_t *t)
{
	int k, ch;

	for (k = (int)threadIdx.x; k < v.p * v.q; k += THREADS) {
		int32_t ty = ns_upsample_at(k / v.q, a.low_h, v.p), tx = ns_upsample_at(k % v.q, a.low_w, v.q);
		int y0 = ty >> 16, x0 = tx >> 16, y1 = y0 + (y0 < a.low_h - 1), x1 = x0 + (x0 < a.low_w - 1);

		for (ch = 0; ch < C; ch++)
			t[(int64_t)k * C + ch] =
				(uint8_t)ns_bilinear(low[((int64_t)y0 * a.low_w + x0) * C + ch], low[((int64_t)y0 * a.low_w + x1) * C + ch],
						     low[((int64_t)y1 * a.low_w + x0) * C + ch], low[((int64_t)y1 * a.low_w + x1) * C + ch],
						     tx >> 8 & 255, ty >> 8 & 255);
	}
}

template <int C> static __device__ inline int32_t blurred(const recipe &v, const ns_augment_sample &a, const uint8_t *t, int i, int j, int ch)
{
	int32_t sum = 32768;
	int dy, dx;

	for (dy = -2; dy <= 2; dy++)
		for (dx = -2; dx <= 2; dx++)
			sum += a.blur[dy < 0 ? -dy : dy] * a.blur[dx < 0 ? -dx : dx] *
			       t[((int64_t)ns_clamp_i32(i + dy, 0, v.p - 1) * v.q + ns_clamp_i32(j + dx, 0, v.q - 1)) * C + ch];
	return sum >> 16;
}

template <class T, int C>
static __global__ void augment_stages(const recipe v, const uint8_t *x, const ns_augment_sample *samples, uint8_t *space, T *y)
{
	int64_t out = (int64_t)v.p * v.q * C, sample = blockIdx.x;
	const ns_augment_sample &a = samples[sample];
	const uint8_t *image = x + sample * v.h * v.w * C;
	uint8_t *t = space + sample * 2 * out, *u = t + out;
	int k, ch;

	for (k = (int)threadIdx.x; k < v.p * v.q; k += THREADS) {
		int32_t g[C];

		gather<C>(image, v, a, k / v.q, k % v.q, g);
		for (ch = 0; ch < C; ch++)
			t[(int64_t)k * C + ch] = (uint8_t)g[ch];
	}
	__syncthreads();
	if (a.low_h) { /* the same for the whole block */
		to_coarse<C>(v, a, t, u);
		__syncthreads();
		from_coarse<C>(v, a, u, t);
		__syncthreads();
	}
	for (k = (int)threadIdx.x; k < v.p * v.q; k += THREADS) {
		int32_t g[C];

		for (ch = 0; ch < C; ch++)
			g[ch] = a.blur[0] == 256 ? t[(int64_t)k * C + ch] : blurred<C>(v, a, t, k / v.q, k % v.q, ch);
		pointwise<C>(v, a, k / v.q, k % v.q, g);
		for (ch = 0; ch < C; ch++)
			put(y + sample * out + (int64_t)k * C + ch, g[ch], v.scale[ch], v.shift[ch]);
	}
}

/* --- plans: the gamma tables go to the device once --- */

struct augment_plan {
	struct ns_plain_plan plain;
	void *gamma;
};

template <class T, int C> static void launch(const struct ns_augment *v, const recipe &r, const struct ns_args *a, cudaStream_t stream)
{
	const uint8_t *x = (const uint8_t *)a->in[NS_AUGMENT_X];
	const ns_augment_sample *s = (const ns_augment_sample *)a->in[NS_AUGMENT_SAMPLES];
	T *y = (T *)a->out[NS_AUGMENT_Y];
	int bytes = v->h * v->w * C, runs = (v->q + RUN - 1) / RUN;
	dim3 grid(ns_cuda_blocks((int64_t)runs * v->p, THREADS), (unsigned)v->n);
	int whole = v->q % RUN == 0 && (uintptr_t)y % 16 == 0;

	if (v->config->p_resolution > 0 || v->config->p_blur > 0)
		NS_LAUNCH((augment_stages<T, C>), (unsigned)v->n, THREADS, 0, stream, r, x, s, (uint8_t *)a->workspace, y);
	else if (bytes <= SHARED_MAX && whole)
		NS_LAUNCH((augment_pass<T, C, 1, 1>), grid, THREADS, (size_t)bytes, stream, r, x, s, y);
	else if (whole)
		NS_LAUNCH((augment_pass<T, C, 0, 1>), grid, THREADS, 16, stream, r, x, s, y);
	else
		NS_LAUNCH((augment_pass<T, C, 0, 0>), grid, THREADS, 16, stream, r, x, s, y);
}

template <class T> static void by_channels(const struct ns_augment *v, const recipe &r, const struct ns_args *a, cudaStream_t stream)
{
	if (v->c == 1)
		launch<T, 1>(v, r, a, stream);
	else
		launch<T, 3>(v, r, a, stream);
}

static enum ns_status augment_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_augment *v = &ns_cuda_op(plan)->u.augment;
	cudaStream_t stream = ns_cuda_stream(queue);
	recipe r = {v->n, v->h, v->w, v->p, v->q, v->config->fill, {0}, {0}, (const uint8_t *)((const struct augment_plan *)plan)->gamma};
	int c;

	for (c = 0; c < 4; c++) {
		r.scale[c] = v->scale[c];
		r.shift[c] = v->shift[c];
	}
	if (v->out_dtype == NS_U8)
		by_channels<uint8_t>(v, r, a, stream);
	else if (v->out_dtype == NS_F32)
		by_channels<float>(v, r, a, stream);
	else
		by_channels<ns_bf16>(v, r, a, stream);
	return ns_cuda_launched(plan);
}

static void augment_free(struct ns_plan *plan)
{
	cudaFree(((struct augment_plan *)plan)->gamma);
	free(plan);
}

static enum ns_status augment_make(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_augment *v = &op->u.augment;
	struct augment_plan *p;
	enum ns_status status;

	if ((v->c != 1 && v->c != 3) || v->out_dtype == NS_F64 || v->n > 65535 || v->h > NS_AUGMENT_SIDE_MAX || v->w > NS_AUGMENT_SIDE_MAX)
		return NS_DECLINED;
	p = (struct augment_plan *)calloc(1, sizeof *p);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "no memory for a plan");
	p->plain.op = *op;
	p->plain.base.run = augment_run;
	p->plain.base.free = augment_free;
	if (v->config->p_resolution > 0 || v->config->p_blur > 0)
		p->plain.base.workspace_bytes = 2 * (size_t)v->n * (size_t)v->p * (size_t)v->q * (size_t)v->c;
	status = dev->backend->mem_make(&p->gamma, dev, sizeof v->config->gamma_table);
	if (status == NS_OK)
		status = ns_cuda_status(cudaMemcpyAsync(p->gamma, v->config->gamma_table, sizeof v->config->gamma_table,
							cudaMemcpyHostToDevice, 0),
					"gamma tables");
	if (status == NS_OK)
		status = ns_cuda_status(cudaStreamSynchronize(0), "gamma tables");
	if (status != NS_OK)
		augment_free(&p->plain.base);
	else
		*plan = &p->plain.base;
	return status;
}

extern "C" {
extern const struct ns_impl ns_cuda_augment;
}
const struct ns_impl ns_cuda_augment = {"augment/cuda", NS_OP_AUGMENT, augment_make};
