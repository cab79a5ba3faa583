/*
 * kernels/formula/augment.h - augmentation, pixel by pixel. Integer from end to end, so that the bytes are equal on
 * every device; floats appear only when the finished byte is normalised.
 *
 * Stages, in this order, whatever draws them (augment.c, or augment_1.c for recipes of version 1):
 *	geometry    crop with padding, random resized crop, rotation, zoom, shear, shift, flips: one affine map,
 *	            bilinear with 8-bit weights, outside the image: fill
 *	resolution  down to a coarser grid by exact area average, and back up bilinearly
 *	blur        up to NS_BLUR_RADIUS taps a side, weights in 1/4096, edges repeated
 *	colour      brightness, contrast about grey 128, saturation: one 3x4 matrix in 1/4096
 *	hue         a turn of HSV's hue; value and saturation stay to the bit
 *	gamma       one of NS_GAMMA_STEPS tables
 *	noise       near-normal, from (seed, epoch, id, byte)
 *	cutout      a rectangle of fill
 *	normalise   byte * scale[c] + shift[c]
 */
#ifndef NS_FORMULA_AUGMENT_H
#define NS_FORMULA_AUGMENT_H

#include "kernels/formula/random.h"

#define NS_GAMMA_STEPS 64
#define NS_BLUR_RADIUS 12 /* three deviations of 4 pixels */

/* The operations of a recipe; those of the geometry come first. */
enum ns_augment_kind {
	NS_AUGMENT_CROP,
	NS_AUGMENT_RESIZED_CROP,
	NS_AUGMENT_ROTATE,
	NS_AUGMENT_ZOOM,
	NS_AUGMENT_SHEAR,
	NS_AUGMENT_SHIFT,
	NS_AUGMENT_FLIP,
	NS_AUGMENT_VERTICAL_FLIP,
	NS_AUGMENT_RESOLUTION,
	NS_AUGMENT_BLUR,
	NS_AUGMENT_BRIGHTNESS,
	NS_AUGMENT_CONTRAST,
	NS_AUGMENT_SATURATION,
	NS_AUGMENT_HUE,
	NS_AUGMENT_GAMMA,
	NS_AUGMENT_NOISE,
	NS_AUGMENT_CUTOUT,
	NS_AUGMENT_KINDS
};
#define NS_AUGMENT_GEOMETRY NS_AUGMENT_RESOLUTION /* kinds below it */

struct ns_range {
	double low, high;
};

/* An operation that a recipe lists has `on`: one with p = 0 is there and never happens. */
struct ns_augment_op {
	int on;
	double p;
	struct ns_range range; /* in the units of docs/augment.md; flips and crop have none */
};

struct ns_augment_config {
	int version; /* 1 or 2: what the operations mean */
	struct ns_augment_op op[NS_AUGMENT_KINDS];
	int order[NS_AUGMENT_GEOMETRY], ordered; /* version 2: the geometry, as listed */
	int pad;				 /* crop: pixels of padding on each side */
	struct ns_range aspect;			 /* random resized crop: width by height */
	struct ns_augment_op window;		 /* the random resized crop that ns_augment_window_first() took out */
	int fill;
	uint8_t gamma_table[NS_GAMMA_STEPS][256]; /* ns_augment_prepare() fills it */
};

/* One sample's parameters: integers only, made on the host, read by every device. */
struct ns_augment_sample {
	uint64_t key;			  /* of the noise */
	int32_t map[6];			  /* input x = map[0] x + map[1] y + map[2], input y = map[3] x + ..., in 1/65536 */
	int32_t exact;			  /* a shift by whole pixels: nothing is interpolated */
	int32_t low_h, low_w;		  /* coarser grid; 0: off */
	int32_t radius;			  /* of the blur; 0: off */
	int32_t blur[NS_BLUR_RADIUS + 1]; /* weights of distance 0, 1, .. in 1/4096; both sides add up to 4096 */
	int32_t colour[3][4];		  /* in 1/4096 */
	int32_t hue;			  /* in 1/65536 of a sixth of a turn, 0 off */
	int32_t has_colour, gamma, noise; /* gamma: table, -1 off; noise: sigma / 209 in 1/65536, 0 off */
	int32_t cut[4];			  /* y0, x0, y1, x1; empty: off */
};

/* Do samples of this recipe need the whole image between two stages? */
NS_FORMULA int ns_augment_staged(const struct ns_augment_config *c)
{
	return c->op[NS_AUGMENT_RESOLUTION].on || c->op[NS_AUGMENT_BLUR].on;
}

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

/* a sum over both sides of both axes, weights in 1/4096 each: at most 255 * 2^24 + 2^23, which 32 bits hold */
NS_FORMULA int32_t ns_blur_round(uint32_t sum)
{
	return (int32_t)((sum + (1u << 23)) >> 24);
}

NS_FORMULA int32_t ns_colour(const int32_t *row, int32_t r, int32_t g, int32_t b)
{
	return ns_clamp_i32((row[0] * r + row[1] * g + row[2] * b + row[3] + 2048) >> 12, 0, 255);
}

/*
 * HSV's hue of (r, g, b), in 1/65536 of a sixth of a turn times the span d = max - min, from 0 to below 6 d, turned by `turn`: no
 * division, so nothing is rounded before the byte. ns_hue_channel() gives a channel back from it.
 */
NS_FORMULA int32_t ns_hue_turned(int32_t r, int32_t g, int32_t b, int32_t d, int32_t max, int32_t turn)
{
	int32_t sixth = max == r ? g - b : max == g ? 2 * d + b - r : 4 * d + r - g;
	int32_t at = sixth * 65536 + turn * d, full = 6 * d * 65536; /* |turn| <= 3 * 65536: within 9 * 255 * 65536 */

	at += at < 0 ? full : 0;
	return at - (at >= full ? full : 0);
}

/* min plus how much of the span channel 0, 1, 2 has at hue `at` */
NS_FORMULA int32_t ns_hue_channel(int32_t at, int32_t d, int32_t min, int channel)
{
	int32_t one = d * 65536, away = at - (channel == 0 ? 3 : 2 * channel) * one, up;

	away = away < 0 ? -away : away;
	up = channel == 0 ? away - one : 2 * one - away;
	return min + ((ns_clamp_i32(up, 0, one) + 32768) >> 16);
}

NS_FORMULA void ns_hue(int32_t *r, int32_t *g, int32_t *b, int32_t turn)
{
	int32_t max = *r > *g ? *r : *g, min = *r < *g ? *r : *g, d, at;

	max = max > *b ? max : *b;
	min = min < *b ? min : *b;
	d = max - min;
	at = ns_hue_turned(*r, *g, *b, d, max, turn);
	*r = ns_hue_channel(at, d, min, 0);
	*g = ns_hue_channel(at, d, min, 1);
	*b = ns_hue_channel(at, d, min, 2);
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

/*
 * Fills the gamma tables. Returns NULL, or a message if a range is invalid for images of h x w; the fixed-point map
 * holds for sides up to NS_AUGMENT_SIDE_MAX.
 */
const char *ns_augment_prepare(struct ns_augment_config *config, int h, int w);
#define NS_AUGMENT_SIDE_MAX 8192

/* The range of an operation; where the recipe lists it not, the one that changes nothing. */
struct ns_range ns_augment_range(const struct ns_augment_config *config, enum ns_augment_kind kind);

struct ns_augment_window { /* corner and size, in pixels of the image */
	int y, x, h, w;
};

/*
 * A random resized crop that a recipe lists first can be taken from the image before it is scaled: returns 1 after it was taken out of the
 * operations. Its windows, in an image of any size, are then drawn by ns_augment_window_draw(), which returns 0 where it does not happen.
 */
int ns_augment_window_first(struct ns_augment_config *config);
int ns_augment_window_draw(const struct ns_augment_config *config, int h, int w, uint64_t seed, uint32_t epoch, uint64_t id, uint32_t repeat,
			   struct ns_augment_window *at);

/* The identity draw: nothing changes but the size (centre crop or fill). */
void ns_augment_identity(struct ns_augment_sample *a, int h, int w, int p, int q);

/* The parameters of sample `id` (its `repeat`-th appearance) in `epoch`: h x w in, p x q out. */
void ns_augment_draw(struct ns_augment_sample *a, const struct ns_augment_config *config, int h, int w, int p, int q, uint64_t seed, uint32_t epoch,
		     uint64_t id, uint32_t repeat);

#endif
