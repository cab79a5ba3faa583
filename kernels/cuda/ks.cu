/*
 * kernels/cuda/ks.cu - Kolmogorov-Smirnov distance of each column: both samples sorted column by column (least significant
 * digit first, 8 bits at a time, stable), then each value that ends a group of ties is looked up in the other sample.
 *
 * A column is sorted by tiles of TILE values: digits counted a tile, counts added up over tiles, values scattered. Columns
 * are processed in groups, so that the scratch stays below KS_SCRATCH.
 */
#include "kernels/cuda/cuda.h"

#define THREADS	   256
#define WARPS	   (THREADS / 32)
#define TILE	   2048
#define DIGITS	   256
#define KS_SCRATCH ((size_t)1 << 30)

/* order of floats as order of integers; -0 is 0, and NaN comes last, as one value */
static __device__ inline uint32_t key_of(float x)
{
	uint32_t u = x == 0 ? 0 : ns_bits_of_f32(x);

	return x != x ? 0xffffffffu : u >> 31 ? ~u : u | 0x80000000u;
}

static __global__ void make_keys(const float *x, int64_t rows, int d, int first, uint32_t *keys)
{
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;

	if (i < rows)
		keys[(int64_t)blockIdx.y * rows + i] = key_of(x[i * d + first + (int)blockIdx.y]);
}

/* counts[column][digit][tile] */
static __global__ void count_digits(const uint32_t *keys, int64_t rows, int shift, int tiles, uint32_t *counts)
{
	NS_SHARED(uint32_t, count, [DIGITS]);
	const uint32_t *column = keys + (int64_t)blockIdx.y * rows;
	int64_t begin = (int64_t)blockIdx.x * TILE, i;

	count[threadIdx.x] = 0;
	__syncthreads();
	for (i = begin + threadIdx.x; i < rows && i < begin + TILE; i += THREADS)
		atomicAdd(&count[column[i] >> shift & (DIGITS - 1)], 1u);
	__syncthreads();
	counts[((int64_t)blockIdx.y * DIGITS + threadIdx.x) * tiles + blockIdx.x] = count[threadIdx.x];
}

/* Counts become the positions at which each digit of each tile begins: a block a column, a thread a digit. */
static __global__ void add_up(uint32_t *counts, int tiles)
{
	NS_SHARED(uint32_t, total, [DIGITS]);
	uint32_t *mine = counts + ((int64_t)blockIdx.x * DIGITS + threadIdx.x) * tiles, sum = 0;
	int t, d;

	for (t = 0; t < tiles; t++)
		sum += mine[t];
	total[threadIdx.x] = sum;
	__syncthreads();
	for (sum = 0, d = 0; d < (int)threadIdx.x; d++)
		sum += total[d];
	for (t = 0; t < tiles; t++) {
		uint32_t here = mine[t];

		mine[t] = sum;
		sum += here;
	}
}

/* lanes of the warp that hold the same digit; `live` lanes only */
static __device__ inline unsigned same_digit(uint32_t digit, int live)
{
	unsigned same = __ballot_sync(NS_WARP, live);
	int b;

	for (b = 0; b < 8; b++) {
		unsigned ones = __ballot_sync(NS_WARP, (int)(digit >> b & 1));

		same &= digit >> b & 1 ? ones : ~ones;
	}
	return same;
}

static __global__ void scatter(const uint32_t *keys, int64_t rows, int shift, int tiles, const uint32_t *counts, uint32_t *sorted)
{
	NS_SHARED(uint32_t, next, [DIGITS]); /* where the next value of a digit goes */
	NS_SHARED(uint32_t, found, [WARPS][DIGITS]);
	const uint32_t *column = keys + (int64_t)blockIdx.y * rows;
	int64_t begin = (int64_t)blockIdx.x * TILE, i;
	int warp = (int)(threadIdx.x / 32), lane = (int)(threadIdx.x % 32), w;

	next[threadIdx.x] = counts[((int64_t)blockIdx.y * DIGITS + threadIdx.x) * tiles + blockIdx.x];
	for (i = begin; i < begin + TILE; i += THREADS) {
		int live = i + threadIdx.x < rows;
		uint32_t key = live ? column[i + threadIdx.x] : 0, digit = key >> shift & (DIGITS - 1), at = 0;
		unsigned same = same_digit(digit, live);

		for (w = 0; w < WARPS; w++)
			found[w][threadIdx.x] = 0;
		__syncthreads();
		if (live && lane == __ffs((int)same) - 1)
			found[warp][digit] = (uint32_t)__popc(same);
		__syncthreads();
		if (live) {
			at = next[digit] + (uint32_t)__popc(same & ((1u << lane) - 1));
			for (w = 0; w < warp; w++)
				at += found[w][digit];
			sorted[(int64_t)blockIdx.y * rows + at] = key;
		}
		__syncthreads();
		for (w = 0; w < WARPS; w++)
			next[threadIdx.x] += found[w][threadIdx.x];
		__syncthreads();
	}
}

/* how many of x[0..n), sorted, are <= v */
static __device__ inline int64_t at_most(const uint32_t *x, int64_t n, uint32_t v)
{
	int64_t low = 0, high = n;

	while (low < high) {
		int64_t middle = (low + high) / 2;

		if (x[middle] <= v)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* largest difference at the values of x; partial[column][block] */
static __global__ void distances(const uint32_t *x, int64_t m, const uint32_t *y, int64_t n, double *partial)
{
	NS_SHARED(double, most, [WARPS]);
	int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
	double best = 0;
	int k;

	x += (int64_t)blockIdx.y * m;
	y += (int64_t)blockIdx.y * n;
	if (i < m && (i + 1 == m || x[i + 1] != x[i]))
		best = fabs((double)(i + 1) / (double)m - (double)at_most(y, n, x[i]) / (double)n);
	for (k = 16; k; k /= 2) {
		double other = __shfl_xor_sync(NS_WARP, best, k);

		best = best > other ? best : other;
	}
	if (threadIdx.x % 32 == 0)
		most[threadIdx.x / 32] = best;
	__syncthreads();
	if (threadIdx.x == 0) {
		for (k = 1; k < WARPS; k++)
			best = best > most[k] ? best : most[k];
		partial[(int64_t)blockIdx.y * gridDim.x + blockIdx.x] = best;
	}
}

static __global__ void largest(const double *a, int na, const double *b, int nb, int columns, double *out)
{
	int c = (int)(blockIdx.x * 32 + threadIdx.x), i;
	double best = 0;

	if (c >= columns)
		return;
	for (i = 0; i < na; i++)
		best = best > a[(int64_t)c * na + i] ? best : a[(int64_t)c * na + i];
	for (i = 0; i < nb; i++)
		best = best > b[(int64_t)c * nb + i] ? best : b[(int64_t)c * nb + i];
	out[c] = best;
}

/* --- scratch of a group of columns --- */

struct sizes { /* of one column, in bytes */
	size_t keys_m, keys_n, counts, partial_m, partial_n;
};

static size_t whole(size_t bytes)
{
	return (bytes + 255) / 256 * 256;
}

static struct sizes sizes_of(const struct ns_op_ks *v)
{
	int64_t most = v->m > v->n ? v->m : v->n;
	struct sizes s = {(size_t)v->m * 4, (size_t)v->n * 4, (size_t)ns_cuda_blocks(most, TILE) * DIGITS * 4,
			  (size_t)ns_cuda_blocks(v->m, THREADS) * 8, (size_t)ns_cuda_blocks(v->n, THREADS) * 8};

	return s;
}

static size_t of_columns(const struct ns_op_ks *v, int columns)
{
	struct sizes s = sizes_of(v);
	size_t c = (size_t)columns, spare = s.keys_m > s.keys_n ? s.keys_m : s.keys_n;

	return whole(c * s.keys_m) + whole(c * s.keys_n) + whole(c * spare) + whole(c * s.counts) + whole(c * s.partial_m) + whole(c * s.partial_n);
}

static int group_of(const struct ns_op_ks *v)
{
	int columns = v->d < 65535 ? v->d : 65535;

	while (columns > 1 && of_columns(v, columns) > KS_SCRATCH)
		columns /= 2;
	return columns;
}

/* four passes: the result is where it began */
static void sort(uint32_t *keys, uint32_t *spare, int64_t rows, int columns, uint32_t *counts, cudaStream_t stream)
{
	int tiles = (int)ns_cuda_blocks(rows, TILE), shift;
	dim3 grid((unsigned)tiles, (unsigned)columns);
	uint32_t *from = keys, *to = spare, *t;

	for (shift = 0; shift < 32; shift += 8) {
		NS_LAUNCH(count_digits, grid, THREADS, 0, stream, (const uint32_t *)from, rows, shift, tiles, counts);
		NS_LAUNCH(add_up, (unsigned)columns, THREADS, 0, stream, counts, tiles);
		NS_LAUNCH(scatter, grid, THREADS, 0, stream, (const uint32_t *)from, rows, shift, tiles, (const uint32_t *)counts, to);
		t = from;
		from = to;
		to = t;
	}
}

static enum ns_status ks_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_ks *v = &ns_cuda_op(plan)->u.ks;
	struct sizes s = sizes_of(v);
	int group = group_of(v), first;
	cudaStream_t stream = ns_cuda_stream(queue);
	size_t g = (size_t)group, spare_bytes = s.keys_m > s.keys_n ? s.keys_m : s.keys_n;
	char *at = (char *)a->workspace;
	uint32_t *x = (uint32_t *)at, *y = (uint32_t *)(at += whole(g * s.keys_m)), *spare = (uint32_t *)(at += whole(g * s.keys_n));
	uint32_t *counts = (uint32_t *)(at += whole(g * spare_bytes));
	double *px = (double *)(at += whole(g * s.counts)), *py = (double *)(at += whole(g * s.partial_m));
	unsigned bm = ns_cuda_blocks(v->m, THREADS), bn = ns_cuda_blocks(v->n, THREADS);

	for (first = 0; first < v->d; first += group) {
		int columns = v->d - first < group ? v->d - first : group;

		NS_LAUNCH(make_keys, dim3(bm, (unsigned)columns), THREADS, 0, stream, (const float *)a->in[NS_KS_REF], v->m, v->d, first, x);
		NS_LAUNCH(make_keys, dim3(bn, (unsigned)columns), THREADS, 0, stream, (const float *)a->in[NS_KS_CUR], v->n, v->d, first, y);
		sort(x, spare, v->m, columns, counts, stream);
		sort(y, spare, v->n, columns, counts, stream);
		NS_LAUNCH(distances, dim3(bm, (unsigned)columns), THREADS, 0, stream, (const uint32_t *)x, v->m, (const uint32_t *)y, v->n, px);
		NS_LAUNCH(distances, dim3(bn, (unsigned)columns), THREADS, 0, stream, (const uint32_t *)y, v->n, (const uint32_t *)x, v->m, py);
		NS_LAUNCH(largest, ns_cuda_blocks(columns, 32), 32, 0, stream, (const double *)px, (int)bm, (const double *)py, (int)bn, columns,
			  (double *)a->out[NS_KS_D] + first);
	}
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_ks, "ks/cuda", NS_OP_KS, op->u.ks.m < (1LL << 31) && op->u.ks.n < (1LL << 31), of_columns(&op->u.ks, group_of(&op->u.ks)),
	     ks_run);
