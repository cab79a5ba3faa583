/* tests/kernels/test_known.c - answers that are known without ref: identities, fixtures, plain loops. */
#include "tests/kernels/cases.h"

#include "kernels/formula/augment.h"
#include "kernels/formula/stats.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char *const backends[] = {"ref", "cpu"};

/* --- augmentation --- */

enum { H = 13, W = 17, PIXELS = H * W * 3 };

static struct ns_augment_config plain;

/* y (p,q,3) from x (h,w,3) by one sample */
static void augment(const char *backend, const struct ns_augment_sample *a, const uint8_t *x, int h, int w, uint8_t *y, int p, int q)
{
	struct nst_case c = {.label = "augment", .op.kind = NS_OP_AUGMENT};
	void *out[NS_OP_MAX_OUT];

	c.op.u.augment = (struct ns_op_augment){1, h, w, 3, p, q, NS_U8, {0}, {0}, &plain};
	nst_given(&c, NS_AUGMENT_X, NST_U8, (int64_t)h * w * 3, x);
	nst_given(&c, NS_AUGMENT_SAMPLES, NST_U8, sizeof *a, a);
	nst_out(&c, NS_AUGMENT_Y, NST_U8, (int64_t)p * q * 3, NST_EXACT);
	nst_run_best(backend, &c, out);
	memcpy(y, out[NS_AUGMENT_Y], (size_t)p * (size_t)q * 3);
	nst_outputs_free(out);
}

/* A recipe of one operation that always happens. */
static void only(enum ns_augment_kind kind, double low, double high)
{
	memset(&plain, 0, sizeof plain);
	plain.version = 2;
	plain.op[kind] = (struct ns_augment_op){1, 1, {low, high}};
	if (kind < NS_AUGMENT_GEOMETRY)
		plain.order[plain.ordered++] = (int)kind;
}

static void some_pixels(uint8_t *x, int n)
{
	int i;

	for (i = 0; i < n; i++)
		x[i] = (uint8_t)(ns_philox2x32((uint32_t)i, 0, 99) & 255);
}

static void test_augment_identities(void **state)
{
	uint8_t x[PIXELS], y[PIXELS], z[PIXELS];
	struct ns_augment_sample a;
	size_t b;
	int flip, id;

	(void)state;
	some_pixels(x, PIXELS);
	for (b = 0; b < COUNT(backends); b++) {
		ns_augment_identity(&a, H, W, H, W);
		assert_true(a.exact);
		augment(backends[b], &a, x, H, W, y, H, W);
		assert_memory_equal(x, y, PIXELS);
		a.exact = 0; /* the bilinear path with nothing to interpolate */
		augment(backends[b], &a, x, H, W, y, H, W);
		assert_memory_equal(x, y, PIXELS);
		for (flip = 0; flip < 3; flip++) {
			only(flip == 1 ? NS_AUGMENT_VERTICAL_FLIP : NS_AUGMENT_FLIP, 0, 0);
			if (flip == 2) {
				plain.op[NS_AUGMENT_VERTICAL_FLIP] = plain.op[NS_AUGMENT_FLIP];
				plain.order[plain.ordered++] = NS_AUGMENT_VERTICAL_FLIP;
			}
			ns_augment_draw(&a, &plain, H, W, H, W, 1, 0, 5, 0);
			assert_true(a.exact);
			augment(backends[b], &a, x, H, W, y, H, W);
			assert_memory_not_equal(x, y, PIXELS);
			augment(backends[b], &a, y, H, W, z, H, W);
			assert_memory_equal(x, z, PIXELS);
		}
		/* rotation by 0, zoom 1, shear 0, shift 0, hue 0 and blur 0 are copies; quarter turns of a square four times too */
		for (id = 0; id < 6; id++) {
			static const enum ns_augment_kind kinds[] = {NS_AUGMENT_ROTATE, NS_AUGMENT_ZOOM, NS_AUGMENT_SHEAR,
								     NS_AUGMENT_SHIFT,	NS_AUGMENT_HUE,	 NS_AUGMENT_BLUR};

			only(kinds[id], id == 1, id == 1);
			ns_augment_draw(&a, &plain, H, W, H, W, 1, 0, (uint64_t)id, 0);
			augment(backends[b], &a, x, H, W, y, H, W);
			assert_memory_equal(x, y, PIXELS);
		}
	}
}

static void test_augment_turns(void **state)
{
	enum { SIDE = 12, ALL = SIDE * SIDE * 3 };
	uint8_t x[ALL], y[ALL], z[ALL];
	struct ns_augment_sample a;
	size_t b;
	int i;

	(void)state;
	some_pixels(x, ALL);
	only(NS_AUGMENT_ROTATE, 90, 90);
	for (b = 0; b < COUNT(backends); b++) {
		memcpy(y, x, ALL);
		for (i = 0; i < 4; i++) {
			ns_augment_draw(&a, &plain, SIDE, SIDE, SIDE, SIDE, 1, 0, 3, 0);
			augment(backends[b], &a, y, SIDE, SIDE, z, SIDE, SIDE);
			memcpy(y, z, ALL);
			if (i < 3)
				assert_memory_not_equal(x, y, ALL);
		}
		assert_memory_equal(x, y, ALL);
	}
}

/*
 * Hue in whole sixths permutes what the pure colours are; three turns of a third are no turn, for every colour: the largest and the
 * least of a pixel's values never change.
 */
static void test_augment_hue(void **state)
{
	static const uint8_t wheel[6][3] = {{200, 10, 10}, {200, 200, 10}, {10, 200, 10}, {10, 200, 200}, {10, 10, 200}, {200, 10, 200}};
	uint8_t x[PIXELS], y[PIXELS], z[PIXELS], pure[18], turned[18];
	struct ns_augment_sample a;
	size_t b;
	int i, sixths;

	(void)state;
	some_pixels(x, PIXELS);
	memcpy(pure, wheel, sizeof pure);
	for (b = 0; b < COUNT(backends); b++) {
		for (sixths = -3; sixths <= 3; sixths++) {
			only(NS_AUGMENT_HUE, sixths / 6.0, sixths / 6.0);
			ns_augment_draw(&a, &plain, 1, 6, 1, 6, 1, 0, 3, 0);
			augment(backends[b], &a, pure, 1, 6, turned, 1, 6);
			for (i = 0; i < 6; i++)
				assert_memory_equal(turned + 3 * i, wheel[(i + sixths + 6) % 6], 3);
		}
		only(NS_AUGMENT_HUE, 1 / 3.0, 1 / 3.0);
		memcpy(y, x, PIXELS);
		for (i = 0; i < 3; i++) {
			ns_augment_draw(&a, &plain, H, W, H, W, 1, 0, 3, 0);
			augment(backends[b], &a, y, H, W, z, H, W);
			memcpy(y, z, PIXELS);
		}
		assert_memory_equal(x, y, PIXELS);
	}
}

/* a crop is a window of the padded image: found among all of them, and outside it is fill */
static void test_augment_crop(void **state)
{
	enum { PAD = 4, TRIES = 40 };
	uint8_t x[PIXELS], y[PIXELS];
	struct ns_augment_sample a;
	int id, i, j, ch, corners = 0;
	size_t b;

	(void)state;
	some_pixels(x, PIXELS);
	only(NS_AUGMENT_CROP, 0, 0);
	plain.pad = PAD;
	plain.fill = 77;
	for (b = 0; b < COUNT(backends); b++)
		for (id = 0; id < TRIES; id++) {
			int x0, y0;

			ns_augment_draw(&a, &plain, H, W, H, W, 1, 0, (uint64_t)id, 0);
			assert_true(a.exact);
			x0 = a.map[2] / 65536;
			y0 = a.map[5] / 65536;
			assert_true(x0 >= -PAD && x0 <= PAD && y0 >= -PAD && y0 <= PAD);
			corners += x0 == -PAD || x0 == PAD;
			augment(backends[b], &a, x, H, W, y, H, W);
			for (i = 0; i < H; i++)
				for (j = 0; j < W; j++)
					for (ch = 0; ch < 3; ch++) {
						int in = i + y0 >= 0 && i + y0 < H && j + x0 >= 0 && j + x0 < W;

						assert_int_equal(y[(i * W + j) * 3 + ch], in ? x[((i + y0) * W + j + x0) * 3 + ch] : 77);
					}
		}
	assert_true(corners > 0);
}

/* --- image statistics of images that can be reckoned by hand --- */

static void test_stats(void **state)
{
	/* checkerboard of 0 and 255, C = 1: half dark, half bright, |Laplacian| = 4 * 255 everywhere inside */
	static const float want[NS_STAT_COUNT] = {0.5f, 0.5f, 0, 4, 0, 0.5f, 0.5f};
	uint8_t x[16 * 16];
	size_t b, i;

	(void)state;
	for (i = 0; i < sizeof x; i++)
		x[i] = (i / 16 + i) % 2 ? 255 : 0;
	for (b = 0; b < COUNT(backends); b++) {
		struct nst_case c = {.label = "stats", .op = {.kind = NS_OP_STATS, .u.stats = {1, 16, 16, 1}}};
		void *out[NS_OP_MAX_OUT];
		const float *y;

		nst_given(&c, NS_STATS_X, NST_U8, sizeof x, x);
		nst_out(&c, NS_STATS_Y, NST_F32, NS_STAT_COUNT, 0);
		nst_run_best(backends[b], &c, out);
		y = out[NS_STATS_Y];
		for (i = 0; i < NS_STAT_COUNT; i++)
			if (i != 4)
				assert_true(fabsf(y[i] - want[i]) < 1e-6f);
		/* mask 1 -2 1; -2 4 -2; 1 -2 1 over +-: every term adds up, 16 * 127.5 */
		assert_true(fabs((double)y[4] - 1.2533141373155003 / 6 * 16 * 127.5 / 255) < 1e-6);
		nst_outputs_free(out);
	}
}

/* --- optimisers against a plain loop in double --- */

enum { N = 100, DECAY = 60, STEPS = 5 };
static const struct ns_op_optim optim = {N, DECAY, 0.9f, 0.9f, 0.99f, 1e-6f, 0.05f, 2.0f, 1};
static const float lr = 0.1f;

static double gradient(int step, int i)
{
	return (double)(float)(sin(0.1 * i + step) * 1.5);
}

static void sgd_loop(double *w, double *m, double *v, int step, double scale)
{
	int i;

	(void)v;
	for (i = 0; i < N; i++) {
		double g = gradient(step, i) * scale + (i < DECAY ? (double)optim.weight_decay * w[i] : 0);

		m[i] = (double)optim.momentum * m[i] + g;
		w[i] -= (double)lr * (g + (double)optim.momentum * m[i]);
	}
}

static void adamw_loop(double *w, double *m, double *v, int step, double scale)
{
	double b1 = (double)optim.beta1, b2 = (double)optim.beta2, c1 = 1 - pow(b1, step), c2 = 1 - pow(b2, step);
	int i;

	for (i = 0; i < N; i++) {
		double g = gradient(step, i) * scale;

		m[i] = b1 * m[i] + (1 - b1) * g;
		v[i] = b2 * v[i] + (1 - b2) * g * g;
		w[i] -= (double)lr * (i < DECAY ? (double)optim.weight_decay * w[i] : 0);
		w[i] -= (double)lr * (m[i] / c1) / (sqrt(v[i] / c2) + (double)optim.eps);
	}
}

static void check_optim(const char *backend, enum ns_op_kind kind, void (*loop)(double *, double *, double *, int, double))
{
	double w[N], m[N] = {0}, v[N] = {0}, norm2, scale;
	float p[3][N] = {{0}}, grad[N], hyper[NS_HYPER_COUNT] = {lr};
	struct nst_case c = {.label = "optimiser", .op = {.kind = kind, .u.optim = optim}};
	void *out[NS_OP_MAX_OUT];
	int i, step, s;

	for (i = 0; i < N; i++)
		w[i] = (double)(p[0][i] = (float)cos(i));
	nst_given(&c, NS_OPTIM_GRAD, NST_F32, N, grad);
	nst_given(&c, NS_OPTIM_HYPER, NST_F32, NS_HYPER_COUNT, hyper);
	nst_given(&c, NS_OPTIM_NORM2, NST_F64, 1, &norm2);
	for (s = 0; s < (kind == NS_OP_ADAMW ? 3 : 2); s++) {
		nst_state(&c, NS_OPTIM_W + s, NST_F32, N, NST_GIVEN, 0);
		c.out[NS_OPTIM_W + s].given = p[s];
	}
	for (step = 1; step <= STEPS; step++) {
		for (norm2 = 0, i = 0; i < N; i++) {
			grad[i] = (float)gradient(step, i);
			norm2 += (double)grad[i] * (double)grad[i];
		}
		scale = sqrt(norm2) > (double)optim.clip ? (double)optim.clip / sqrt(norm2) : 1;
		hyper[NS_HYPER_C1] = (float)(1 - pow((double)optim.beta1, step));
		hyper[NS_HYPER_C2] = (float)(1 - pow((double)optim.beta2, step));
		nst_run_best(backend, &c, out);
		loop(w, m, v, step, scale);
		for (s = 0; s < NS_OP_MAX_OUT; s++)
			if (out[s])
				memcpy(p[s], out[s], sizeof p[s]);
		nst_outputs_free(out);
		for (i = 0; i < N; i++) /* a few f32 roundings a step */
			assert_true(fabs((double)p[0][i] - w[i]) < 3e-6);
	}
}

static void test_optimisers(void **state)
{
	size_t b;

	(void)state;
	for (b = 0; b < COUNT(backends); b++) {
		check_optim(backends[b], NS_OP_SGD, sgd_loop);
		check_optim(backends[b], NS_OP_ADAMW, adamw_loop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_augment_identities), cmocka_unit_test(test_augment_turns), cmocka_unit_test(test_augment_crop),
		cmocka_unit_test(test_augment_hue),	   cmocka_unit_test(test_stats),	 cmocka_unit_test(test_optimisers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
