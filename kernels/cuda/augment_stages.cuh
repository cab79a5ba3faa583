/*
 * kernels/cuda/augment_stages.cuh - stages of the augmentation that need a whole image: a block's threads share it, t and low are
 * copies of bytes, column one of words. For augment.cu.
 */
#ifndef NS_CUDA_AUGMENT_STAGES_CUH
#define NS_CUDA_AUGMENT_STAGES_CUH

#define STAGE_THREADS 256

struct recipe { /* what all samples share; the tables lie in device memory */
	int n, h, w, p, q, fill;
	float scale[4], shift[4];
	const uint8_t *gamma;
};

template <int C> static __device__ inline void to_coarse(const recipe &v, const ns_augment_sample &a, const uint8_t *t, uint8_t *low)
{
	int k, y, x, ch;

	for (k = (int)threadIdx.x; k < a.low_h * a.low_w; k += STAGE_THREADS) {
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

	for (k = (int)threadIdx.x; k < v.p * v.q; k += STAGE_THREADS) {
		int32_t ty = ns_upsample_at(k / v.q, a.low_h, v.p), tx = ns_upsample_at(k % v.q, a.low_w, v.q);
		int y0 = ty >> 16, x0 = tx >> 16, y1 = y0 + (y0 < a.low_h - 1), x1 = x0 + (x0 < a.low_w - 1);

		for (ch = 0; ch < C; ch++)
			t[(int64_t)k * C + ch] = (uint8_t)ns_bilinear(
				low[((int64_t)y0 * a.low_w + x0) * C + ch], low[((int64_t)y0 * a.low_w + x1) * C + ch],
				low[((int64_t)y1 * a.low_w + x0) * C + ch], low[((int64_t)y1 * a.low_w + x1) * C + ch], tx >> 8 & 255, ty >> 8 & 255);
	}
}

/* sums down the columns, at most 255 * 4096 */
template <int C> static __device__ inline void blur_columns(const recipe &v, const ns_augment_sample &a, const uint8_t *t, uint32_t *column)
{
	int k, d, row = v.q * C;

	for (k = (int)threadIdx.x; k < v.p * row; k += STAGE_THREADS) {
		int i = k / row, x = k - i * row;
		uint32_t sum = (uint32_t)a.blur[0] * t[k];

		for (d = 1; d <= a.radius; d++)
			sum += (uint32_t)a.blur[d] * (uint32_t)(t[(int64_t)ns_clamp_i32(i - d, 0, v.p - 1) * row + x] +
								t[(int64_t)ns_clamp_i32(i + d, 0, v.p - 1) * row + x]);
		column[k] = sum;
	}
}

template <int C> static __device__ inline int32_t blurred(const recipe &v, const ns_augment_sample &a, const uint32_t *column, int i, int j, int ch)
{
	const uint32_t *row = column + (int64_t)i * v.q * C + ch;
	uint32_t sum = (uint32_t)a.blur[0] * row[j * C];
	int d;

	for (d = 1; d <= a.radius; d++)
		sum += (uint32_t)a.blur[d] * (row[ns_clamp_i32(j - d, 0, v.q - 1) * C] + row[ns_clamp_i32(j + d, 0, v.q - 1) * C]);
	return ns_blur_round(sum);
}

/* two copies of bytes and one of words, each image's beginning at a word */
static inline __host__ __device__ int64_t stage_bytes(int64_t out)
{
	return (2 * out + 3) / 4 * 4 + 4 * out;
}

#endif
