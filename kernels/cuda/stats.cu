/* kernels/cuda/stats.cu - image statistics: a block an image, integer sums, one formula at the end. */
#include "kernels/cuda/cuda.h"

extern "C" {
#include "kernels/formula/stats.h"
}

#define THREADS 256
#define SUMS	7

static __device__ inline void count_pixel(const uint8_t *x, int h, int w, int c, int i, int j, int64_t *s)
{
	const uint8_t *p = x + ((int64_t)i * w + j) * c;
	int64_t down = (int64_t)w * c;
	int32_t l = ns_luma(p, c), cross, corners, laplace, immerkaer;

	s[0] += l;
	s[1] += l * l;
	s[2] += ns_chroma(p, c);
	s[5] += l < 16;
	s[6] += l > 239;
	if (i == 0 || j == 0 || i == h - 1 || j == w - 1)
		return;
	cross = ns_luma(p - down, c) + ns_luma(p + down, c) + ns_luma(p - c, c) + ns_luma(p + c, c);
	corners = ns_luma(p - down - c, c) + ns_luma(p - down + c, c) + ns_luma(p + down - c, c) + ns_luma(p + down + c, c);
	laplace = cross - 4 * l;
	immerkaer = corners - 2 * cross + 4 * l;
	s[3] += laplace * laplace;
	s[4] += immerkaer < 0 ? -immerkaer : immerkaer;
}

static __global__ void stats(const struct ns_op_stats v, const uint8_t *x, float *y)
{
	NS_SHARED(int64_t, sums, [THREADS / 32][SUMS]);
	const uint8_t *image = x + (int64_t)blockIdx.x * v.h * v.w * v.c;
	int64_t mine[SUMS] = {0, 0, 0, 0, 0, 0, 0};
	int k, i;

	for (k = (int)threadIdx.x; k < v.h * v.w; k += THREADS)
		count_pixel(image, v.h, v.w, v.c, k / v.w, k % v.w, mine);
	for (k = 0; k < SUMS; k++) {
		mine[k] = ns_warp_sum(mine[k]);
		if (threadIdx.x % 32 == 0)
			sums[threadIdx.x / 32][k] = mine[k];
	}
	__syncthreads();
	if (threadIdx.x == 0) {
		struct ns_stat_sums s;

		for (k = 0; k < SUMS; k++)
			for (i = 1; i < THREADS / 32; i++)
				mine[k] += sums[i][k];
		s.sum = mine[0];
		s.square = mine[1];
		s.chroma = mine[2];
		s.laplace2 = mine[3];
		s.immerkaer = mine[4];
		s.dark = mine[5];
		s.bright = mine[6];
		ns_stats_finish(y + (int64_t)blockIdx.x * NS_STAT_COUNT, &s, v.h, v.w);
	}
}

static enum ns_status stats_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_stats *v = &ns_cuda_op(plan)->u.stats;

	NS_LAUNCH(stats, (unsigned)v->n, THREADS, 0, ns_cuda_stream(queue), *v, (const uint8_t *)a->in[NS_STATS_X], (float *)a->out[NS_STATS_Y]);
	return ns_cuda_launched(plan);
}

NS_CUDA_IMPL(ns_cuda_stats, "stats/cuda", NS_OP_STATS, 1, 0, stats_run);
