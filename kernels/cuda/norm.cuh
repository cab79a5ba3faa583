/*
 * kernels/cuda/norm.cuh - what surrounds a convolution in training, independent of its implementation: batch normalisation
 * with residual and ReLU, fused to as few passes over memory as its sums allow, forward and backward.
 *
 * Channels lie next to each other (NHWC). A thread keeps to its channels, V neighbours (8, in pieces of 16 bytes, or 1), and
 * walks down rows; `columns` threads (a power of two) stand beside each other, the rest of the block on the rows below. Sums
 * are made over stretches of rows (mean and squares about it, so that a large mean costs no digits), short enough that blocks
 * fill a large GPU, then put together in double (Chan, Golub, LeVeque 1983): their order depends on shapes alone.
 */
#ifndef NS_CUDA_NORM_H
#define NS_CUDA_NORM_H

#include "kernels/cuda/cuda.h"

#define NORM_ROWS    512 /* of a stretch, at most: its second pass reads from the cache */
#define NORM_BLOCKS  512 /* at least so many, if there are rows enough */
#define NORM_THREADS 256
#define NORM_COLUMNS 32	  /* at most */
#define NORM_DEEP    4	  /* rows of a thread at a time, where nothing is summed */
#define NORM_GRID    2048 /* at most so many blocks, each over many rows, so that per-channel values are loaded few times */

/* threads beside each other, for k channels V at a time */
static inline int norm_columns(int k, int v)
{
	int c = 1;

	while (c < NORM_COLUMNS && c * v < k)
		c *= 2;
	return c;
}

/* rows of a stretch, however many channels a thread takes */
static inline int norm_stretch(int64_t rows, int k)
{
	int columns = norm_columns(k, 8), least = 2 * NORM_THREADS / columns;
	int64_t each = rows * (int64_t)ns_cuda_blocks(k, columns * 8) / NORM_BLOCKS;

	each = (each + least - 1) / least * least;
	return each < least ? least : each > NORM_ROWS ? NORM_ROWS : (int)each;
}

/* bytes of scratch: two doubles a channel and stretch, two floats a channel */
static inline size_t norm_workspace(int64_t rows, int k)
{
	return ((size_t)ns_cuda_blocks(rows, norm_stretch(rows, k)) * 2 * sizeof(double) + 2 * sizeof(float)) * (size_t)k;
}

static inline dim3 norm_grid(int64_t rows, int k, int v, int rows_a_block)
{
	return dim3(ns_cuda_blocks(rows, rows_a_block), ns_cuda_blocks(k, norm_columns(k, v) * v));
}

/* where nothing is summed */
static inline dim3 norm_walk(int64_t rows, int k, int v, int deep)
{
	dim3 grid = norm_grid(rows, k, v, deep * NORM_THREADS / norm_columns(k, v));
	unsigned most = grid.y < NORM_GRID ? NORM_GRID / grid.y : 1;

	return dim3(grid.x < most ? grid.x : most, grid.y);
}

/* this thread's first channel */
template <int V> static __device__ inline int norm_channel(int columns)
{
	return ((int)blockIdx.y * columns + ((int)threadIdx.x & (columns - 1))) * V;
}

template <int V> struct norm_sums {
	float each[V][NORM_THREADS], all[V][NORM_COLUMNS];
};

/* x becomes the sum of x over the rows of the block, in order; every thread gets its channels' */
template <int V> static __device__ inline void over_rows(float (&x)[V], int columns, norm_sums<V> &s)
{
	int me = (int)threadIdx.x, column = me & (columns - 1), j, i;

	for (j = 0; j < V; j++)
		s.each[j][me] = x[j];
	__syncthreads();
	if (me < columns * V) {
		float sum = 0;

		j = me / columns;
		for (i = column; i < NORM_THREADS; i += columns)
			sum += s.each[j][i];
		s.all[j][column] = sum;
	}
	__syncthreads();
	for (j = 0; j < V; j++)
		x[j] = s.all[j][column];
}

/* mean and sum of squares about it, of each stretch */
template <class T, int V> static __global__ void norm_moments(const T *z, int64_t rows, int stretch, int k, int columns, double *partial)
{
	NS_SHARED(norm_sums<V>, sums, [1]);
	int64_t begin = (int64_t)blockIdx.x * stretch;
	int n = rows - begin < stretch ? (int)(rows - begin) : stretch, c = norm_channel<V>(columns), down = NORM_THREADS / columns, i, j;
	int first = c < k ? (int)threadIdx.x / columns : n;
	float t[V], mean[V], square[V];

	z += begin * k + c;
	for (j = 0; j < V; j++)
		mean[j] = square[j] = 0;
#pragma unroll 4
	for (i = first; i < n; i += down) {
		ns_load_many<V>(z + i * k, t);
		for (j = 0; j < V; j++)
			mean[j] += t[j];
	}
	over_rows<V>(mean, columns, sums[0]);
	for (j = 0; j < V; j++)
		mean[j] /= (float)n;
#pragma unroll 4
	for (i = first; i < n; i += down) {
		ns_load_many<V>(z + i * k, t);
		for (j = 0; j < V; j++)
			square[j] += (t[j] - mean[j]) * (t[j] - mean[j]);
	}
	over_rows<V>(square, columns, sums[0]);
	for (j = 0; j < V && first == 0; j++) {
		partial[((int64_t)blockIdx.x * k + c + j) * 2] = (double)mean[j];
		partial[((int64_t)blockIdx.x * k + c + j) * 2 + 1] = (double)square[j];
	}
}

struct norm_statistics {
	float *mean, *invstd, *sum_mean, *sum_var;
};

/*
 * Combines the results of the stretches: a block takes TOGETHER channels, its threads add stretches in turn, and a tree adds
 * the threads' sums.
 */
#define TOGETHER 2

static __device__ inline double over_stretches(double x, double (&s)[NORM_THREADS])
{
	int me = (int)threadIdx.x, d;

	__syncthreads();
	s[me] = x;
	__syncthreads();
	for (d = NORM_THREADS / 2; d >= TOGETHER; d /= 2) {
		if (me < d)
			s[me] += s[me + d];
		__syncthreads();
	}
	return s[me % TOGETHER];
}

static __global__ void norm_together(const double *partial, int64_t rows, int stretch, int k, float eps, norm_statistics s)
{
	NS_SHARED(double, sums, [NORM_THREADS]);
	int c = (int)blockIdx.x * TOGETHER + (int)threadIdx.x % TOGETHER;
	int first = c < k ? (int)threadIdx.x / TOGETHER : 0, count = c < k ? (int)((rows + stretch - 1) / stretch) : 0, at;
	double n = (double)rows, mean = 0, square = 0;

#pragma unroll 4
	for (at = first; at < count; at += NORM_THREADS / TOGETHER)
		mean += partial[((int64_t)at * k + c) * 2] * (double)(at + 1 < count ? stretch : rows - (int64_t)at * stretch);
	mean = over_stretches(mean, sums) / n;
#pragma unroll 4
	for (at = first; at < count; at += NORM_THREADS / TOGETHER) {
		double d = partial[((int64_t)at * k + c) * 2] - mean;

		square += partial[((int64_t)at * k + c) * 2 + 1] + d * d * (double)(at + 1 < count ? stretch : rows - (int64_t)at * stretch);
	}
	square = over_stretches(square, sums);
	if (c >= k || threadIdx.x >= TOGETHER)
		return;
	s.mean[c] = (float)mean;
	s.invstd[c] = (float)(1 / sqrt(square / n + (double)eps));
	s.sum_mean[c] = (float)mean;
	s.sum_var[c] = (float)(rows > 1 ? square / (n - 1) : square / n);
}

/* --- y = relu((z - mean) * (invstd * gamma) + beta + residual), each part only if present; y may be z --- */

struct norm_line { /* per channel; NULL: 0, or 1 */
	const float *mean, *invstd, *gamma, *beta;
};

template <class T, int V>
static __global__ void norm_apply(const T *z, const T *residual, const norm_line line, int relu, int64_t rows, int k, int columns, T *y)
{
	int c = norm_channel<V>(columns), down = NORM_THREADS / columns, row = (int)threadIdx.x / columns, i, j, d;
	int64_t begin = (int64_t)blockIdx.x * (NORM_DEEP * down), at;
	float mean[V], scale[V], shift[V], t[NORM_DEEP][V], r[NORM_DEEP][V];

	if (c >= k)
		return;
	for (j = 0; j < V; j++) {
		mean[j] = shift[j] = 0;
		scale[j] = 1;
	}
	if (line.mean)
		ns_load_many<V>(line.mean + c, mean);
	if (line.beta)
		ns_load_many<V>(line.beta + c, shift);
	if (line.invstd) {
		float gamma[V];

		ns_load_many<V>(line.invstd + c, scale);
		ns_load_many<V>(line.gamma + c, gamma);
		for (j = 0; j < V; j++)
			scale[j] *= gamma[j];
	}
	for (; begin < rows; begin += (int64_t)gridDim.x * (NORM_DEEP * down)) {
		int n = rows - begin < NORM_DEEP * down ? (int)(rows - begin) : NORM_DEEP * down;

		at = (begin + row) * k + c;
#pragma unroll
		for (d = 0; d < NORM_DEEP; d++) { /* all loads are issued before the first is used */
			i = row + d * down;
			if (i < n)
				ns_load_many<V>(z + at + d * down * k, t[d]);
			if (i < n && residual)
				ns_load_many<V>(residual + at + d * down * k, r[d]);
		}
#pragma unroll
		for (d = 0; d < NORM_DEEP; d++) {
			if (row + d * down >= n)
				break;
			for (j = 0; j < V; j++) {
				t[d][j] = (t[d][j] - mean[j]) * scale[j] + shift[j];
				if (residual)
					t[d][j] += r[d][j];
				if (relu && !(t[d][j] > 0))
					t[d][j] = 0;
			}
			ns_store_many<V>(y + at + d * down * k, t[d]);
		}
	}
}

template <class T>
static void launch_norm_apply(const T *z, const T *residual, const norm_line &line, int relu, int64_t rows, int k, T *y, cudaStream_t stream)
{
	const void *all[] = {z, residual, y, line.mean, line.invstd, line.gamma, line.beta};
	int v = ns_cuda_together(k, all, 7), columns = norm_columns(k, v);
	dim3 grid = norm_walk(rows, k, v, NORM_DEEP);

	if (v == 8)
		NS_LAUNCH((norm_apply<T, 8>), grid, NORM_THREADS, 0, stream, z, residual, line, relu, rows, k, columns, y);
	else
		NS_LAUNCH((norm_apply<T, 1>), grid, NORM_THREADS, 0, stream, z, residual, line, relu, rows, k, columns, y);
}

template <class T> static void norm_forward(const struct ns_op_conv *v, const struct ns_args *a, void *workspace, cudaStream_t stream)
{
	int64_t rows = (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v);
	norm_statistics s = {(float *)a->out[NS_CONV_MEAN], (float *)a->out[NS_CONV_INVSTD], (float *)a->out[NS_CONV_SUM_MEAN],
			     (float *)a->out[NS_CONV_SUM_VAR]};
	norm_line line = {s.mean, s.invstd, (const float *)a->in[NS_CONV_GAMMA], (const float *)a->in[NS_CONV_BETA]};
	const T *z = (const T *)a->out[NS_CONV_Z], *residual = v->flags & NS_CONV_RESIDUAL ? (const T *)a->in[NS_CONV_RES] : NULL;
	const void *all[] = {z};
	int together = ns_cuda_together(v->k, all, 1), columns = norm_columns(v->k, together);
	int stretch = norm_stretch(rows, v->k);
	dim3 grid = norm_grid(rows, v->k, together, stretch);
	double *partial = (double *)workspace;

	if (together == 8)
		NS_LAUNCH((norm_moments<T, 8>), grid, NORM_THREADS, 0, stream, z, rows, stretch, v->k, columns, partial);
	else
		NS_LAUNCH((norm_moments<T, 1>), grid, NORM_THREADS, 0, stream, z, rows, stretch, v->k, columns, partial);
	NS_LAUNCH(norm_together, ns_cuda_blocks(v->k, TOGETHER), NORM_THREADS, 0, stream, (const double *)partial, rows, stretch, v->k, v->eps, s);
	launch_norm_apply<T>(z, residual, line, v->flags & NS_CONV_RELU ? 1 : 0, rows, v->k, (T *)a->out[NS_CONV_Y], stream);
}

/* --- backward (Ioffe, Szegedy 2015) --- */

struct norm_back { /* NULL: that part is not there */
	const void *dy, *dy2, *y, *z;
	const float *mean, *invstd, *gamma;
	void *dres;
	int64_t rows;
	int stretch, k;
};

/* the gradient behind the activation */
template <class T, int V> static __device__ inline void unmasked(const norm_back &b, int64_t i, float (&g)[V])
{
	float t[V];
	int j;

	ns_load_many<V>((const T *)b.dy + i, g);
	if (b.dy2) {
		ns_load_many<V>((const T *)b.dy2 + i, t);
		for (j = 0; j < V; j++)
			g[j] += t[j];
	}
	if (b.y) {
		ns_load_many<V>((const T *)b.y + i, t);
		for (j = 0; j < V; j++)
			g[j] = t[j] > 0 ? g[j] : 0.0f;
	}
}

/* sums of g and g * xhat over each stretch; without a mean, of g alone */
template <class T, int V> static __global__ void norm_back_sums(const norm_back b, int columns, double *partial)
{
	NS_SHARED(norm_sums<V>, sums, [1]);
	int64_t begin = (int64_t)blockIdx.x * b.stretch, at;
	int n = b.rows - begin < b.stretch ? (int)(b.rows - begin) : b.stretch, c = norm_channel<V>(columns), i, j;
	int first = c < b.k ? (int)threadIdx.x / columns : n;
	float mean[V], invstd[V], sum[V], dot[V], g[V], z[V];

	for (j = 0; j < V; j++)
		sum[j] = dot[j] = mean[j] = invstd[j] = 0;
	if (c < b.k && b.mean) {
		ns_load_many<V>(b.mean + c, mean);
		ns_load_many<V>(b.invstd + c, invstd);
	}
#pragma unroll 2
	for (i = first; i < n; i += NORM_THREADS / columns) {
		at = (begin + i) * b.k + c;
		unmasked<T, V>(b, at, g);
		for (j = 0; j < V; j++)
			sum[j] += g[j];
		if (b.mean) {
			ns_load_many<V>((const T *)b.z + at, z);
			for (j = 0; j < V; j++)
				dot[j] += g[j] * ((z[j] - mean[j]) * invstd[j]);
		}
	}
	over_rows<V>(sum, columns, sums[0]);
	over_rows<V>(dot, columns, sums[0]);
	for (j = 0; j < V && first == 0; j++) {
		partial[((int64_t)blockIdx.x * b.k + c + j) * 2] = (double)sum[j];
		partial[((int64_t)blockIdx.x * b.k + c + j) * 2 + 1] = (double)dot[j];
	}
}

static __global__ void norm_back_together(const double *partial, int64_t rows, int stretch, int k, float *dbeta, float *dgamma, float *means)
{
	NS_SHARED(double, sums, [NORM_THREADS]);
	int c = (int)blockIdx.x * TOGETHER + (int)threadIdx.x % TOGETHER;
	int first = c < k ? (int)threadIdx.x / TOGETHER : 0, count = c < k ? (int)((rows + stretch - 1) / stretch) : 0, at;
	double sum = 0, dot = 0;

#pragma unroll 4
	for (at = first; at < count; at += NORM_THREADS / TOGETHER) {
		sum += partial[((int64_t)at * k + c) * 2];
		dot += partial[((int64_t)at * k + c) * 2 + 1];
	}
	sum = over_stretches(sum, sums);
	dot = over_stretches(dot, sums);
	if (c >= k || threadIdx.x >= TOGETHER)
		return;
	dbeta[c] = (float)sum;
	if (dgamma)
		dgamma[c] = (float)dot;
	means[2 * c] = (float)(sum / (double)rows);
	means[2 * c + 1] = (float)(dot / (double)rows);
}

/* dz, and the residual's gradient; without normalisation dz is the gradient itself */
#define NORM_BACK_DEEP 2

template <class T, class G, int V> static __global__ void norm_back_apply(const norm_back b, const float *means, int columns, G *dz)
{
	int c = norm_channel<V>(columns), down = NORM_THREADS / columns, row = (int)threadIdx.x / columns, j, d;
	int64_t begin = (int64_t)blockIdx.x * (NORM_BACK_DEEP * down), at;
	float mean[V], invstd[V], gain[V], even[V], slope[V], g[NORM_BACK_DEEP][V], z[NORM_BACK_DEEP][V];

	if (c >= b.k)
		return;
	if (b.mean) {
		float both[2 * V]; /* the two means of each channel */

		ns_load_many<V>(b.mean + c, mean);
		ns_load_many<V>(b.invstd + c, invstd);
		ns_load_many<V>(b.gamma + c, gain);
		ns_load_many<V>(means + 2 * c, *(float(*)[V])both);
		ns_load_many<V>(means + 2 * c + V, *(float(*)[V])(both + V));
		for (j = 0; j < V; j++) {
			gain[j] *= invstd[j];
			even[j] = both[2 * j];
			slope[j] = both[2 * j + 1];
		}
	}
	for (; begin < b.rows; begin += (int64_t)gridDim.x * (NORM_BACK_DEEP * down)) {
		int n = b.rows - begin < NORM_BACK_DEEP * down ? (int)(b.rows - begin) : NORM_BACK_DEEP * down;

		at = (begin + row) * b.k + c;
#pragma unroll
		for (d = 0; d < NORM_BACK_DEEP; d++) /* all loads are issued before the first is used */
			if (row + d * down < n) {
				unmasked<T, V>(b, at + d * down * b.k, g[d]);
				if (b.mean)
					ns_load_many<V>((const T *)b.z + at + d * down * b.k, z[d]);
			}
#pragma unroll
		for (d = 0; d < NORM_BACK_DEEP; d++) {
			if (row + d * down >= n)
				break;
			if (b.dres)
				ns_store_many<V>((T *)b.dres + at + d * down * b.k, g[d]);
			for (j = 0; b.mean && j < V; j++)
				g[d][j] = gain[j] * (g[d][j] - even[j] - (z[d][j] - mean[j]) * invstd[j] * slope[j]);
			ns_store_many<V>(dz + at + d * down * b.k, g[d]);
		}
	}
}

template <class T, class G, int V>
static void launch_norm_backward(const norm_back &b, int sums, float *dbeta, float *dgamma, double *partial, G *dz, cudaStream_t stream)
{
	float *means = (float *)(partial + 2 * (size_t)b.k * ns_cuda_blocks(b.rows, b.stretch));
	int columns = norm_columns(b.k, V);

	if (sums) {
		NS_LAUNCH((norm_back_sums<T, V>), norm_grid(b.rows, b.k, V, b.stretch), NORM_THREADS, 0, stream, b, columns, partial);
		NS_LAUNCH(norm_back_together, ns_cuda_blocks(b.k, TOGETHER), NORM_THREADS, 0, stream, (const double *)partial, b.rows, b.stretch, b.k,
			  dbeta, dgamma, means);
	}
	NS_LAUNCH((norm_back_apply<T, G, V>), norm_walk(b.rows, b.k, V, NORM_BACK_DEEP), NORM_THREADS, 0, stream, b, (const float *)means, columns,
		  dz);
}

/* everything between dy and dz; workspace of norm_workspace() */
template <class T, class G>
static void norm_backward(const struct ns_op_conv *v, const struct ns_args *a, void *workspace, G *dz, cudaStream_t stream)
{
	int norm = v->flags & NS_CONV_NORM ? 1 : 0, sums = norm || v->flags & NS_CONV_BIAS;
	norm_back b = {a->in[NS_CONVB_DY],
		       v->flags & NS_CONV_DY2 ? a->in[NS_CONVB_DY2] : NULL,
		       v->flags & NS_CONV_RELU ? a->in[NS_CONVB_Y] : NULL,
		       a->in[NS_CONVB_Z],
		       norm ? (const float *)a->in[NS_CONVB_MEAN] : NULL,
		       (const float *)a->in[NS_CONVB_INVSTD],
		       (const float *)a->in[NS_CONVB_GAMMA],
		       v->flags & NS_CONV_RESIDUAL ? a->out[NS_CONVB_DRES] : NULL,
		       (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v),
		       norm_stretch((int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v), v->k),
		       v->k};
	const void *all[] = {b.dy, b.dy2, b.y, norm ? b.z : NULL, b.dres, dz, b.mean, norm ? b.invstd : NULL, norm ? b.gamma : NULL};
	float *dbeta = (float *)a->out[norm ? NS_CONVB_DBETA : NS_CONVB_DB], *dgamma = norm ? (float *)a->out[NS_CONVB_DGAMMA] : NULL;

	if (ns_cuda_together(v->k, all, 9) == 8)
		launch_norm_backward<T, G, 8>(b, sums, dbeta, dgamma, (double *)workspace, dz, stream);
	else
		launch_norm_backward<T, G, 1>(b, sums, dbeta, dgamma, (double *)workspace, dz, stream);
}

#endif
