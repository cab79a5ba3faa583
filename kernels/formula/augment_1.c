/*
 * kernels/formula/augment_1.c - the draws of recipes of version 1, kept for those who must have their bits again. What it does
 * otherwise than version 2 (docs/augment.md): rotations clockwise, shear and hue the other way round, shift before the rotation; one
 * draw for each stage; hue in YIQ; five taps of blur; a crop is lost beside a resized crop.
 */
#include "kernels/formula/augment_inner.h"

enum { /* draw numbers: each stage has its own, so that switching one on changes no other */
       DRAW_CROP,
       DRAW_FLIP,
       DRAW_RESIZE,
       DRAW_AFFINE,
       DRAW_SHEAR,
       DRAW_RESOLUTION,
       DRAW_BLUR,
       DRAW_COLOUR,
       DRAW_HUE,
       DRAW_GAMMA,
       DRAW_NOISE,
       DRAW_CUTOUT
};

/* Does the stage of kinds first..last happen? All that are listed have one p. */
static int happens(const struct ns_augment_config *g, int first, int last, uint32_t bits)
{
	int k;

	for (k = first; k <= last; k++)
		if (g->op[k].on)
			return ns_uniform(bits) < g->op[k].p;
	return 0;
}

static double drawn(const struct ns_augment_config *g, enum ns_augment_kind kind, uint32_t bits)
{
	return ns_between(ns_augment_range(g, kind), bits);
}

static void draw_window(struct ns_augment_map *m, const struct ns_augment_config *g, const struct ns_augment_who *who, int h, int w, int p, int q)
{
	struct ns_philox r = ns_augment_bits(who, DRAW_CROP);

	if (happens(g, NS_AUGMENT_CROP, NS_AUGMENT_CROP, r.v[2])) {
		/* top left corner, whole pixels, over the padded image */
		int x0 = (int)((w + 2 * g->pad - q + 1) * ns_uniform(r.v[0])) - g->pad;
		int y0 = (int)((h + 2 * g->pad - p + 1) * ns_uniform(r.v[1])) - g->pad;

		m->tx = x0 + q * 0.5 - w * 0.5;
		m->ty = y0 + p * 0.5 - h * 0.5;
	}
	r = ns_augment_bits(who, DRAW_RESIZE);
	if (happens(g, NS_AUGMENT_RESIZED_CROP, NS_AUGMENT_RESIZED_CROP, r.v[3])) {
		double area = drawn(g, NS_AUGMENT_RESIZED_CROP, r.v[0]) * h * w, aspect = ns_between(g->aspect, r.v[1]);
		double cw = sqrt(area * aspect), ch = sqrt(area / aspect), u = ns_uniform(r.v[2]), v = ns_uniform(r.v[2] * 2654435761u + 12345u);

		cw = cw > w ? w : cw;
		ch = ch > h ? h : ch;
		m->tx = (u - 0.5) * (w - cw);
		m->ty = (v - 0.5) * (h - ch);
		ns_map_times(m, cw / q, 0, 0, ch / p);
	}
}

static void draw_geometry(struct ns_augment_sample *a, const struct ns_augment_config *g, const struct ns_augment_who *who, int h, int w, int p,
			  int q)
{
	struct ns_augment_map m = {{1, 0, 0, 1}, (w - q) % 2 ? -0.5 : 0, (h - p) % 2 ? -0.5 : 0};
	struct ns_philox r;

	draw_window(&m, g, who, h, w, p, q);
	r = ns_augment_bits(who, DRAW_AFFINE);
	if (happens(g, NS_AUGMENT_ROTATE, NS_AUGMENT_SHIFT, r.v[3])) {
		struct ns_philox r2 = ns_augment_bits(who, DRAW_SHEAR);
		double c, s, hc, hs, zoom = drawn(g, NS_AUGMENT_ZOOM, r.v[1]);

		ns_cos_sin(drawn(g, NS_AUGMENT_ROTATE, r.v[0]) / 360, &c, &s);
		ns_cos_sin(drawn(g, NS_AUGMENT_SHEAR, r.v[2]) / 360, &hc, &hs);
		ns_map_times(&m, c / zoom, s / zoom, -s / zoom, c / zoom);
		ns_map_times(&m, 1, -hs / hc, 0, 1);
		m.tx += drawn(g, NS_AUGMENT_SHIFT, r2.v[0]) * w;
		m.ty += drawn(g, NS_AUGMENT_SHIFT, r2.v[1]) * h;
	}
	r = ns_augment_bits(who, DRAW_FLIP);
	if (happens(g, NS_AUGMENT_FLIP, NS_AUGMENT_FLIP, r.v[0]))
		ns_map_times(&m, -1, 0, 0, 1);
	if (happens(g, NS_AUGMENT_VERTICAL_FLIP, NS_AUGMENT_VERTICAL_FLIP, r.v[1]))
		ns_map_times(&m, 1, 0, 0, -1);
	ns_map_set(a, &m, h, w, p, q);
}

static void draw_colour(struct ns_augment_sample *a, const struct ns_augment_config *g, const struct ns_augment_who *who)
{
	static const double yiq[3][3] = {{0.299, 0.587, 0.114}, {0.596, -0.274, -0.322}, {0.211, -0.523, 0.312}};
	static const double rgb[3][3] = {{1, 0.956, 0.621}, {1, -0.272, -0.647}, {1, -1.106, 1.703}};
	struct ns_philox r = ns_augment_bits(who, DRAW_COLOUR), hue = ns_augment_bits(who, DRAW_HUE);
	double turn = drawn(g, NS_AUGMENT_HUE, hue.v[0]), cs, sn, m[3][4], by[3][3], mid[3][3];
	int i, j, k;

	if (!happens(g, NS_AUGMENT_BRIGHTNESS, NS_AUGMENT_HUE, r.v[3]))
		return;
	ns_colour_matrix(m, drawn(g, NS_AUGMENT_BRIGHTNESS, r.v[0]), drawn(g, NS_AUGMENT_CONTRAST, r.v[1]), drawn(g, NS_AUGMENT_SATURATION, r.v[2]));
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
		ns_colour_after(m, by, 0);
	}
	ns_colour_set(a, m);
}

static void draw_blur(struct ns_augment_sample *a, double sigma)
{
	double w1 = 0, w2 = 0;

	if (sigma > 0.05) {
		w1 = (double)ns_exp_neg((float)(-0.5 / (sigma * sigma)));
		w2 = (double)ns_exp_neg((float)(-2.0 / (sigma * sigma)));
	}
	a->blur[1] = 16 * ns_fixed(w1 / (1 + 2 * w1 + 2 * w2), 256); /* weights in 1/256 */
	a->blur[2] = 16 * ns_fixed(w2 / (1 + 2 * w1 + 2 * w2), 256);
	a->blur[0] = 4096 - 2 * a->blur[1] - 2 * a->blur[2];
	a->radius = a->blur[0] == 4096 ? 0 : 2;
}

void ns_augment_draw_1(struct ns_augment_sample *a, const struct ns_augment_config *g, const struct ns_augment_who *who, int h, int w, int p, int q)
{
	struct ns_philox r;

	draw_geometry(a, g, who, h, w, p, q);
	r = ns_augment_bits(who, DRAW_RESOLUTION);
	if (happens(g, NS_AUGMENT_RESOLUTION, NS_AUGMENT_RESOLUTION, r.v[1]))
		ns_resolution_set(a, drawn(g, NS_AUGMENT_RESOLUTION, r.v[0]), p, q);
	r = ns_augment_bits(who, DRAW_BLUR);
	if (happens(g, NS_AUGMENT_BLUR, NS_AUGMENT_BLUR, r.v[1]))
		draw_blur(a, drawn(g, NS_AUGMENT_BLUR, r.v[0]));
	draw_colour(a, g, who);
	r = ns_augment_bits(who, DRAW_GAMMA);
	if (happens(g, NS_AUGMENT_GAMMA, NS_AUGMENT_GAMMA, r.v[1]))
		a->gamma = (int32_t)(NS_GAMMA_STEPS * ns_uniform(r.v[0]));
	r = ns_augment_bits(who, DRAW_NOISE);
	if (happens(g, NS_AUGMENT_NOISE, NS_AUGMENT_NOISE, r.v[1]))
		a->noise = ns_fixed(drawn(g, NS_AUGMENT_NOISE, r.v[0]) / 209.0, 65536);
	a->key = (uint64_t)r.v[3] << 32 | r.v[2];
	r = ns_augment_bits(who, DRAW_CUTOUT);
	if (happens(g, NS_AUGMENT_CUTOUT, NS_AUGMENT_CUTOUT, r.v[3]))
		ns_cutout_set(a, drawn(g, NS_AUGMENT_CUTOUT, r.v[2]), (int)(p * ns_uniform(r.v[0])), (int)(q * ns_uniform(r.v[1])), p, q);
}
