/*
 * kernels/formula/augment.h - augmentation, pixel by pixel. Integer from end to end, so that the bytes are equal on
 * every device; floats appear only when the finished byte is normalised.
 *
 * Stages, in this order, each with its own draw per sample:
 *	geometry    crop with padding, random resized crop, flips, rotation, zoom, shear, shift: one affine map,
 *	            bilinear with 8-bit weights, outside the image: fill
 *	resolution  down to a coarser grid by exact area average, and back up bilinearly
 *	blur        5 taps a side, weights in 1/256, edges repeated
 *	colour      brightness, contrast about grey 128, saturation, hue (rotation in YIQ): one 3x4 matrix in 1/4096
 *	gamma       one of NS_GAMMA_STEPS tables
 *	noise       near-normal, from (seed, epoch, id, byte)
 *	cutout      a rectangle of fill
 *	normalise   byte * scale[c] + shift[c]
 */
#ifndef NS_FORMULA_AUGMENT_H
#define NS_FORMULA_AUGMENT_H

#include "kernels/formula/random.h"

#define NS_GAMMA_STEPS 64

struct ns_range {
	double low, high;
};

/* Ranges as configured; a stage is off where its probability `p_` is 0. Sizes are fractions of the image. */
struct ns_augment_config {
	double p_crop, p_hflip, p_vflip, p_affine, p_resize, p_resolution, p_blur, p_colour, p_gamma, p_noise, p_cutout;
	int pad;					       /* crop: pixels of padding on each side */
	struct ns_range area, aspect;			       /* random resized crop */
	struct ns_range rotate, zoom, shear;		       /* degrees, factor, degrees */
	struct ns_range shift;				       /* of width and of height */
	struct ns_range resolution;			       /* of the side */
	struct ns_range blur;				       /* standard deviation in pixels */
	struct ns_range brightness, contrast, saturation, hue; /* factors; hue in turns */
	struct ns_range gamma, noise;			       /* exponent; standard deviation of 255 */
	struct ns_range cutout;				       /* side of the square */
	int fill;
	uint8_t gamma_table[NS_GAMMA_STEPS][256]; /* ns_augment_prepare() fills it */
};

/* One sample's parameters: integers only, made on the host, read by every device. */
struct ns_augment_sample {
	uint64_t key;			  /* of the noise */
	int32_t map[6];			  /* input x = map[0] x + map[1] y + map[2], input y = map[3] x + ..., in 1/65536 */
	int32_t exact;			  /* a shift by whole pixels: nothing is interpolated */
	int32_t low_h, low_w;		  /* coarser grid; 0: off */
	int32_t blur[3];		  /* weights of distance 0, 1, 2 in 1/256; blur[0] = 256: off */
	int32_t colour[3][4];		  /* in 1/4096 */
	int32_t has_colour, gamma, noise; /* gamma: table, -1 off; noise: sigma / 209 in 1/65536, 0 off */
	int32_t cut[4];			  /* y0, x0, y1, x1; empty: off */
};

/* input position of output pixel (x, y), in 1/65536 pixel */
NS_FORMULA int32_t ns_map_x(const struct ns_augment_sample *a, int32_t x, int32_t y)
{
	return a->map[0] * x + a->map[1] * y + a->map[2];
}

NS_FORMULA int32_t ns_map_y(const struct ns_augment_sample *a, int32_t x, int32_t y)
{
	return a->map[3] * x + a->map[4] * y + a->map[5];
}

/* weights fx, fy in 1/256 */
NS_FORMULA int32_t ns_bilinear(int32_t p00, int32_t p01, int32_t p10, int32_t p11, int32_t fx, int32_t fy)
{
	int32_t top = p00 * (256 - fx) + p01 * fx, bottom = p10 * (256 - fx) + p11 * fx;

	return (top * (256 - fy) + bottom * fy + 32768) >> 16;
}

NS_FORMULA int32_t ns_colour(const int32_t *row, int32_t r, int32_t g, int32_t b)
{
	return ns_clamp_i32((row[0] * r + row[1] * g + row[2] * b + row[3] + 2048) >> 12, 0, 255);
}

NS_FORMULA int32_t ns_add_noise(int32_t v, int32_t noise, uint64_t key, uint32_t index)
{
	return ns_clamp_i32(v + ((ns_noise_bytes(key, index) * noise + 32768) >> 16), 0, 255);
}

/* overlap of coarse cell i (of `low` over `full` pixels) with pixel j, in units of 1/low pixel */
NS_FORMULA int32_t ns_overlap(int32_t i, int32_t j, int32_t low, int32_t full)
{
	int32_t begin = i * full > j * low ? i * full : j * low;
	int32_t end = (i + 1) * full < (j + 1) * low ? (i + 1) * full : (j + 1) * low;

	return end > begin ? end - begin : 0;
}

/* the exact area average, rounded to nearest */
NS_FORMULA int32_t ns_area_round(int64_t sum, int64_t area)
{
	return (int32_t)((2 * sum + area) / (2 * area));
}

/* position of fine pixel x on the coarse grid, in 1/65536, inside 0 .. low-1 */
NS_FORMULA int32_t ns_upsample_at(int32_t x, int32_t low, int32_t full)
{
	int64_t at = (int64_t)(2 * x + 1) * low * 65536 / (2 * full) - 32768;
	int64_t last = (int64_t)(low - 1) * 65536;

	return (int32_t)(at < 0 ? 0 : at > last ? last : at);
}

NS_FORMULA float ns_normalise(int32_t v, float scale, float shift)
{
	float product = (float)v * scale;

	return product + shift;
}

/* --- a sample's random parameters: host code, double, + - * / only besides ns_cos_sin --- */

enum { /* draw numbers: each stage has its own, so that switching one on changes no other */
       NS_DRAW_CROP,
       NS_DRAW_FLIP,
       NS_DRAW_RESIZE,
       NS_DRAW_AFFINE,
       NS_DRAW_SHEAR,
       NS_DRAW_RESOLUTION,
       NS_DRAW_BLUR,
       NS_DRAW_COLOUR,
       NS_DRAW_HUE,
       NS_DRAW_GAMMA,
       NS_DRAW_NOISE,
       NS_DRAW_CUTOUT
};

/*
 * Fills the gamma tables. Returns NULL, or a message if a range is invalid for images of h x w; the fixed-point map
 * holds for sides up to NS_AUGMENT_SIDE_MAX.
 */
const char *ns_augment_prepare(struct ns_augment_config *config, int h, int w);
#define NS_AUGMENT_SIDE_MAX 8192

/* The identity draw: nothing changes but the size (centre crop or fill). */
void ns_augment_identity(struct ns_augment_sample *a, int h, int w, int p, int q);

/* The parameters of sample `id` (its `repeat`-th appearance) in `epoch`: h x w in, p x q out. */
void ns_augment_draw(struct ns_augment_sample *a, const struct ns_augment_config *config, int h, int w, int p, int q, uint64_t seed, uint32_t epoch,
		     uint64_t id, uint32_t repeat);

#endif
