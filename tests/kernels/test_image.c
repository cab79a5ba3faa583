/* tests/kernels/test_image.c - augmentation, image statistics, pooling. */
#include "tests/kernels/cases.h"

#include "kernels/formula/augment.h"
#include "kernels/formula/stats.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* --- augmentation: the bytes of ref --- */

/* sets of operations, by the bits of their kinds */
#define BIT(kind) (1u << NS_AUGMENT_##kind)
#define AFFINE	  (BIT(ROTATE) | BIT(ZOOM) | BIT(SHEAR) | BIT(SHIFT))
#define FLIPS	  (BIT(FLIP) | BIT(VERTICAL_FLIP))
#define COLOUR	  (BIT(BRIGHTNESS) | BIT(CONTRAST) | BIT(SATURATION))
#define ALL	  ((1u << NS_AUGMENT_KINDS) - 1)

static const unsigned sets[] = {0,
				BIT(CROP),
				FLIPS,
				BIT(CROP) | FLIPS | BIT(CUTOUT),
				AFFINE,
				BIT(RESIZED_CROP),
				BIT(RESOLUTION),
				BIT(BLUR),
				COLOUR,
				BIT(HUE),
				COLOUR | BIT(HUE),
				BIT(GAMMA),
				BIT(NOISE),
				BIT(CUTOUT),
				ALL,
				AFFINE | BIT(NOISE),
				BIT(CROP) | COLOUR | BIT(NOISE),
				BIT(RESIZED_CROP) | FLIPS | BIT(BLUR)};

/* n, h, w, c, p, q */
static const int sizes[][6] = {{1, 1, 1, 1, 1, 1},
			       {3, 7, 9, 3, 7, 9},
			       {2, 31, 33, 3, 28, 17},
			       {2, 33, 31, 1, 33, 31},
			       {1, 5, 6, 3, 12, 33},
			       {2, 16, 16, 1, 9, 18},
			       {1, 3, 257, 3, 2, 257},
			       {1, 257, 2, 1, 31, 5},
			       /* rows of whole runs of four; images that shared memory holds, that it does not, of odd length */
			       {3, 32, 32, 3, 32, 32},
			       {2, 16, 16, 1, 8, 8},
			       {2, 12, 11, 3, 8, 12},
			       {1, 160, 140, 3, 12, 16},
			       {1, 96, 128, 3, 4, 8},
			       {1, 161, 139, 3, 5, 8}};

/* Noise in the units of each version. */
static void configure(struct ns_augment_config *g, int version, unsigned set)
{
	static const struct ns_range ranges[NS_AUGMENT_KINDS] = {[NS_AUGMENT_RESIZED_CROP] = {0.08, 1},
								 [NS_AUGMENT_ROTATE] = {-180, 180},
								 [NS_AUGMENT_ZOOM] = {0.0625, 2},
								 [NS_AUGMENT_SHEAR] = {-30, 30},
								 [NS_AUGMENT_SHIFT] = {-0.5, 0.5},
								 [NS_AUGMENT_RESOLUTION] = {0.01, 1},
								 [NS_AUGMENT_BLUR] = {0, 4},
								 [NS_AUGMENT_BRIGHTNESS] = {0, 2},
								 [NS_AUGMENT_CONTRAST] = {0, 2},
								 [NS_AUGMENT_SATURATION] = {0, 2},
								 [NS_AUGMENT_HUE] = {-0.5, 0.5},
								 [NS_AUGMENT_GAMMA] = {0.2, 5},
								 [NS_AUGMENT_NOISE] = {0, 0.3},
								 [NS_AUGMENT_CUTOUT] = {0, 1}};
	int k;

	memset(g, 0, sizeof *g);
	g->version = version;
	for (k = 0; k < NS_AUGMENT_KINDS; k++) {
		/* operations alone always, all of them together half the time */
		g->op[k] = (struct ns_augment_op){set >> k & 1, set == ALL || (set & FLIPS & 1u << k) ? 0.5 : 1, ranges[k]};
		if (k < NS_AUGMENT_GEOMETRY && g->op[k].on)
			g->order[g->ordered++] = k;
	}
	if (version == 1) {
		g->op[NS_AUGMENT_NOISE].range.high = 80;
		g->op[NS_AUGMENT_BLUR].range.high = 2;
	}
	g->pad = 4;
	g->aspect = (struct ns_range){0.75, 1.33};
	g->fill = 124;
}

static void check_augment(const int *z, int version, unsigned set, enum ns_dtype out, struct nst_tally *tally)
{
	static struct ns_augment_config config;
	struct ns_augment_sample samples[4];
	struct nst_case c = {.op.kind = NS_OP_AUGMENT};
	int64_t bytes = z[0] * (int64_t)sizeof *samples;
	int i;

	configure(&config, version, set);
	assert_null(ns_augment_prepare(&config, z[1], z[2]));
	c.op.u.augment =
		(struct ns_op_augment){z[0], z[1], z[2], z[3], z[4], z[5], out, {1 / 58.4f, 1 / 57.1f, 1 / 57.4f}, {-2.1f, -2.0f, -1.8f}, &config};
	for (i = 0; i < z[0]; i++)
		ns_augment_draw(samples + i, &config, z[1], z[2], z[4], z[5], 7, 3, (uint64_t)(set + 1024u) + (uint64_t)i, 1);
	snprintf(c.label, sizeof c.label, "augment %dx%dx%dx%d to %dx%d, version %d, set %x, out %d", z[0], z[1], z[2], z[3], z[4], z[5], version,
		 set, (int)out);
	nst_in(&c, NS_AUGMENT_X, NST_U8, (int64_t)z[0] * z[1] * z[2] * z[3], NST_BITS, 0);
	nst_given(&c, NS_AUGMENT_SAMPLES, NST_U8, bytes, samples);
	nst_out(&c, NS_AUGMENT_Y, nst_of(out), (int64_t)z[0] * z[4] * z[5] * z[3], NST_EXACT);
	nst_check(&c, tally);
}

static void test_augment(void **state)
{
	static const enum ns_dtype outs[] = {NS_U8, NS_F32, NS_BF16};
	struct nst_tally tally = {0};
	size_t i, s, o;
	int version;

	(void)state;
	for (i = 0; i < COUNT(sizes); i++)
		for (s = 0; s < COUNT(sets); s++)
			for (o = 0; o < COUNT(outs); o++)
				for (version = 1; version <= 2; version++)
					if (version == 2 || o == 0)
						check_augment(sizes[i], version, sets[s], outs[o], &tally);
	nst_report(&tally, NS_OP_AUGMENT);
}

/* --- statistics: integer sums, so the same bits --- */

static void test_stats(void **state)
{
	static const int z[][4] = {{1, 1, 1, 1}, {2, 1, 33, 3},	 {2, 31, 1, 1},	 {3, 2, 2, 3},
				   {2, 3, 3, 1}, {2, 33, 31, 3}, {1, 31, 33, 1}, {1, 17, 257, 3}};
	static const int depth[] = {0, 1, 17, 241}; /* black; around the dark threshold; not bright */
	struct nst_tally tally = {0};
	size_t i, d;

	(void)state;
	for (i = 0; i < COUNT(z); i++)
		for (d = 0; d < COUNT(depth); d++) {
			struct nst_case c = {.op.kind = NS_OP_STATS};

			c.op.u.stats = (struct ns_op_stats){z[i][0], z[i][1], z[i][2], z[i][3]};
			snprintf(c.label, sizeof c.label, "stats %dx%dx%dx%d", z[i][0], z[i][1], z[i][2], z[i][3]);
			nst_in(&c, NS_STATS_X, NST_U8, (int64_t)z[i][0] * z[i][1] * z[i][2] * z[i][3], NST_BITS, depth[d]);
			nst_out(&c, NS_STATS_Y, NST_F32, (int64_t)z[i][0] * NS_STAT_COUNT, NST_EXACT);
			nst_check(&c, &tally);
		}
	nst_report(&tally, NS_OP_STATS);
}

/* --- pooling --- */

/* n, h, w, c, r, s, stride, pad */
static const int pools[][8] = {{1, 1, 1, 1, 1, 1, 1, 0},  {2, 8, 8, 16, 2, 2, 2, 0}, {2, 9, 7, 33, 3, 3, 2, 1},	   {1, 5, 6, 257, 3, 2, 1, 1},
			       {3, 7, 7, 31, 7, 7, 1, 0}, {1, 4, 9, 3, 2, 3, 3, 0},  {2, 15, 15, 17, 15, 15, 1, 0}};

static void check_pool(const struct ns_op_pool *v, int which, struct nst_tally *tally)
{
	int64_t out = (int64_t)v->n * ns_op_pool_p(v) * ns_op_pool_q(v) * v->c, in = (int64_t)v->n * v->h * v->w * v->c;
	/* a maximum is one of its inputs; an average of up to 225 values: see tolerance() in test_conv.c */
	double tol = v->out_dtype == NS_BF16 ? 0.008 : 2e-6;
	struct nst_case c = {.op = {.kind = NS_OP_POOL, .u.pool = *v}};

	snprintf(c.label, sizeof c.label, "pool %dx%dx%dx%d %dx%d/%d pad %d mode %d types %d %d", v->n, v->h, v->w, v->c, v->r, v->s, v->stride,
		 v->pad, v->mode, (int)v->dtype, (int)v->out_dtype);
	nst_in(&c, NS_POOL_X, nst_of(v->dtype), in, NST_COARSE, 0);
	nst_out(&c, NS_POOL_Y, nst_of(v->out_dtype), out, v->mode == NS_POOL_MAX ? NST_EXACT : tol);
	if (which)
		nst_out(&c, NS_POOL_WHICH, NST_U8, out, NST_EXACT);
	nst_check(&c, tally);
}

static void check_pool_backward(const struct ns_op_pool *v, struct nst_tally *tally)
{
	int64_t out = (int64_t)v->n * ns_op_pool_p(v) * ns_op_pool_q(v) * v->c, in = (int64_t)v->n * v->h * v->w * v->c;
	struct nst_case c = {.op = {.kind = NS_OP_POOL_BACKWARD, .u.pool = *v}};

	snprintf(c.label, sizeof c.label, "pool_backward %dx%dx%dx%d %dx%d/%d pad %d mode %d dy2 %d types %d %d", v->n, v->h, v->w, v->c, v->r, v->s,
		 v->stride, v->pad, v->mode, v->dy2, (int)v->dtype, (int)v->out_dtype);
	nst_in(&c, NS_POOLB_DY, nst_of(v->out_dtype), out, NST_UNIT, 0);
	if (v->dy2)
		nst_in(&c, NS_POOLB_DY2, nst_of(v->out_dtype), out, NST_UNIT, 0);
	if (v->mode == NS_POOL_MAX) /* places outside the image get nothing in either */
		nst_in(&c, NS_POOLB_WHICH, NST_U8, out, NST_BITS, v->r * v->s);
	nst_out(&c, NS_POOLB_DX, nst_of(v->dtype), in, v->dtype == NS_BF16 ? 0.008 : 2e-6);
	nst_check(&c, tally);
}

static void test_pool(void **state)
{
	static const enum ns_dtype types[][2] = {{NS_F32, NS_F32}, {NS_BF16, NS_BF16}, {NS_BF16, NS_F32}};
	struct nst_tally forward = {0}, backward = {0};
	size_t i, t;
	int k;

	(void)state;
	for (i = 0; i < COUNT(pools); i++)
		for (t = 0; t < COUNT(types); t++)
			for (k = 0; k < 4; k++) {
				const int *z = pools[i];
				struct ns_op_pool v = {z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7], k & 1, k >> 1, types[t][0], types[t][1]};

				check_pool(&v, k >> 1 && !(k & 1), &forward);
				check_pool_backward(&v, &backward);
			}
	nst_report(&forward, NS_OP_POOL);
	nst_report(&backward, NS_OP_POOL_BACKWARD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_augment),
		cmocka_unit_test(test_stats),
		cmocka_unit_test(test_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
