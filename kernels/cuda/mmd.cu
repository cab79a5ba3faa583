/*
 * kernels/cuda/mmd.cu - the sums behind MMD^2 and all its permutations, in integers: equal to ref's for any tile.
 *
 * A block owns ROWS rows of the pooled kernel matrix and PERMS labellings. It makes the matrix ROWS x COLUMNS at a time in
 * shared memory, as bytes, and adds for each row and labelling the values of the columns in group X, four products an
 * instruction. Labellings are drawn on the device, one thread each, and kept as a byte a row.
 */
#include "kernels/cuda/cuda.h"

extern "C" {
#include "kernels/formula/mmd.h"
}

#define ROWS 32
#define COLUMNS 32
#define THREADS 256
#define EACH 16 /* labellings of a warp */
#define PERMS (EACH * THREADS / 32)
#define SPAN ((int64_t)1 << 23) /* columns whose bytes add up to less than 2^32 */
#define DIMS 32	 /* columns of the data at a time */

/* labellings by thread; order[i * count + p] is the shuffled list, member[i * count + p] the answer */
static __global__ void draw_members(const struct ns_mmd v, uint32_t total, int count, uint32_t *order, uint8_t *member)
{
	int p = (int)(blockIdx.x * 64 + threadIdx.x);
	struct ns_philox r = {{0, 0, 0, 0}};
	uint32_t i;

	if (p >= count)
		return;
	for (i = 0; i < total; i++) {
		order[(int64_t)i * count + p] = i;
		member[(int64_t)i * count + p] = 0;
	}
	for (i = 0; i < (uint32_t)v.m; i++) { /* as ns_mmd_labels() */
		uint32_t j = i, picked, here = order[(int64_t)i * count + p];

		if (p) {
			if (i % 4 == 0)
				r = ns_draw(v.seed, NS_FOR_PERMUTE, (uint32_t)p, i / 4, 0);
			j = i + (uint32_t)((uint64_t)r.v[i % 4] * (total - i) >> 32);
		}
		picked = order[(int64_t)j * count + p];
		order[(int64_t)j * count + p] = here;
		member[(int64_t)picked * count + p] = 1;
	}
}

static __global__ void clear_sums(int count, long long *q, long long *s, long long *total)
{
	int p = (int)(blockIdx.x * THREADS + threadIdx.x);

	if (p < count)
		q[p] = s[p] = 0;
	if (p == 0)
		*total = 0;
}

static __device__ inline const float *row_of(const struct ns_mmd &v, const float *ref, const float *cur, int64_t i)
{
	return i < v.m ? ref + i * v.d : cur + (i - v.m) * v.d;
}

/* a tile of the kernel matrix, four neighbours of a row in a word: the low bytes of its values, and the high ones */
struct tile {
	uint32_t low[ROWS][COLUMNS / 4 + 1], high[ROWS][COLUMNS / 4 + 1];
};

/* rows i0.. and columns j0..; 0 outside and on the diagonal. Terms are added in order. */
static __device__ inline void make_tile(const struct ns_mmd &v, const float *ref, const float *cur, int64_t i0, int64_t j0, int64_t all,
					float (&xs)[ROWS][DIMS + 1], float (&ys)[COLUMNS][DIMS + 1], tile &kernel)
{
	int x = (int)(threadIdx.x % 32), y = (int)(threadIdx.x / 32), k, c, c0;
	float d2[ROWS / 8] = {0, 0, 0, 0};

	for (c0 = 0; c0 < v.d; c0 += DIMS) {
		__syncthreads();
		for (k = y; k < ROWS; k += THREADS / 32) {
			xs[k][x] = i0 + k < v.row_end && c0 + x < v.d ? row_of(v, ref, cur, i0 + k)[c0 + x] : 0.0f;
			ys[k][x] = j0 + k < all && c0 + x < v.d ? row_of(v, ref, cur, j0 + k)[c0 + x] : 0.0f;
		}
		__syncthreads();
		for (c = 0; c < DIMS; c++)
			for (k = 0; k < ROWS / 8; k++) {
				float t = xs[y + 8 * k][c] - ys[x][c];

				d2[k] += t * t;
			}
	}
	for (k = 0; k < ROWS / 8; k++) {
		int64_t i = i0 + y + 8 * k, j = j0 + x;
		uint32_t t = i < v.row_end && j < all && i != j ? ns_mmd_kernel(d2[k], v.gamma) : 0;

		((uint8_t *)kernel.low[y + 8 * k])[x] = (uint8_t)t;
		((uint8_t *)kernel.high[y + 8 * k])[x] = (uint8_t)(t >> 8);
	}
}

/* who of columns j0.. is in group X, for each of the block's labellings: a byte each, four columns a word */
static __device__ inline void load_members(const uint8_t *member, int64_t j0, int64_t all, int p0, int count,
					   uint32_t (&in)[COLUMNS / 4][PERMS])
{
	int k, b;

	for (k = (int)threadIdx.x; k < COLUMNS / 4 * PERMS; k += THREADS) {
		int p = p0 + k % PERMS;
		int64_t j = j0 + k / PERMS * 4;
		uint32_t w = 0;

		for (b = 0; b < 4; b++)
			w |= j + b < all && p < count ? (uint32_t)member[(j + b) * count + p] << 8 * b : 0;
		in[k / PERMS][k % PERMS] = w;
	}
}

static __global__ void sum_tiles(const struct ns_mmd v, const float *ref, const float *cur, int64_t all, int count, const uint8_t *member,
				 unsigned long long *q, unsigned long long *s, unsigned long long *total)
{
	NS_SHARED(float, xs, [ROWS][DIMS + 1]);
	NS_SHARED(float, ys, [COLUMNS][DIMS + 1]);
	NS_SHARED(tile, kernel, [1]);
	NS_SHARED(uint32_t, in, [COLUMNS / 4][PERMS]);
	int64_t i0 = v.row_begin + (int64_t)blockIdx.x * ROWS, span, j0;
	int p0 = (int)blockIdx.y * PERMS, lane = (int)(threadIdx.x % 32), warp = (int)(threadIdx.x / 32), k, j, mine;

	/* a lane is a row, a warp EACH labellings; sums of bytes over a span fit 32 bits */
	for (span = 0; span < all; span += SPAN) {
		uint32_t low[EACH], high[EACH], row_low = 0, row_high = 0;
		unsigned long long row, inner, outer;

		for (k = 0; k < EACH; k++)
			low[k] = high[k] = 0;
		for (j0 = span; j0 < all && j0 < span + SPAN; j0 += COLUMNS) {
			make_tile(v, ref, cur, i0, j0, all, xs, ys, kernel[0]);
			load_members(member, j0, all, p0, count, in);
			__syncthreads();
			for (j = 0; j < COLUMNS / 4; j++) {
				uint32_t l = kernel[0].low[lane][j], h = kernel[0].high[lane][j];

				row_low = __dp4a(l, 0x01010101u, row_low);
				row_high = __dp4a(h, 0x01010101u, row_high);
#pragma unroll
				for (k = 0; k < EACH; k++) {
					low[k] = __dp4a(l, in[j][warp * EACH + k], low[k]);
					high[k] = __dp4a(h, in[j][warp * EACH + k], high[k]);
				}
			}
			__syncthreads();
		}
		/* q = sum over rows in X of their sums over X, s = sum over rows in X of all their values */
		row = row_low + 256ull * row_high;
		for (k = 0; k < EACH; k++) {
			int p = p0 + warp * EACH + k;

			mine = i0 + lane < v.row_end && p < count ? member[(i0 + lane) * count + p] : 0;
			inner = ns_warp_sum(mine ? low[k] + 256ull * high[k] : 0ull);
			outer = ns_warp_sum(mine ? row : 0ull);
			if (lane == 0 && p < count) {
				atomicAdd(&q[p], inner); /* integers: any order gives the same */
				atomicAdd(&s[p], outer);
			}
		}
		row = ns_warp_sum(row);
		if (warp == 0 && lane == 0 && blockIdx.y == 0)
			atomicAdd(total, row);
	}
}

static enum ns_status mmd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_mmd *v = &ns_cuda_op(plan)->u.mmd;
	int64_t all = v->m + v->n, rows = v->row_end - v->row_begin;
	int count = v->permutations + 1;
	uint32_t *order = (uint32_t *)a->workspace;
	uint8_t *member = (uint8_t *)(order + all * count);
	cudaStream_t stream = ns_cuda_stream(queue);
	const float *ref = (const float *)a->in[NS_MMD_REF], *cur = (const float *)a->in[NS_MMD_CUR];

	NS_LAUNCH(clear_sums, ns_cuda_blocks(count, THREADS), THREADS, 0, stream, count, (long long *)a->out[NS_MMD_Q],
		  (long long *)a->out[NS_MMD_S], (long long *)a->out[NS_MMD_TOTAL]);
	if (rows < 1)
		return ns_cuda_launched(plan);
	NS_LAUNCH(draw_members, ns_cuda_blocks(count, 64), 64, 0, stream, *v, (uint32_t)all, count, order, member);
	NS_LAUNCH(sum_tiles, dim3(ns_cuda_blocks(rows, ROWS), ns_cuda_blocks(count, PERMS)), THREADS, 0, stream, *v, ref, cur, all, count,
		  (const uint8_t *)member, (unsigned long long *)a->out[NS_MMD_Q], (unsigned long long *)a->out[NS_MMD_S],
		  (unsigned long long *)a->out[NS_MMD_TOTAL]);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_mmd, "mmd/cuda", NS_OP_MMD, op->u.mmd.m + op->u.mmd.n < (1LL << 31),
	     (size_t)(op->u.mmd.m + op->u.mmd.n) * (size_t)(op->u.mmd.permutations + 1) * 5, mmd_run);
