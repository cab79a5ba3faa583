/* kernels/formula/augment.c - random parameters of a sample's augmentation. See augment.h. */
#include "kernels/formula/augment.h"

static int32_t fixed(double x, double one)
{
	return (int32_t)floor(x * one + 0.5);
}

static double between(struct ns_range r, uint32_t bits)
{
	return r.low + (r.high - r.low) * ns_uniform(bits);
}

const char *ns_augment_prepare(struct ns_augment_config *config, int h, int w)
{
	int step, v;

	if (h < 1 || w < 1 || h > NS_AUGMENT_SIDE_MAX || w > NS_AUGMENT_SIDE_MAX)
		return "images must have sides of 1 to 8192 pixels";
	if (config->p_affine > 0 && !(config->zoom.low >= 0.0625))
		return "zoom must be at least 1/16";
	if (config->p_affine > 0 && (config->shear.low < -60 || config->shear.high > 60))
		return "shear must be within 60 degrees";
	/* 1/65536 pixels in 32 bits reach 32768 pixels; a shear of 60 degrees stretches by less than 3 */
	if (config->p_affine > 0 && (h > w ? h : w) / config->zoom.low * (config->shear.low != 0 || config->shear.high != 0 ? 3 : 1) >= 16384)
		return "images are too large to be zoomed out so far";
	if (config->p_resize > 0 && !(config->area.low > 0 && config->aspect.low > 0))
		return "area and aspect must be more than 0";
	if (config->p_gamma > 0 && !(config->gamma.low > 0))
		return "gamma must be more than 0";
	if (config->fill < 0 || config->fill > 255)
		return "fill must be 0 to 255";
	for (step = 0; step < NS_GAMMA_STEPS; step++) {
		double t = (double)step / (NS_GAMMA_STEPS - 1);
		double g = config->gamma.low + (config->gamma.high - config->gamma.low) * t;

		for (v = 0; v < 256; v++)
			config->gamma_table[step][v] = (uint8_t)(pow(v / 255.0, g) * 255 + 0.5);
	}
	return NULL;
}

/* map = output pixel centres, through [a b; c d] about the centres, to input pixel centres + (tx, ty) */
static void set_map(struct ns_augment_sample *s, const double m[4], double tx, double ty, int h, int w, int p, int q)
{
	double ox = 0.5 - q * 0.5, oy = 0.5 - p * 0.5, ix = w * 0.5 - 0.5 + tx, iy = h * 0.5 - 0.5 + ty;
	int k;

	s->map[0] = fixed(m[0], 65536);
	s->map[1] = fixed(m[1], 65536);
	s->map[2] = fixed(m[0] * ox + m[1] * oy + ix, 65536);
	s->map[3] = fixed(m[2], 65536);
	s->map[4] = fixed(m[3], 65536);
	s->map[5] = fixed(m[2] * ox + m[3] * oy + iy, 65536);
	s->exact = s->map[1] == 0 && s->map[3] == 0;
	for (k = 0; k < 2; k++) {
		int32_t d = s->map[4 * k], t = s->map[3 * k + 2];

		s->exact &= (d == 65536 || d == -65536) && (t & 65535) == 0;
	}
}

void ns_augment_identity(struct ns_augment_sample *a, int h, int w, int p, int q)
{
	static const double one[4] = {1, 0, 0, 1};

	memset(a, 0, sizeof *a);
	/* an odd margin would shift a centre crop by half a pixel, and interpolation would blur it: it is rounded to whole pixels */
	set_map(a, one, (w - q) % 2 ? -0.5 : 0, (h - p) % 2 ? -0.5 : 0, h, w, p, q);
	a->blur[0] = 256;
	a->gamma = -1;
}

/* m = m * by (2x2) */
static void times(double m[4], double a, double b, double c, double d)
{
	double m0 = m[0], m2 = m[2];

	m[0] = m0 * a + m[1] * c;
	m[1] = m0 * b + m[1] * d;
	m[2] = m2 * a + m[3] * c;
	m[3] = m2 * b + m[3] * d;
}

struct identity { /* what the draws of a sample are keyed by */
	uint64_t seed, id;
	uint32_t epoch, repeat;
};

/* Repeats of a row within an epoch have independent draws: the upper bits of the draw number count them. */
static struct ns_philox draw(const struct identity *who, uint32_t number)
{
	return ns_draw(who->seed, NS_FOR_AUGMENT, who->epoch, who->id, who->repeat << 8 | number);
}

static void draw_geometry(struct ns_augment_sample *a, const struct ns_augment_config *g, const struct identity *who, int h, int w, int p, int q)
{
	double m[4] = {1, 0, 0, 1}, tx = (w - q) % 2 ? -0.5 : 0, ty = (h - p) % 2 ? -0.5 : 0;
	struct ns_philox r = draw(who, NS_DRAW_CROP);

	if (g->p_crop > 0 && ns_uniform(r.v[2]) < g->p_crop) {
		/* top left corner, whole pixels, over the padded image */
		int x0 = (int)((w + 2 * g->pad - q + 1) * ns_uniform(r.v[0])) - g->pad;
		int y0 = (int)((h + 2 * g->pad - p + 1) * ns_uniform(r.v[1])) - g->pad;

		tx = x0 + q * 0.5 - w * 0.5;
		ty = y0 + p * 0.5 - h * 0.5;
	}
	r = draw(who, NS_DRAW_RESIZE);
	if (g->p_resize > 0 && ns_uniform(r.v[3]) < g->p_resize) {
		double area = between(g->area, r.v[0]) * h * w, aspect = between(g->aspect, r.v[1]);
		double cw = sqrt(area * aspect), ch = sqrt(area / aspect), u = ns_uniform(r.v[2]), v = ns_uniform(r.v[2] * 2654435761u + 12345u);

		cw = cw > w ? w : cw;
		ch = ch > h ? h : ch;
		tx = (u - 0.5) * (w - cw);
		ty = (v - 0.5) * (h - ch);
		times(m, cw / q, 0, 0, ch / p);
	}
	r = draw(who, NS_DRAW_AFFINE);
	if (g->p_affine > 0 && ns_uniform(r.v[3]) < g->p_affine) {
		struct ns_philox r2 = draw(who, NS_DRAW_SHEAR);
		double c, s, hc, hs, zoom = between(g->zoom, r.v[1]);

		ns_cos_sin(between(g->rotate, r.v[0]) / 360, &c, &s);
		ns_cos_sin(between(g->shear, r.v[2]) / 360, &hc, &hs);
		times(m, c / zoom, s / zoom, -s / zoom, c / zoom);
		times(m, 1, -hs / hc, 0, 1);
		tx += between(g->shift, r2.v[0]) * w;
		ty += between(g->shift, r2.v[1]) * h;
	}
	r = draw(who, NS_DRAW_FLIP);
	if (ns_uniform(r.v[0]) < g->p_hflip)
		times(m, -1, 0, 0, 1);
	if (ns_uniform(r.v[1]) < g->p_vflip)
		times(m, 1, 0, 0, -1);
	set_map(a, m, tx, ty, h, w, p, q);
}

/* m (3x4) = by (3x3 rows, offset o) after m */
static void colour_after(double m[3][4], double by[3][3], double offset)
{
	double out[3][4];
	int i, j, k;

	for (i = 0; i < 3; i++)
		for (j = 0; j < 4; j++) {
			out[i][j] = j == 3 ? offset : 0;
			for (k = 0; k < 3; k++)
				out[i][j] += by[i][k] * m[k][j];
		}
	memcpy(m, out, sizeof out);
}

static void draw_colour(struct ns_augment_sample *a, const struct ns_augment_config *g, const struct identity *who)
{
	static const double luma[3] = {0.299, 0.587, 0.114};
	static const double yiq[3][3] = {{0.299, 0.587, 0.114}, {0.596, -0.274, -0.322}, {0.211, -0.523, 0.312}};
	static const double rgb[3][3] = {{1, 0.956, 0.621}, {1, -0.272, -0.647}, {1, -1.106, 1.703}};
	struct ns_philox r = draw(who, NS_DRAW_COLOUR), hue = draw(who, NS_DRAW_HUE);
	double b = between(g->brightness, r.v[0]), c = between(g->contrast, r.v[1]), s = between(g->saturation, r.v[2]),
	       turn = between(g->hue, hue.v[0]), cs, sn;
	double m[3][4] = {{b, 0, 0, 0}, {0, b, 0, 0}, {0, 0, b, 0}};
	double by[3][3], mid[3][3];
	int i, j, k;

	if (ns_uniform(r.v[3]) >= g->p_colour)
		return;
	a->has_colour = 1;
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++)
			by[i][j] = i == j ? c : 0;
	colour_after(m, by, 128 * (1 - c));
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++)
			by[i][j] = (1 - s) * luma[j] + (i == j ? s : 0);
	colour_after(m, by, 0);
	if (turn != 0) {
		ns_cos_sin(turn, &cs, &sn);
		for (j = 0; j < 3; j++) {
			mid[0][j] = yiq[0][j];
			mid[1][j] = cs * yiq[1][j] - sn * yiq[2][j];
			mid[2][j] = sn * yiq[1][j] + cs * yiq[2][j];
		}
		for (i = 0; i < 3; i++)
			for (j = 0; j < 3; j++)
				for (by[i][j] = 0, k = 0; k < 3; k++)
					by[i][j] += rgb[i][k] * mid[k][j];
		colour_after(m, by, 0);
	}
	for (i = 0; i < 3; i++)
		for (j = 0; j < 4; j++)
			a->colour[i][j] = fixed(m[i][j], 4096);
}

static void draw_spatial(struct ns_augment_sample *a, const struct ns_augment_config *g, const struct identity *who, int p, int q)
{
	struct ns_philox r = draw(who, NS_DRAW_RESOLUTION);

	if (g->p_resolution > 0 && ns_uniform(r.v[1]) < g->p_resolution) {
		double f = between(g->resolution, r.v[0]);

		a->low_h = ns_clamp_i32((int32_t)(p * f + 0.5), 1, p);
		a->low_w = ns_clamp_i32((int32_t)(q * f + 0.5), 1, q);
		if (a->low_h == p && a->low_w == q)
			a->low_h = a->low_w = 0;
	}
	r = draw(who, NS_DRAW_BLUR);
	if (g->p_blur > 0 && ns_uniform(r.v[1]) < g->p_blur) {
		double sigma = between(g->blur, r.v[0]), w1 = 0, w2 = 0;

		if (sigma > 0.05) {
			w1 = (double)ns_exp_neg((float)(-0.5 / (sigma * sigma)));
			w2 = (double)ns_exp_neg((float)(-2.0 / (sigma * sigma)));
		}
		a->blur[1] = fixed(w1 / (1 + 2 * w1 + 2 * w2), 256);
		a->blur[2] = fixed(w2 / (1 + 2 * w1 + 2 * w2), 256);
		a->blur[0] = 256 - 2 * a->blur[1] - 2 * a->blur[2];
	}
}

void ns_augment_draw(struct ns_augment_sample *a, const struct ns_augment_config *g, int h, int w, int p, int q, uint64_t seed, uint32_t epoch,
		     uint64_t id, uint32_t repeat)
{
	struct identity who = {seed, id, epoch, repeat};
	struct ns_philox r;

	ns_augment_identity(a, h, w, p, q);
	draw_geometry(a, g, &who, h, w, p, q);
	draw_spatial(a, g, &who, p, q);
	if (g->p_colour > 0)
		draw_colour(a, g, &who);
	r = draw(&who, NS_DRAW_GAMMA);
	if (g->p_gamma > 0 && ns_uniform(r.v[1]) < g->p_gamma)
		a->gamma = (int32_t)(NS_GAMMA_STEPS * ns_uniform(r.v[0]));
	r = draw(&who, NS_DRAW_NOISE);
	if (g->p_noise > 0 && ns_uniform(r.v[1]) < g->p_noise)
		a->noise = fixed(between(g->noise, r.v[0]) / 209.0, 65536);
	a->key = (uint64_t)r.v[3] << 32 | r.v[2];
	r = draw(&who, NS_DRAW_CUTOUT);
	if (g->p_cutout > 0 && ns_uniform(r.v[3]) < g->p_cutout) {
		int side_h = (int)(between(g->cutout, r.v[2]) * p + 0.5), side_w = side_h * q / p;
		int y = (int)(p * ns_uniform(r.v[0])) - side_h / 2, x = (int)(q * ns_uniform(r.v[1])) - side_w / 2;

		a->cut[0] = ns_clamp_i32(y, 0, p);
		a->cut[1] = ns_clamp_i32(x, 0, q);
		a->cut[2] = ns_clamp_i32(y + side_h, 0, p);
		a->cut[3] = ns_clamp_i32(x + side_w, 0, q);
	}
}
