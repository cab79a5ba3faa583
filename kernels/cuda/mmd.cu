/*
 * kernels/cuda/mmd.cu - the sums behind MMD^2 and all its permutations, in integers: equal to ref's for any tile.
 *
 * A block owns ROWS rows of the pooled kernel matrix and PERMS permutations. It makes the matrix ROWS x COLUMNS at a time in
 * shared memory, as bytes, and adds for each row and permutation the values of the columns in group X: on tensor cores, or
 * four products an instruction. Permutations are drawn on the device, one warp each, and kept as a bit a row.
 */
#include "kernels/cuda/cuda.h"

extern "C" {
#include "kernels/formula/mmd.h"
}

#define ROWS	32
#define COLUMNS 32
#define THREADS 256
#define EACH	24 /* permutations of a warp: more of them would let fewer blocks compute the same tile, but registers run out */
#define PERMS	(EACH * THREADS / 32)
#define SPAN	((int64_t)1 << 23) /* columns whose bytes add up to less than 2^32 */
#define DIMS	32		   /* columns of the data at a time */
#ifdef NS_CUDASIM
#define BITS_MAX 12 /* few, so that small cases test both branches */
#else
#define BITS_MAX (16 << 10) /* bytes of a permutation that fit in shared memory */
#endif
#define DRAWN 128 /* candidates of a permutation drawn at once */

/*
 * Block p draws permutation p, as ns_mmd_members(): word[row / 32 * count + p] says which of 32 rows are in group X. All
 * lanes draw candidates, and the first inserts them, in shared memory, or, SPACIOUS, in the block's own words of `own`.
 */
template <int SPACIOUS>
static __global__ void draw_members(const struct ns_op_mmd v, uint32_t m, uint32_t total, int count, uint32_t *own, uint32_t *word)
{
	NS_SHARED_DYN(uint32_t, shared);
	NS_SHARED(uint32_t, candidate, [DRAWN]);
	uint32_t lane = threadIdx.x, p = blockIdx.x, words = (total + 31) / 32, first, i, n;
	uint32_t *bits = SPACIOUS ? own + (int64_t)p * words : shared;

	for (i = lane; i < words; i += 32)
		bits[i] = 0;
	for (first = 0; first < m; first += DRAWN) {
		struct ns_philox r = ns_draw(v.seed, NS_FOR_PERMUTE, p, first / 4 + lane, 0);

		n = m - first < DRAWN ? m - first : DRAWN;
		for (i = 0; i < 4; i++)
			candidate[4 * lane + i] = p ? ns_mmd_candidate(r.v[i], total - m + first + 4 * lane + i) : first + 4 * lane + i;
		__syncwarp();
		for (i = 0; lane == 0 && i < n; i++)
			ns_mmd_insert(bits, candidate[i], total - m + first + i);
		__syncwarp();
	}
	for (i = lane; i < words; i += 32)
		word[(int64_t)i * count + p] = bits[i];
}

/* Permutations of blocks become permutations of rows. */
static __global__ void spread_blocks(const int32_t *block, uint32_t total, int count, const uint32_t *of_blocks, uint32_t *word)
{
	int64_t at = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	uint32_t p = (uint32_t)(at % count), first = (uint32_t)(at / count) * 32, w = 0, i;

	if (first >= total)
		return;
	for (i = 0; i < 32 && first + i < total; i++) {
		uint32_t b = (uint32_t)block[first + i];

		w |= (of_blocks[(int64_t)(b / 32) * count + p] >> b % 32 & 1) << i;
	}
	word[at] = w;
}

static __global__ void clear_sums(int count, long long *q, long long *s, long long *total)
{
	int p = (int)(blockIdx.x * THREADS + threadIdx.x);

	if (p < count)
		q[p] = s[p] = 0;
	if (p == 0)
		*total = 0;
}

static __device__ inline const float *row_of(const struct ns_op_mmd &v, const float *ref, const float *cur, int64_t i)
{
	return i < v.m ? ref + i * v.d : cur + (i - v.m) * v.d;
}

/* a tile of the kernel matrix, four neighbours of a row in a word: the low bytes of its values, and the high ones */
struct tile {
	uint32_t low[ROWS][COLUMNS / 4 + 1], high[ROWS][COLUMNS / 4 + 1];
};

/* rows i0.. and columns j0..; 0 outside and on the diagonal. Terms are added in order. */
static __device__ inline void make_tile(const struct ns_op_mmd &v, const float *ref, const float *cur, int64_t i0, int64_t j0, int64_t all,
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
#pragma unroll 8
		for (c = 0; c < DIMS; c++)
			for (k = 0; k < ROWS / 8; k++)
				d2[k] = ns_mmd_distance(d2[k], xs[y + 8 * k][c], ys[x][c]);
	}
	for (k = 0; k < ROWS / 8; k++) {
		int64_t i = i0 + y + 8 * k, j = j0 + x;
		uint32_t t = i < v.row_end && j < all && i != j ? ns_mmd_kernel(d2[k], v.gamma, v.distance) : 0;

		((uint8_t *)kernel.low[y + 8 * k])[x] = (uint8_t)t;
		((uint8_t *)kernel.high[y + 8 * k])[x] = (uint8_t)(t >> 8);
	}
}

/* which of the columns from j0 (a multiple of 32) on are in group X, for each of the block's permutations: a byte each, four a word */
static __device__ inline void load_members(const uint32_t *word, int64_t j0, int p0, int count, uint32_t (&in)[COLUMNS / 4][PERMS])
{
	int k, b;

	for (k = (int)threadIdx.x; k < PERMS; k += THREADS) {
		uint32_t w = p0 + k < count ? word[j0 / 32 * count + p0 + k] : 0;

#pragma unroll
		for (b = 0; b < COLUMNS / 4; b++) /* bit i of four to bit 8 i: copies 7 apart, of which one bit each is kept */
			in[b][k] = (w >> 4 * b & 15) * 0x204081 & 0x01010101;
	}
}

/* --- sums over a span of columns, in two ways of sharing them among lanes --- */

/* by four products an instruction: a lane is a row, a warp has EACH permutations */
struct by_rows {
	uint32_t low[EACH], high[EACH];

	__device__ void clear()
	{
		for (int k = 0; k < EACH; k++)
			low[k] = high[k] = 0;
	}
	__device__ void add(const tile &kernel, const uint32_t (&in)[COLUMNS / 4][PERMS], int warp, int lane)
	{
		for (int j = 0; j < COLUMNS / 4; j++) {
			uint32_t l = kernel.low[lane][j], h = kernel.high[lane][j];

#pragma unroll
			for (int k = 0; k < EACH; k++) {
				low[k] = __dp4a(l, in[j][warp * EACH + k], low[k]);
				high[k] = __dp4a(h, in[j][warp * EACH + k], high[k]);
			}
		}
	}
	/* in each lane, for permutation k of the warp: sums of values and of totals over the rows whose bit in `rows` is set */
	__device__ void over_members(int k, uint32_t rows, unsigned long long total, int lane, unsigned long long *inner,
				     unsigned long long *outer) const
	{
		int mine = rows >> lane & 1;

		*inner = ns_warp_sum(mine ? low[k] + 256ull * high[k] : 0ull);
		*outer = ns_warp_sum(mine ? total : 0ull);
	}
};

/*
 * c (16 x 8) += a (16 x 32) b (32 x 8), bytes into words, each lane holding its share as PTX says (mma.m16n8k32): of a, four
 * neighbours of rows lane / 4 and 8 below, at columns 4 (lane % 4) and 16 behind; of b the same of column lane / 4; of c two
 * neighbours of both rows.
 */
static __device__ inline void multiply_bytes(uint32_t (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
#ifdef __CUDA_ARCH__
	asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
	    : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
	    : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
	int lane = (int)(threadIdx.x % 32), row = lane / 4 * 4, column = lane % 4 * 8, w, i;
	uint64_t upper = (uint64_t)a[2] << 32 | a[0], lower = (uint64_t)a[3] << 32 | a[1], both = (uint64_t)b[1] << 32 | b[0];

	for (w = 0; w < 4; w++) { /* four columns, and the four that are 16 behind */
		uint64_t x[2] = {__shfl_sync(NS_WARP, upper, row + w), __shfl_sync(NS_WARP, lower, row + w)};
		uint64_t y[2] = {__shfl_sync(NS_WARP, both, column + w), __shfl_sync(NS_WARP, both, column + 4 + w)};

		for (i = 0; i < 4; i++)
			c[i] = __dp4a((uint32_t)x[i / 2], (uint32_t)y[i % 2], __dp4a((uint32_t)(x[i / 2] >> 32), (uint32_t)(y[i % 2] >> 32), c[i]));
	}
#endif
}

/* by tensor cores: tiles of 16 rows and 8 permutations; the same integers */
struct by_tiles {
	uint32_t low[2][EACH / 8][4], high[2][EACH / 8][4];

	__device__ void clear()
	{
		for (int m = 0; m < 2; m++)
			for (int n = 0; n < EACH / 8; n++)
				for (int i = 0; i < 4; i++)
					low[m][n][i] = high[m][n][i] = 0;
	}
	__device__ void add(const tile &kernel, const uint32_t (&in)[COLUMNS / 4][PERMS], int warp, int lane)
	{
		int row = lane / 4, t = lane % 4;

#pragma unroll
		for (int m = 0; m < 2; m++) {
			const uint32_t(&l)[ROWS][COLUMNS / 4 + 1] = kernel.low, (&h)[ROWS][COLUMNS / 4 + 1] = kernel.high;
			int r = 16 * m + row;
			uint32_t al[4] = {l[r][t], l[r + 8][t], l[r][4 + t], l[r + 8][4 + t]};
			uint32_t ah[4] = {h[r][t], h[r + 8][t], h[r][4 + t], h[r + 8][4 + t]};

#pragma unroll
			for (int n = 0; n < EACH / 8; n++) {
				int p = warp * EACH + 8 * n + row;
				uint32_t b[2] = {in[t][p], in[4 + t][p]};

				multiply_bytes(low[m][n], al, b);
				multiply_bytes(high[m][n], ah, b);
			}
		}
	}
	__device__ void over_members(int k, uint32_t rows, unsigned long long total, int lane, unsigned long long *inner,
				     unsigned long long *outer) const
	{
		unsigned long long sum = 0;
		int n = k / 8, i;

		/* permutation k is column k % 8: lanes with lane % 4 = k % 8 / 2 hold it, in c[k % 2] and c[2 + k % 2] */
#pragma unroll
		for (i = 0; i < 4; i++) {
			int m = i / 2, c = i % 2 * 2 + k % 2;

			if (lane % 4 == k % 8 / 2 && rows >> (16 * m + i % 2 * 8 + lane / 4) & 1)
				sum += low[m][n][c] + 256ull * high[m][n][c];
		}
		*inner = ns_warp_sum(sum);
		*outer = ns_warp_sum(rows >> lane & 1 ? total : 0ull);
	}
};

template <class SUMS>
static __global__ void __launch_bounds__(THREADS, 2)
	sum_tiles(const struct ns_op_mmd v, const float *ref, const float *cur, int64_t all, int count, const uint32_t *word, unsigned long long *q,
		  unsigned long long *s, unsigned long long *total)
{
	NS_SHARED(float, xs, [ROWS][DIMS + 1]);
	NS_SHARED(float, ys, [COLUMNS][DIMS + 1]);
	NS_SHARED(tile, kernel, [1]);
	NS_SHARED(uint32_t, in, [COLUMNS / 4][PERMS]);
	int64_t i0 = v.row_begin + (int64_t)blockIdx.x * ROWS, span, j0;
	int p0 = (int)blockIdx.y * PERMS, lane = (int)(threadIdx.x % 32), warp = (int)(threadIdx.x / 32), k, j;

	for (span = 0; span < all; span += SPAN) { /* sums of bytes over a span fit 32 bits */
		uint32_t row_low = 0, row_high = 0, rows;
		unsigned long long row, inner, outer;
		SUMS sums;

		sums.clear();
		for (j0 = span; j0 < all && j0 < span + SPAN; j0 += COLUMNS) {
			make_tile(v, ref, cur, i0, j0, all, xs, ys, kernel[0]);
			load_members(word, j0, p0, count, in);
			__syncthreads();
			for (j = 0; j < COLUMNS / 4; j++) { /* here a lane is a row, in both ways */
				row_low = __dp4a(kernel[0].low[lane][j], 0x01010101u, row_low);
				row_high = __dp4a(kernel[0].high[lane][j], 0x01010101u, row_high);
			}
			sums.add(kernel[0], in, warp, lane);
			__syncthreads();
		}
		/* q = sum over rows in X of their sums over X, s = sum over rows in X of all their values */
		row = row_low + 256ull * row_high;
#pragma unroll
		for (k = 0; k < EACH; k++) {
			int p = p0 + warp * EACH + k;

			rows = __ballot_sync(NS_WARP,
					     i0 + lane < v.row_end && p < count && word[(i0 + lane) / 32 * count + p] >> (i0 + lane) % 32 & 1);
			sums.over_members(k, rows, row, lane, &inner, &outer);
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

template <class SUMS> static enum ns_status mmd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_mmd *v = &ns_cuda_op(plan)->u.mmd;
	int64_t all = v->m + v->n, rows = v->row_end - v->row_begin;
	int count = v->permutations + 1;
	int64_t units = v->blocks ? v->blocks : all, firsts = v->blocks ? v->ref_blocks : v->m;
	size_t words = (size_t)(all + 31) / 32, unit_words = (size_t)(units + 31) / 32;
	uint32_t *word = (uint32_t *)a->workspace, *own = word + words * (size_t)count;
	uint32_t *drawn = v->blocks ? own + unit_words * (size_t)count : word;
	cudaStream_t stream = ns_cuda_stream(queue);
	const float *ref = (const float *)a->in[NS_MMD_REF], *cur = (const float *)a->in[NS_MMD_CUR];

	NS_LAUNCH(clear_sums, ns_cuda_blocks(count, THREADS), THREADS, 0, stream, count, (long long *)a->out[NS_MMD_Q], (long long *)a->out[NS_MMD_S],
		  (long long *)a->out[NS_MMD_TOTAL]);
	if (rows < 1)
		return ns_cuda_launched(plan);
	if (unit_words * 4 <= BITS_MAX)
		NS_LAUNCH(draw_members<0>, (unsigned)count, 32, unit_words * 4, stream, *v, (uint32_t)firsts, (uint32_t)units, count, own, drawn);
	else
		NS_LAUNCH(draw_members<1>, (unsigned)count, 32, 16, stream, *v, (uint32_t)firsts, (uint32_t)units, count, own, drawn);
	if (v->blocks)
		NS_LAUNCH(spread_blocks, ns_cuda_blocks((int64_t)words * count, THREADS), THREADS, 0, stream, (const int32_t *)a->in[NS_MMD_BLOCK],
			  (uint32_t)all, count, (const uint32_t *)drawn, word);
	NS_LAUNCH(sum_tiles<SUMS>, dim3(ns_cuda_blocks(rows, ROWS), ns_cuda_blocks(count, PERMS)), THREADS, 0, stream, *v, ref, cur, all, count,
		  (const uint32_t *)word, (unsigned long long *)a->out[NS_MMD_Q], (unsigned long long *)a->out[NS_MMD_S],
		  (unsigned long long *)a->out[NS_MMD_TOTAL]);
	return ns_cuda_launched(plan);
}

static size_t workspace_of(const struct ns_op_mmd *v)
{
	return (size_t)(v->m + v->n + 31) / 32 * (size_t)(v->permutations + 1) * 12;
}

NS_CUDA_IMPL(ns_cuda_mmd_tensor, "mmd/tensor", NS_OP_MMD, op->u.mmd.m + op->u.mmd.n < (1LL << 31), workspace_of(&op->u.mmd), mmd_run<by_tiles>);
NS_CUDA_IMPL(ns_cuda_mmd, "mmd/cuda", NS_OP_MMD, op->u.mmd.m + op->u.mmd.n < (1LL << 31), workspace_of(&op->u.mmd), mmd_run<by_rows>);
