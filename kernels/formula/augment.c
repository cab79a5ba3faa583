/* kernels/formula/augment.c - random parameters of a sample's augmentation. See augment.h, and docs/augment.md for what each operation means. */
#include "kernels/formula/augment_inner.h"

struct ns_range ns_augment_range(const struct ns_augment_config *config, enum ns_augment_kind kind)
{
	static const double neutral[NS_AUGMENT_KINDS] = {
		[NS_AUGMENT_RESIZED_CROP] = 1, [NS_AUGMENT_ZOOM] = 1,	    [NS_AUGMENT_RESOLUTION] = 1, [NS_AUGMENT_BRIGHTNESS] = 1,
		[NS_AUGMENT_CONTRAST] = 1,     [NS_AUGMENT_SATURATION] = 1, [NS_AUGMENT_GAMMA] = 1};

	return config->op[kind].on ? config->op[kind].range : (struct ns_range){neutral[kind], neutral[kind]};
}

/*
 * 1/65536 pixels in 32 bits reach 32768 pixels. A shear of 60 degrees stretches by less than 3; half a diagonal is less than .75 of the
 * side, a shift both ways at most 1.5 of what one way is, and a window may begin `pad` outside; and a position is summed from a corner.
 */
static int too_far(const struct ns_augment_config *config, int side)
{
	struct ns_range shear = ns_augment_range(config, NS_AUGMENT_SHEAR), shift = ns_augment_range(config, NS_AUGMENT_SHIFT);
	double reach = side / ns_augment_range(config, NS_AUGMENT_ZOOM).low * (shear.low != 0 || shear.high != 0 ? 3 : 1);
	double most = -shift.low > shift.high ? -shift.low : shift.high;

	if (config->version == 1)
		return reach >= 16384;
	return 1.5 * reach >= 32768 || reach * (0.75 + 1.5 * most) + side + config->pad >= 32768;
}

const char *ns_augment_prepare(struct ns_augment_config *config, int h, int w)
{
	struct ns_range zoom = ns_augment_range(config, NS_AUGMENT_ZOOM), shear = ns_augment_range(config, NS_AUGMENT_SHEAR);
	struct ns_range gamma = ns_augment_range(config, NS_AUGMENT_GAMMA);
	int step, v;

	if (config->version != 1 && config->version != 2)
		return "version must be 1 or 2";
	if (h < 1 || w < 1 || h > NS_AUGMENT_SIDE_MAX || w > NS_AUGMENT_SIDE_MAX)
		return "images must have sides of 1 to 8192 pixels";
	if (!(zoom.low >= 0.0625))
		return "zoom must be at least 1/16";
	if (shear.low < -60 || shear.high > 60)
		return "shear must be within 60 degrees";
	if (too_far(config, h > w ? h : w))
		return "images are too large to be zoomed out so far";
	if (config->op[NS_AUGMENT_RESIZED_CROP].on && !(config->op[NS_AUGMENT_RESIZED_CROP].range.low > 0 && config->aspect.low > 0))
		return "area and aspect must be more than 0";
	if (!(gamma.low > 0))
		return "gamma must be more than 0";
	if (config->fill < 0 || config->fill > 255)
		return "fill must be 0 to 255";
	for (step = 0; step < NS_GAMMA_STEPS; step++) {
		double t = (double)step / (NS_GAMMA_STEPS - 1);
		double g = gamma.low + (gamma.high - gamma.low) * t;

		for (v = 0; v < 256; v++)
			config->gamma_table[step][v] = (uint8_t)(pow(v / 255.0, g) * 255 + 0.5);
	}
	return NULL;
}

/* --- parts of a sample --- */

void ns_map_set(struct ns_augment_sample *s, const struct ns_augment_map *g, int h, int w, int p, int q)
{
	double ox = 0.5 - q * 0.5, oy = 0.5 - p * 0.5, ix = w * 0.5 - 0.5 + g->tx, iy = h * 0.5 - 0.5 + g->ty;
	const double *m = g->m;
	int k;

	s->map[0] = ns_fixed(m[0], 65536);
	s->map[1] = ns_fixed(m[1], 65536);
	s->map[2] = ns_fixed(m[0] * ox + m[1] * oy + ix, 65536);
	s->map[3] = ns_fixed(m[2], 65536);
	s->map[4] = ns_fixed(m[3], 65536);
	s->map[5] = ns_fixed(m[2] * ox + m[3] * oy + iy, 65536);
	s->exact = s->map[1] == 0 && s->map[3] == 0;
	for (k = 0; k < 2; k++) {
		int32_t d = s->map[4 * k], t = s->map[3 * k + 2];

		s->exact &= (d == 65536 || d == -65536) && (t & 65535) == 0;
	}
}

void ns_colour_after(double m[3][4], double by[3][3], double offset)
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

void ns_colour_matrix(double m[3][4], double b, double c, double s)
{
	static const double luma[3] = {0.299, 0.587, 0.114};
	double bright[3][4] = {{b, 0, 0, 0}, {0, b, 0, 0}, {0, 0, b, 0}}, by[3][3];
	int i, j;

	memcpy(m, bright, sizeof bright);
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++)
			by[i][j] = i == j ? c : 0;
	ns_colour_after(m, by, 128 * (1 - c));
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++)
			by[i][j] = (1 - s) * luma[j] + (i == j ? s : 0);
	ns_colour_after(m, by, 0);
}

void ns_colour_set(struct ns_augment_sample *a, double m[3][4])
{
	int i, j;

	a->has_colour = 1;
	for (i = 0; i < 3; i++)
		for (j = 0; j < 4; j++)
			a->colour[i][j] = ns_fixed(m[i][j], 4096);
}

void ns_resolution_set(struct ns_augment_sample *a, double f, int p, int q)
{
	a->low_h = ns_clamp_i32((int32_t)(p * f + 0.5), 1, p);
	a->low_w = ns_clamp_i32((int32_t)(q * f + 0.5), 1, q);
	if (a->low_h == p && a->low_w == q)
		a->low_h = a->low_w = 0;
}

void ns_cutout_set(struct ns_augment_sample *a, double side, int y, int x, int p, int q)
{
	int side_h = (int)(side * p + 0.5), side_w = side_h * q / p;

	y -= side_h / 2;
	x -= side_w / 2;
	a->cut[0] = ns_clamp_i32(y, 0, p);
	a->cut[1] = ns_clamp_i32(x, 0, q);
	a->cut[2] = ns_clamp_i32(y + side_h, 0, p);
	a->cut[3] = ns_clamp_i32(x + side_w, 0, q);
}

void ns_augment_identity(struct ns_augment_sample *a, int h, int w, int p, int q)
{
	/* an odd margin would shift a centre crop by half a pixel, and interpolation would blur it: it is rounded to whole pixels */
	const struct ns_augment_map one = {{1, 0, 0, 1}, (w - q) % 2 ? -0.5 : 0, (h - p) % 2 ? -0.5 : 0};

	memset(a, 0, sizeof *a);
	ns_map_set(a, &one, h, w, p, q);
	a->gamma = -1;
}

/* --- version 2: a draw for each operation, by its name and not by its place in the list --- */

enum { DRAW_KIND = 16, DRAW_TRY = 64, TRIES = 10 }; /* draw numbers: below 16 are version 1's */

struct geometry {
	const struct ns_augment_config *config;
	const struct ns_augment_who *who;
	struct ns_augment_map map;
	int h, w, p, q; /* the size so far, and the one that crops give */
};

/* the next operation gives pixel v from pixel (a b; c d) v + (x, y) of what there was */
static void come_from(struct geometry *g, double a, double b, double c, double d, double x, double y)
{
	g->map.tx += g->map.m[0] * x + g->map.m[1] * y;
	g->map.ty += g->map.m[2] * x + g->map.m[3] * y;
	ns_map_times(&g->map, a, b, c, d);
}

/* A window becomes the size of the result. */
static void take_window(struct geometry *g, struct ns_augment_window at)
{
	come_from(g, (double)at.w / g->q, 0, 0, (double)at.h / g->p, at.x + at.w * 0.5 - g->w * 0.5, at.y + at.h * 0.5 - g->h * 0.5);
	g->w = g->q;
	g->h = g->p;
}

/* a place for `window` pixels in `side` with `pad` on both ends; in the middle where there is no choice */
static int place(int side, int pad, int window, uint32_t bits)
{
	int places = side + 2 * pad - window + 1;

	return places < 1 ? (side - window) / 2 : (int)(places * ns_uniform(bits)) - pad;
}

/* ratio^u for u = bits / 2^32, by square roots, which are the same to the bit everywhere */
static double power(double ratio, uint32_t bits)
{
	double result = 1;
	uint32_t bit;

	for (bit = 1u << 31; bit; bit >>= 1) {
		ratio = sqrt(ratio);
		result *= bits & bit ? ratio : 1;
	}
	return result;
}

/*
 * A share of the area and a ratio of the sides whose logarithm is drawn evenly, so that 3/4 is as frequent as 4/3; a window that is
 * larger than the image is drawn again, and after ten times it is the largest in the middle that has an allowed ratio.
 */
static struct ns_augment_window resized_crop(struct ns_range area, struct ns_range aspect, const struct ns_augment_who *who, int h, int w)
{
	double ratio = (double)w / h;
	int k, cw, ch;

	for (k = 0; k < TRIES; k++) {
		struct ns_philox r = ns_augment_bits(who, DRAW_TRY + (uint32_t)k);
		double a = ns_between(area, r.v[0]) * h * w, t = aspect.low * power(aspect.high / aspect.low, r.v[1]);

		cw = (int)floor(sqrt(a * t) + 0.5);
		ch = (int)floor(sqrt(a / t) + 0.5);
		if (cw > 0 && ch > 0 && cw <= w && ch <= h)
			return (struct ns_augment_window){place(h, 0, ch, r.v[3]), place(w, 0, cw, r.v[2]), ch, cw};
	}
	cw = ratio > aspect.high ? ns_clamp_i32((int)floor(h * aspect.high + 0.5), 1, w) : w;
	ch = ratio < aspect.low ? ns_clamp_i32((int)floor(w / aspect.low + 0.5), 1, h) : h;
	return (struct ns_augment_window){(h - ch) / 2, (w - cw) / 2, ch, cw};
}

static void move(struct geometry *g, enum ns_augment_kind kind, const struct ns_philox *r)
{
	struct ns_range range = g->config->op[kind].range;
	double v = ns_between(range, r->v[0]), c, s;

	switch (kind) {
	case NS_AUGMENT_CROP:
		take_window(g, (struct ns_augment_window){place(g->h, g->config->pad, g->p, r->v[1]), place(g->w, g->config->pad, g->q, r->v[0]),
							  g->p, g->q});
		break;
	case NS_AUGMENT_RESIZED_CROP:
		take_window(g, resized_crop(range, g->config->aspect, g->who, g->h, g->w));
		break;
	case NS_AUGMENT_ROTATE: /* against the clock, for who looks at it: y goes down */
		ns_cos_sin(v / 360, &c, &s);
		come_from(g, c, -s, s, c, 0, 0);
		break;
	case NS_AUGMENT_ZOOM:
		come_from(g, 1 / v, 0, 0, 1 / v, 0, 0);
		break;
	case NS_AUGMENT_SHEAR: /* the top goes right, the bottom left */
		ns_cos_sin(v / 360, &c, &s);
		come_from(g, 1, s / c, 0, 1, 0, 0);
		break;
	case NS_AUGMENT_SHIFT: /* right and down */
		come_from(g, 1, 0, 0, 1, -v * g->w, -ns_between(range, r->v[1]) * g->h);
		break;
	case NS_AUGMENT_FLIP:
		come_from(g, -1, 0, 0, 1, 0, 0);
		break;
	default: /* NS_AUGMENT_VERTICAL_FLIP */
		come_from(g, 1, 0, 0, -1, 0, 0);
		break;
	}
}

static int happens(const struct ns_augment_config *c, const struct ns_augment_who *who, int kind, struct ns_philox *r)
{
	*r = ns_augment_bits(who, DRAW_KIND + (uint32_t)kind);
	return c->op[kind].on && ns_uniform(r->v[3]) < c->op[kind].p;
}

/* The value of an operation that happens; of one that does not, the one that changes nothing. */
static double value(const struct ns_augment_config *c, const struct ns_augment_who *who, int kind)
{
	static const struct ns_augment_config none;
	struct ns_philox r;
	int is = happens(c, who, kind, &r);

	return ns_between(ns_augment_range(is ? c : &none, (enum ns_augment_kind)kind), r.v[0]);
}

static void draw_blur(struct ns_augment_sample *a, double sigma)
{
	double weight[NS_BLUR_RADIUS + 1], sum = 1;
	int d, radius = sigma < 0.05 ? 0 : ns_clamp_i32((int32_t)ceil(4 * sigma), 1, NS_BLUR_RADIUS);

	for (d = 1; d <= radius; d++) {
		weight[d] = (double)ns_exp_neg((float)(-0.5 * d * d / (sigma * sigma)));
		sum += 2 * weight[d];
	}
	a->blur[0] = 4096;
	for (d = 1; d <= radius; d++) {
		a->blur[d] = ns_fixed(weight[d] / sum, 4096);
		a->blur[0] -= 2 * a->blur[d];
		a->radius = a->blur[d] ? d : a->radius;
	}
}

static void draw_colour(struct ns_augment_sample *a, const struct ns_augment_config *c, const struct ns_augment_who *who)
{
	double b = value(c, who, NS_AUGMENT_BRIGHTNESS), k = value(c, who, NS_AUGMENT_CONTRAST), s = value(c, who, NS_AUGMENT_SATURATION), m[3][4];

	if (b != 1 || k != 1 || s != 1) {
		ns_colour_matrix(m, b, k, s);
		ns_colour_set(a, m);
	}
	a->hue = ns_fixed(6 * value(c, who, NS_AUGMENT_HUE), 65536);
}

static void draw_geometry(struct ns_augment_sample *a, struct geometry *g)
{
	int h = g->h, w = g->w, i;
	struct ns_philox r;

	for (i = 0; i < g->config->ordered; i++)
		if (happens(g->config, g->who, g->config->order[i], &r))
			move(g, (enum ns_augment_kind)g->config->order[i], &r);
	if (g->h != g->p || g->w != g->q) /* no crop happened: the middle, by whole pixels */
		come_from(g, 1, 0, 0, 1, (g->w - g->q) % 2 ? -0.5 : 0, (g->h - g->p) % 2 ? -0.5 : 0);
	ns_map_set(a, &g->map, h, w, g->p, g->q);
}

void ns_augment_draw(struct ns_augment_sample *a, const struct ns_augment_config *c, int h, int w, int p, int q, uint64_t seed, uint32_t epoch,
		     uint64_t id, uint32_t repeat)
{
	struct ns_augment_who who = {seed, id, epoch, repeat};
	struct geometry g = {.config = c, .who = &who, .map = {{1, 0, 0, 1}, 0, 0}, .h = h, .w = w, .p = p, .q = q};
	struct ns_philox r;

	ns_augment_identity(a, h, w, p, q);
	if (c->version == 1) {
		ns_augment_draw_1(a, c, &who, h, w, p, q);
		return;
	}
	draw_geometry(a, &g);
	if (happens(c, &who, NS_AUGMENT_RESOLUTION, &r))
		ns_resolution_set(a, ns_between(c->op[NS_AUGMENT_RESOLUTION].range, r.v[0]), p, q);
	if (happens(c, &who, NS_AUGMENT_BLUR, &r))
		draw_blur(a, ns_between(c->op[NS_AUGMENT_BLUR].range, r.v[0]));
	draw_colour(a, c, &who);
	if (happens(c, &who, NS_AUGMENT_GAMMA, &r))
		a->gamma = (int32_t)(NS_GAMMA_STEPS * ns_uniform(r.v[0]));
	if (happens(c, &who, NS_AUGMENT_NOISE, &r))
		a->noise = ns_fixed(ns_between(c->op[NS_AUGMENT_NOISE].range, r.v[0]) * 255 / 209.0, 65536);
	a->key = (uint64_t)r.v[2] << 32 | r.v[1];
	if (happens(c, &who, NS_AUGMENT_CUTOUT, &r))
		ns_cutout_set(a, ns_between(c->op[NS_AUGMENT_CUTOUT].range, r.v[0]), (int)(p * ns_uniform(r.v[1])), (int)(q * ns_uniform(r.v[2])), p,
			      q);
}

int ns_augment_window_first(struct ns_augment_config *config)
{
	int i;

	if (config->version == 1 || !config->ordered || config->order[0] != NS_AUGMENT_RESIZED_CROP)
		return 0;
	config->window = config->op[NS_AUGMENT_RESIZED_CROP];
	config->op[NS_AUGMENT_RESIZED_CROP].on = 0;
	for (i = 1; i < config->ordered; i++)
		config->order[i - 1] = config->order[i];
	config->ordered--;
	return 1;
}

int ns_augment_window_draw(const struct ns_augment_config *config, int h, int w, uint64_t seed, uint32_t epoch, uint64_t id, uint32_t repeat,
			   struct ns_augment_window *at)
{
	struct ns_augment_who who = {seed, id, epoch, repeat};
	struct ns_philox r = ns_augment_bits(&who, DRAW_KIND + NS_AUGMENT_RESIZED_CROP);

	if (!(ns_uniform(r.v[3]) < config->window.p))
		return 0;
	*at = resized_crop(config->window.range, config->aspect, &who, h, w);
	return 1;
}
