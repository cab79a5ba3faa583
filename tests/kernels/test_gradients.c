/*
 * tests/kernels/test_gradients.c - ref's gradients in double against central differences.
 *
 * Loss = sum of y * g for a random g. The step is 1e-5: truncation is h^2 = 1e-10 and rounding 1e-16 * loss / h
 * = 1e-10 for losses near 10, so 1e-7 of the largest gradient leaves room and finds any wrong term.
 */
#include "tests/kernels/cases.h"

#include <math.h>

#define COUNT(a)  (sizeof(a) / sizeof *(a))
#define STEP	  1e-5
#define TOLERANCE 1e-7

static struct nst_rig ref;

struct function { /* a forward op and the loss made of its output `y` */
	struct ns_plan *plan;
	struct ns_args args;
	const double *g, *y;
	int64_t count;
};

static double *unit(int64_t count, int salt)
{
	struct nst_tensor t = {.type = NST_F64, .count = count, .fill = NST_UNIT};

	return nst_filled(&t, salt);
}

static double *room(int64_t count)
{
	double *p = calloc((size_t)count, sizeof *p);

	assert_non_null(p);
	return p;
}

static struct ns_plan *plan_of(const struct ns_op *op, struct ns_args *args)
{
	struct ns_plan *plan = NULL;

	assert_int_equal(ns_plan_make(&plan, ref.dev, op), NS_OK);
	args->workspace = malloc(plan->workspace_bytes + 1);
	assert_non_null(args->workspace);
	return plan;
}

static void plan_end(struct ns_plan *plan, const struct ns_args *args)
{
	free(args->workspace);
	ns_plan_free(plan);
}

static double loss(const struct function *f)
{
	double sum = 0;
	int64_t i;

	assert_int_equal(ns_plan_run(f->plan, &f->args, ref.queue), NS_OK);
	for (i = 0; i < f->count; i++)
		sum += f->y[i] * f->g[i];
	return sum;
}

static void check(const struct function *f, double *x, const double *gradient, int64_t n, const char *what)
{
	double most = 0;
	int64_t i;

	for (i = 0; i < n; i++)
		most = fmax(most, fabs(gradient[i]));
	assert_true(most > 0);
	for (i = 0; i < n; i++) {
		double at = x[i], up, down, slope;

		x[i] = at + STEP;
		up = loss(f);
		x[i] = at - STEP;
		down = loss(f);
		x[i] = at;
		slope = (up - down) / (2 * STEP);
		if (!(fabs(slope - gradient[i]) <= TOLERANCE * fmax(most, 1)))
			fail_msg("%s[%lld]: gradient %.10g, difference quotient %.10g", what, (long long)i, gradient[i], slope);
	}
}

/* --- convolution --- */

struct conv { /* everything that a convolution and its gradient touch */
	double *x, *w, *b, *res, *gamma, *beta, *y, *z, *mean, *invstd, *sum_mean, *sum_var;
	double *g, *dy, *dy2, *dx, *dw, *db, *dgamma, *dbeta, *dres;
	int64_t nx, nw, ny;
};

static void conv_make(struct conv *t, const struct ns_op_conv *v)
{
	int64_t i;

	t->nx = (int64_t)v->n * v->h * v->w * v->c;
	t->nw = (int64_t)v->k * v->r * v->s * v->c;
	t->ny = (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v) * v->k;
	t->x = unit(t->nx, 1);
	t->w = unit(t->nw, 2);
	t->b = unit(v->k, 3);
	t->res = unit(t->ny, 4);
	t->gamma = unit(v->k, 5);
	t->beta = unit(v->k, 6);
	t->g = unit(t->ny, 7);
	t->dy2 = unit(t->ny, 8);
	t->y = room(t->ny);
	t->z = room(t->ny);
	t->mean = room(v->k);
	t->invstd = room(v->k);
	t->sum_mean = room(v->k);
	t->sum_var = room(v->k);
	t->dy = room(t->ny);
	t->dx = room(t->nx);
	t->dw = room(t->nw);
	t->db = room(v->k);
	t->dgamma = room(v->k);
	t->dbeta = room(v->k);
	t->dres = room(t->ny);
	for (i = 0; i < t->ny; i++)
		t->dy[i] = v->flags & NS_CONV_DY2 ? t->g[i] - t->dy2[i] : t->g[i];
}

static void conv_free(struct conv *t)
{
	double *all[] = {t->x,	     t->w, t->b,  t->res, t->gamma, t->beta, t->y,  t->z,      t->mean,	 t->invstd, t->sum_mean,
			 t->sum_var, t->g, t->dy, t->dy2, t->dx,    t->dw,   t->db, t->dgamma, t->dbeta, t->dres};
	size_t i;

	for (i = 0; i < COUNT(all); i++)
		free(all[i]);
}

static void conv_backward(const struct conv *t, const struct ns_op_conv *v)
{
	struct ns_op op = {.kind = NS_OP_CONV_BACKWARD, .u.conv = *v};
	struct ns_args a = {.in = {t->x, t->w, t->gamma, t->z, t->mean, t->invstd, t->y, t->dy, t->dy2},
			    .out = {t->dx, t->dw, t->db, t->dgamma, t->dbeta, t->dres}};
	struct ns_plan *plan = plan_of(&op, &a);

	assert_int_equal(ns_plan_run(plan, &a, ref.queue), NS_OK);
	plan_end(plan, &a);
}

static void check_conv(const struct ns_op_conv *v)
{
	struct ns_op op = {.kind = NS_OP_CONV_TRAIN, .u.conv = *v};
	struct function f = {0};
	struct conv t;

	conv_make(&t, v);
	f.args = (struct ns_args){.in = {t.x, t.w, t.b, t.res, t.gamma, t.beta}, .out = {t.y, t.z, t.mean, t.invstd, t.sum_mean, t.sum_var}};
	f.plan = plan_of(&op, &f.args);
	f.g = t.g;
	f.y = t.y;
	f.count = t.ny;
	(void)loss(&f);
	conv_backward(&t, v);
	check(&f, t.w, t.dw, t.nw, "dw");
	if (!(v->flags & NS_CONV_NO_DX))
		check(&f, t.x, t.dx, t.nx, "dx");
	if (v->flags & NS_CONV_BIAS)
		check(&f, t.b, t.db, v->k, "db");
	if (v->flags & NS_CONV_RESIDUAL)
		check(&f, t.res, t.dres, t.ny, "dres");
	if (v->flags & NS_CONV_NORM) {
		check(&f, t.gamma, t.dgamma, v->k, "dgamma");
		check(&f, t.beta, t.dbeta, v->k, "dbeta");
	}
	plan_end(f.plan, &f.args);
	conv_free(&t);
}

static void test_conv(void **state)
{
	/* n, h, w, c, k, r, s, stride, pad */
	static const int z[][9] = {{2, 4, 5, 2, 3, 3, 3, 1, 1}, {2, 5, 4, 3, 2, 3, 3, 2, 1}, {2, 3, 3, 3, 4, 1, 1, 1, 0},
				   {1, 6, 5, 2, 2, 1, 1, 2, 0}, {1, 7, 6, 1, 2, 5, 3, 2, 2}, {3, 4, 4, 2, 2, 2, 3, 1, 0}};
	static const unsigned base[] = {0, NS_CONV_BIAS, NS_CONV_NORM};
	int cases = 0;
	size_t i, b;
	unsigned k;

	(void)state;
	for (i = 0; i < COUNT(z); i++)
		for (b = 0; b < COUNT(base); b++)
			for (k = 0; k < 16; k++) {
				unsigned flags = base[b] | (k & 1 ? NS_CONV_RELU : 0) | (k & 2 ? NS_CONV_RESIDUAL : 0) | (k & 4 ? NS_CONV_DY2 : 0) |
						 (k & 8 ? NS_CONV_NO_DX : 0);
				const int *s = z[i];
				struct ns_op_conv v = {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], flags, 1e-3f, NS_F64};

				check_conv(&v);
				cases++;
			}
	printf("conv: ref: %d gradients\n", cases);
}

/* --- pooling --- */

static void check_pool(const struct ns_op_pool *v)
{
	int64_t nx = (int64_t)v->n * v->h * v->w * v->c, ny = (int64_t)v->n * ns_op_pool_p(v) * ns_op_pool_q(v) * v->c, i;
	struct ns_op op = {.kind = NS_OP_POOL, .u.pool = *v};
	double *x = unit(nx, 1), *g = unit(ny, 2), *dy2 = unit(ny, 3), *dy = room(ny), *y = room(ny), *dx = room(nx);
	uint8_t *which = calloc((size_t)ny, 1);
	struct function f = {.args = {.in = {x}, .out = {y, which}}, .g = g, .y = y, .count = ny};
	struct ns_args a = {.in = {dy, which, dy2}, .out = {dx}};
	struct ns_plan *backward;

	for (i = 0; i < ny; i++)
		dy[i] = v->dy2 ? g[i] - dy2[i] : g[i];
	f.plan = plan_of(&op, &f.args);
	(void)loss(&f);
	op.kind = NS_OP_POOL_BACKWARD;
	backward = plan_of(&op, &a);
	assert_int_equal(ns_plan_run(backward, &a, ref.queue), NS_OK);
	check(&f, x, dx, nx, v->mode == NS_POOL_MAX ? "max dx" : "average dx");
	plan_end(backward, &a);
	plan_end(f.plan, &f.args);
	free(x);
	free(g);
	free(dy2);
	free(dy);
	free(y);
	free(dx);
	free(which);
}

static void test_pool(void **state)
{
	/* n, h, w, c, r, s, stride, pad */
	static const int z[][8] = {{2, 4, 4, 3, 2, 2, 2, 0}, {2, 7, 5, 2, 3, 3, 2, 1}, {1, 5, 6, 3, 3, 2, 1, 1}, {2, 4, 4, 3, 4, 4, 1, 0}};
	size_t i;
	int k;

	(void)state;
	for (i = 0; i < COUNT(z); i++)
		for (k = 0; k < 4; k++) {
			const int *s = z[i];
			struct ns_op_pool v = {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], k & 1, k >> 1, NS_F64, NS_F64};

			check_pool(&v);
		}
	printf("pool: ref: %d gradients\n", 4 * (int)COUNT(z));
}

/* --- linear layer --- */

static void test_linear(void **state)
{
	enum { N = 4, D = 5, K = 3 };
	struct ns_op op = {.kind = NS_OP_LINEAR, .u.linear = {N, D, K, NS_F64}};
	double *x = unit(N * D, 1), *w = unit(K * D, 2), *b = unit(K, 3), *g = unit(N * K, 4);
	double y[N * K], dx[N * D], dw[K * D], db[K];
	struct function f = {.args = {.in = {x, w, b}, .out = {y}}, .g = g, .y = y, .count = N * K};
	struct ns_args a = {.in = {x, w, g}, .out = {dx, dw, db}};
	struct ns_plan *backward;

	(void)state;
	f.plan = plan_of(&op, &f.args);
	op.kind = NS_OP_LINEAR_BACKWARD;
	backward = plan_of(&op, &a);
	assert_int_equal(ns_plan_run(backward, &a, ref.queue), NS_OK);
	check(&f, x, dx, N * D, "dx");
	check(&f, w, dw, K * D, "dw");
	check(&f, b, db, K, "db");
	plan_end(backward, &a);
	plan_end(f.plan, &f.args);
	free(x);
	free(w);
	free(b);
	free(g);
}

/* --- cross-entropy: dx = scale times the gradient of the loss that it returns --- */

static void check_xent(int soft, float smoothing, int weighted, float focal)
{
	static const float weights[5] = {0.5f, 2, 1, 0.25f, 3};
	enum { N = 6, K = 5 };
	static const int32_t label[N] = {0, 4, -1, 2, 2, -1};
	struct nst_tensor t = {.type = NST_F32, .count = N * K, .fill = NST_POSITIVE};
	struct ns_op op = {.kind = NS_OP_XENT, .u.xent = {N, K, soft, smoothing, 0.25f, NS_F64, weighted, focal}};
	double *x = unit(N * K, 1), dx[N * K], kept[N * K], y, hits, scale = 0.25;
	float *targets = nst_filled(&t, 9);
	struct function f = {.g = &scale, .y = &y, .count = 1};
	int i, j;

	for (i = 0; i < N; i++) { /* rows that sum to 1: the gradient of anything else is another one */
		float sum = 0;

		for (j = 0; j < K; j++)
			sum += targets[i * K + j];
		for (j = 0; j < K; j++)
			targets[i * K + j] /= sum;
	}
	f.args = (struct ns_args){.in = {x, label, weights}, .out = {dx, &y, &hits}};
	if (soft)
		f.args.in[NS_XENT_T] = targets;
	f.plan = plan_of(&op, &f.args);
	(void)loss(&f);
	memcpy(kept, dx, sizeof kept);
	check(&f, x, kept, N * K, soft ? "soft dx" : "hard dx");
	for (i = 0; !soft && i < N; i++)
		for (j = 0; label[i] < 0 && j < K; j++)
			assert_true(kept[i * K + j] == 0);
	plan_end(f.plan, &f.args);
	free(x);
	free(targets);
}

static void test_xent(void **state)
{
	int soft, smooth, weighted;

	(void)state;
	for (soft = 0; soft < 2; soft++)
		for (smooth = 0; smooth < 2; smooth++)
			for (weighted = 0; weighted < 2; weighted++)
				check_xent(soft, smooth ? 0.1f : 0, weighted, 0);
	for (weighted = 0; weighted < 2; weighted++) {
		check_xent(0, 0, weighted, 2);
		check_xent(0, 0, weighted, 0.5f);
	}
	printf("xent: ref: 12 gradients\n");
}

static int setup(void **state)
{
	(void)state;
	nst_rig_open(&ref, "ref");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nst_rig_close(&ref);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_xent),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
