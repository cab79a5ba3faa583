/*
 * kernels/cuda/augment.cu - the fused augmentation: u8 in, u8 or normalised f32 / bf16 out, each sample with its own parameters,
 * the same bytes as ref's.
 *
 * If the recipe has neither a resolution loss nor blur, one pass does it all: a thread computes eight or four neighbours of a row
 * and writes them in words of 16 or 8 bytes where rows are aligned; the image lies in shared memory where it fits (RGB a word a
 * pixel), else it is gathered through the cache, in words. Otherwise a block owns a sample and works on it stage by stage, in copies in global memory.
 */
#include "kernels/cuda/cuda.h"

#include <stdlib.h>

extern "C" {
#include "kernels/formula/augment.h"
}
#include "kernels/cuda/augment_stages.cuh"

#define THREADS	   128
#define SHARED_MAX ((48 << 10) - 256) /* bytes for the image: a launch has 48 KiB, and the sample lies there too */

/*
 * The memory that an image is read from. BYTES: global, channel by channel. WORDS: global, RGB in aligned words (each image begins
 * at one). CACHED: shared, as it is. PIXELS: shared, RGB, a word a pixel, whose fourth byte is undefined.
 */
enum { BYTES, WORDS, CACHED, PIXELS };

/* The path of a pixel: ANY chooses by its sample; the others are fixed, for tests/roofline.sh to count instructions. */
enum { ANY, CROP, AFFINE };

template <int C, int HOW, int PATH> static __device__ inline int32_t pixel(const uint8_t *x, const recipe &v, int i, int j, int ch)
{
	if (PATH == ANY && ((unsigned)i >= (unsigned)v.h || (unsigned)j >= (unsigned)v.w))
		return v.fill;
	return HOW == PIXELS ? ((const uint32_t *)x)[i * v.w + j] >> 8 * ch & 255 : x[(i * v.w + j) * C + ch];
}

/* two neighbours in a row of RGB: red, red, green, green in one word, blue, blue in another */
template <int HOW> static __device__ inline void fetch_pair(const uint8_t *x, int at, uint32_t &rg, uint32_t &b)
{
	const uint32_t *words = (const uint32_t *)x;

	if (HOW == PIXELS) {
		uint32_t left = words[at], right = words[at + 1];

		rg = __byte_perm(left, right, 0x5140);
		b = __byte_perm(left, right, 0x0062);
	} else { /* six bytes in two or three words; a third that is not needed is not read */
		int shift = 3 * at % 4 * 8;
		const uint32_t *w = words + 3 * at / 4;
		uint32_t middle = w[1], low = __funnelshift_r(w[0], middle, shift), high = __funnelshift_r(middle, w[shift == 24 ? 2 : 1], shift);

		rg = __byte_perm(low, high, 0x4130);
		b = __byte_perm(low, high, 0x0052);
	}
}

/* all four neighbours of (x0, y0) are inside: no fill. As ns_bilinear(), two products an instruction */
template <int C, int HOW> static __device__ inline void gather_inside(const uint8_t *x, const recipe &v, int x0, int y0, int fx, int fy, int32_t *out)
{
	if (C == 3 && (HOW == WORDS || HOW == PIXELS)) {
		uint32_t across = (uint32_t)fx * 65535 + 256; /* 256 - fx below, fx above */
		uint32_t up = 256 - (uint32_t)fy, down = (uint32_t)fy, rg, b, rg1, b1;

		fetch_pair<HOW>(x, y0 * v.w + x0, rg, b);
		fetch_pair<HOW>(x, y0 * v.w + x0 + v.w, rg1, b1);
		out[0] = (int32_t)((__dp2a_lo(across, rg, 0u) * up + __dp2a_lo(across, rg1, 0u) * down + 32768) >> 16);
		out[1 % C] = (int32_t)((__dp2a_hi(across, rg, 0u) * up + __dp2a_hi(across, rg1, 0u) * down + 32768) >> 16);
		out[2 % C] = (int32_t)((__dp2a_lo(across, b, 0u) * up + __dp2a_lo(across, b1, 0u) * down + 32768) >> 16);
	} else {
		const uint8_t *top = x + (y0 * v.w + x0) * C, *bottom = top + v.w * C;
		int ch;

		for (ch = 0; ch < C; ch++)
			out[ch] = ns_bilinear(top[ch], top[ch + C], bottom[ch], bottom[ch + C], fx, fy);
	}
}

/* all channels of one output pixel, geometry only, from its position in the input (u, t) in 1/65536 */
template <int C, int HOW, int PATH>
static __device__ inline void gather(const uint8_t *x, const recipe &v, int exact, int32_t u, int32_t t, int32_t *out)
{
	int x0 = u >> 16, y0 = t >> 16, ch;
	int fx = (int)__byte_perm((uint32_t)u, 0, 0x4441), fy = (int)__byte_perm((uint32_t)t, 0, 0x4441); /* the second byte */

	if (PATH == CROP || (PATH == ANY && exact)) { /* whole pixels: the weights of the other three are 0 */
		for (ch = 0; ch < C; ch++)
			out[ch] = pixel<C, HOW, PATH>(x, v, y0, x0, ch);
	} else if (PATH == AFFINE || ((unsigned)x0 < (unsigned)(v.w - 1) && (unsigned)y0 < (unsigned)(v.h - 1))) {
		gather_inside<C, HOW>(x, v, x0, y0, fx, fy, out);
	} else {
		for (ch = 0; ch < C; ch++)
			out[ch] = ns_bilinear(pixel<C, HOW, PATH>(x, v, y0, x0, ch), pixel<C, HOW, PATH>(x, v, y0, x0 + 1, ch),
					      pixel<C, HOW, PATH>(x, v, y0 + 1, x0, ch), pixel<C, HOW, PATH>(x, v, y0 + 1, x0 + 1, ch), fx, fy);
	}
}

/* as ns_colour(); half is 0 if it was already added to row[3] */
static __device__ inline int32_t colour(const int32_t *row, int32_t half, int32_t r, int32_t g, int32_t b)
{
	int32_t t = (row[0] * r + row[1] * g + row[2] * b + (row[3] + half)) >> 12;

#ifdef __CUDA_ARCH__
	return __vimin_s32_relu(t, 255); /* one instruction from sm_90 on */
#else
	return ns_clamp_i32(t, 0, 255);
#endif
}

template <int C> static __device__ inline void colours(const ns_augment_sample &a, int32_t half, int32_t *t)
{
	int32_t r = t[0], g = t[C > 1 ? 1 : 0], b = t[C > 2 ? 2 : 0];
	int ch;

	for (ch = 0; ch < C; ch++)
		t[ch] = colour(a.colour[ch], half, r, g, b);
}

/* Does a stage follow colour? The same for all pixels of a sample. */
static __device__ inline int has_more(const ns_augment_sample &a)
{
	return a.hue || a.gamma >= 0 || a.noise || (a.cut[0] < a.cut[2] && a.cut[1] < a.cut[3]);
}

/* hue, gamma, noise, cutout */
template <int C> static __device__ inline void more(const recipe &v, const ns_augment_sample &a, int i, int j, int32_t *t)
{
	int ch, cut = i >= a.cut[0] && i < a.cut[2] && j >= a.cut[1] && j < a.cut[3];

	if (C == 3 && a.hue)
		ns_hue(&t[0], &t[1 % C], &t[2 % C], a.hue);
	for (ch = 0; ch < C; ch++) {
		int32_t x = t[ch];

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

/* Copies BYTES bytes from registers to memory in words of 16, 8 or 4 bytes; both must be aligned to the word. */
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

/* the image into shared memory, by all threads */
template <int HOW> static __device__ inline void fill_cache(const recipe &v, const uint8_t *image, uint8_t *cache)
{
	int count = v.h * v.w, k;

	if (HOW == PIXELS && count % 4 == 0 && (uintptr_t)image % 4 == 0) { /* four pixels: three words in, four out */
#pragma unroll 1
		for (k = (int)threadIdx.x; k < count / 4; k += THREADS) {
			const uint32_t *w = (const uint32_t *)image + 3 * k;
			uint32_t a = w[0], b = w[1], c = w[2];

			((uint4 *)cache)[k] = make_uint4(a, __funnelshift_r(a, b, 24), __funnelshift_r(b, c, 16), c >> 8);
		}
	} else if (HOW == PIXELS) {
#pragma unroll 1
		for (k = (int)threadIdx.x; k < count; k += THREADS)
			((uint32_t *)cache)[k] = (uint32_t)image[3 * k] | (uint32_t)image[3 * k + 1] << 8 | (uint32_t)image[3 * k + 2] << 16;
	} else if (count % 16 == 0 && (uintptr_t)image % 16 == 0) {
#pragma unroll 1
		for (k = (int)threadIdx.x; k < count / 16; k += THREADS)
			((uint4 *)cache)[k] = ((const uint4 *)image)[k];
	} else {
#pragma unroll 1
		for (k = (int)threadIdx.x; k < count; k += THREADS)
			cache[k] = image[k];
	}
}

/* the sample into shared memory; the rounding term of colour is added here, once */
static __device__ inline void fill_sample(const ns_augment_sample *from, ns_augment_sample *a)
{
	int k = (int)threadIdx.x, constant = (int)offsetof(ns_augment_sample, colour) / 4 + 3;

	static_assert(sizeof *a / 4 <= THREADS, "a word a thread");
	if (k < (int)(sizeof *a / 4)) {
		uint32_t w = ((const uint32_t *)from)[k];

		((uint32_t *)a)[k] = k == constant || k == constant + 4 || k == constant + 8 ? w + 2048 : w;
	}
}

template <class T, int C, int HOW, int RUN, int WHOLE, int PATH>
static __global__ void augment_pass(const recipe v, const uint8_t *x, const ns_augment_sample *samples, T *y)
{
	NS_SHARED_DYN(uint8_t, cache);
	NS_SHARED(ns_augment_sample, a, [1]);
	int runs = (v.q + RUN - 1) / RUN, at = (int)(blockIdx.x * THREADS + threadIdx.x), i = at / runs, j0 = (at - i * runs) * RUN, k, ch;
	const uint8_t *image = x + (int64_t)blockIdx.y * (v.h * v.w * C);
	alignas(16) T out[RUN * C];
	int32_t u, t;
	int exact, tint, extra;

	fill_sample(samples + blockIdx.y, a);
	if (HOW >= CACHED) {
		fill_cache<HOW>(v, image, cache);
		image = cache;
	}
	__syncthreads();
	if (i >= v.p)
		return;
	u = ns_map_x(a, j0, i);
	t = ns_map_y(a, j0, i);
	exact = a[0].exact;
	tint = PATH == ANY ? a[0].has_colour : PATH == AFFINE;
	extra = PATH == ANY && has_more(a[0]);
	y += (int64_t)blockIdx.y * (v.p * v.q * C) + (i * v.q + j0) * C;
#pragma unroll
	for (k = 0; k < RUN; k++, u += a[0].map[0], t += a[0].map[3]) {
		int32_t c[C];

		if (!WHOLE && j0 + k >= v.q)
			return;
		gather<C, HOW, PATH>(image, v, exact, u, t, c);
		if (tint)
			colours<C>(a[0], 0, c);
		if (extra)
			more<C>(v, a[0], i, j0 + k, c);
#pragma unroll
		for (ch = 0; ch < C; ch++)
			put(WHOLE ? out + k * C + ch : y + k * C + ch, c[ch], v.scale[ch], v.shift[ch]);
	}
	if (WHOLE)
		copy_out<RUN * C *(int)sizeof(T)>(y, out);
}

/* --- stage by stage: a block a sample; t and u are two copies in global memory, column one of words --- */

template <class T, int C>
static __global__ void augment_stages(const recipe v, const uint8_t *x, const ns_augment_sample *samples, uint8_t *space, T *y)
{
	int64_t out = (int64_t)v.p * v.q * C, sample = blockIdx.x;
	const ns_augment_sample &a = samples[sample];
	const uint8_t *image = x + sample * v.h * v.w * C;
	uint8_t *t = space + sample * stage_bytes(out), *u = t + out;
	uint32_t *column = (uint32_t *)(t + (2 * out + 3) / 4 * 4);
	int k, ch;

	for (k = (int)threadIdx.x; k < v.p * v.q; k += STAGE_THREADS) {
		int32_t g[C];

		gather<C, BYTES, ANY>(image, v, a.exact, ns_map_x(&a, k % v.q, k / v.q), ns_map_y(&a, k % v.q, k / v.q), g);
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
	if (a.radius) {
		blur_columns<C>(v, a, t, column);
		__syncthreads();
	}
	for (k = (int)threadIdx.x; k < v.p * v.q; k += STAGE_THREADS) {
		int32_t g[C];

		for (ch = 0; ch < C; ch++)
			g[ch] = a.radius ? blurred<C>(v, a, column, k / v.q, k % v.q, ch) : t[(int64_t)k * C + ch];
		if (a.has_colour)
			colours<C>(a, 2048, g);
		more<C>(v, a, k / v.q, k % v.q, g);
		for (ch = 0; ch < C; ch++)
			put(y + sample * out + (int64_t)k * C + ch, g[ch], v.scale[ch], v.shift[ch]);
	}
}

/* --- plans: the gamma tables go to the device once --- */

struct augment_plan {
	struct ns_plain_plan plain;
	void *gamma;
};

template <class T, int C> static void launch(const struct ns_op_augment *v, const recipe &r, const struct ns_args *a, cudaStream_t stream)
{
	const uint8_t *x = (const uint8_t *)a->in[NS_AUGMENT_X];
	const ns_augment_sample *s = (const ns_augment_sample *)a->in[NS_AUGMENT_SAMPLES];
	T *y = (T *)a->out[NS_AUGMENT_Y];
	int cached = v->h * v->w * (C == 3 ? 4 : 1), aligned = (uintptr_t)y % 16 == 0, words = v->h * v->w % 4 == 0 && (uintptr_t)x % 4 == 0;
	int run = v->q % 8 == 0 ? 8 : 4;
	dim3 grid(ns_cuda_blocks((int64_t)((v->q + run - 1) / run) * v->p, THREADS), (unsigned)v->n);
	const int shared = C == 3 ? PIXELS : CACHED, wide = C == 3 ? WORDS : BYTES;

	if (ns_augment_staged(v->config))
		NS_LAUNCH((augment_stages<T, C>), (unsigned)v->n, STAGE_THREADS, 0, stream, r, x, s, (uint8_t *)a->workspace, y);
	else if (cached <= SHARED_MAX && aligned && v->q % 8 == 0)
		NS_LAUNCH((augment_pass<T, C, shared, 8, 1, ANY>), grid, THREADS, (size_t)cached, stream, r, x, s, y);
	else if (cached <= SHARED_MAX && aligned && v->q % 4 == 0)
		NS_LAUNCH((augment_pass<T, C, shared, 4, 1, ANY>), grid, THREADS, (size_t)cached, stream, r, x, s, y);
	else if (words && aligned && v->q % 8 == 0)
		NS_LAUNCH((augment_pass<T, C, wide, 8, 1, ANY>), grid, THREADS, 16, stream, r, x, s, y);
	else if (run == 8)
		NS_LAUNCH((augment_pass<T, C, BYTES, 8, 0, ANY>), grid, THREADS, 16, stream, r, x, s, y);
	else
		NS_LAUNCH((augment_pass<T, C, BYTES, 4, 0, ANY>), grid, THREADS, 16, stream, r, x, s, y);
}

template <class T> static void by_channels(const struct ns_op_augment *v, const recipe &r, const struct ns_args *a, cudaStream_t stream)
{
	if (v->c == 1)
		launch<T, 1>(v, r, a, stream);
	else
		launch<T, 3>(v, r, a, stream);
}

static enum ns_status augment_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_augment *v = &ns_cuda_op(plan)->u.augment;
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
	const struct ns_op_augment *v = &op->u.augment;
	struct augment_plan *p;
	enum ns_status status;

	if ((v->c != 1 && v->c != 3) || v->out_dtype == NS_F64 || v->n > 65535 || v->h > NS_AUGMENT_SIDE_MAX || v->w > NS_AUGMENT_SIDE_MAX)
		return NS_DECLINED;
	p = (struct augment_plan *)calloc(1, sizeof *p);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	p->plain.op = *op;
	p->plain.base.run = augment_run;
	p->plain.base.free = augment_free;
	if (ns_augment_staged(v->config))
		p->plain.base.workspace_bytes = (size_t)v->n * (size_t)stage_bytes((int64_t)v->p * v->q * v->c);
	status = dev->backend->mem_make(&p->gamma, dev, sizeof v->config->gamma_table);
	if (status == NS_OK)
		status = ns_cuda_status(cudaMemcpyAsync(p->gamma, v->config->gamma_table, sizeof v->config->gamma_table, cudaMemcpyHostToDevice, 0),
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
