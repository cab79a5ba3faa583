/* tests/kernels/test_conv.c - convolutions in all flags and odd sizes, and what lies between layouts. */
#include "tests/kernels/cases.h"

#include <math.h>

#define B     NS_CONV_BIAS
#define NORM  NS_CONV_NORM
#define RELU  NS_CONV_RELU
#define RES   NS_CONV_RESIDUAL
#define NO_DX NS_CONV_NO_DX
#define DY2   NS_CONV_DY2

/* n, h, w, c, k, r, s, stride, pad */
static const int shapes[][9] = {
	{1, 1, 1, 1, 1, 1, 1, 1, 0},	{2, 5, 7, 3, 5, 3, 3, 1, 1},   {3, 8, 8, 16, 16, 3, 3, 1, 1},  {2, 9, 7, 17, 33, 3, 3, 2, 1},
	{1, 7, 7, 33, 31, 1, 1, 1, 0},	{2, 8, 6, 31, 17, 1, 1, 2, 0}, {1, 4, 4, 257, 16, 1, 1, 1, 0}, {1, 3, 3, 16, 257, 3, 3, 1, 1},
	{1, 15, 13, 3, 33, 7, 7, 2, 3}, {2, 6, 33, 1, 31, 3, 3, 1, 0}, {5, 9, 9, 16, 48, 1, 1, 2, 0},  {1, 11, 5, 4, 7, 5, 3, 2, 2},
	{5, 4, 4, 16, 64, 3, 3, 1, 1},	{3, 1, 1, 65, 10, 1, 1, 1, 0}, {1, 6, 6, 8, 24, 2, 2, 2, 0},   {1, 31, 33, 3, 32, 3, 3, 2, 1},
};

static const unsigned infer_flags[] = {0, B, RELU, B | RELU, B | RES, B | RELU | RES, RES};
static const unsigned train_flags[] = {0, B, RELU | B, NORM, NORM | RELU, NORM | RES, NORM | RELU | RES, RES | RELU};
static const unsigned backward_flags[] = {
	0, B, NO_DX, B | RELU | DY2, NORM, NORM | RELU, NORM | RELU | DY2, NORM | RES, NORM | RELU | RES | DY2, NORM | RELU | NO_DX, RES | RELU,
};
static const enum ns_dtype dtypes[] = {NS_F32, NS_BF16};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct ns_op_conv conv_of(const int *s, unsigned flags, enum ns_dtype dtype)
{
	struct ns_op_conv v = {s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], flags, 1e-5f, dtype};

	return v;
}

static int64_t x_count(const struct ns_op_conv *v)
{
	return (int64_t)v->n * v->h * v->w * v->c;
}

static int64_t w_count(const struct ns_op_conv *v)
{
	return (int64_t)v->k * v->r * v->s * v->c;
}

static int64_t rows(const struct ns_op_conv *v)
{
	return (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v);
}

/* f32: sums of `terms` products in another order, as a random walk of half units in the last place; bf16: two
 * roundings of an output (2^-8 each), weights rounded as well (their errors average out) */
static double tolerance(const struct ns_op_conv *v, double terms)
{
	return v->dtype == NS_BF16 ? 0.016 : 4e-7 * (4 + sqrt(terms));
}

static void start(struct nst_case *c, enum ns_op_kind kind, const struct ns_op_conv *v)
{
	memset(c, 0, sizeof *c);
	c->op.kind = kind;
	c->op.u.conv = *v;
	snprintf(c->label, sizeof c->label, "%s %dx%dx%dx%d k %d %dx%d/%d pad %d flags %u %s", ns_op_name(kind), v->n, v->h, v->w, v->c, v->k, v->r,
		 v->s, v->stride, v->pad, v->flags, v->dtype == NS_BF16 ? "bf16" : "f32");
}

static void forward_inputs(struct nst_case *c, const struct ns_op_conv *v)
{
	nst_in(c, NS_CONV_X, nst_of(v->dtype), x_count(v), NST_UNIT, 0);
	nst_in(c, NS_CONV_W, NST_F32, w_count(v), NST_UNIT, 0);
	if (v->flags & B)
		nst_in(c, NS_CONV_B, NST_F32, v->k, NST_UNIT, 0);
	if (v->flags & RES)
		nst_in(c, NS_CONV_RES, nst_of(v->dtype), rows(v) * v->k, NST_UNIT, 0);
}

static void check_infer(const struct ns_op_conv *v, struct nst_tally *tally)
{
	struct nst_case c;

	start(&c, NS_OP_CONV, v);
	forward_inputs(&c, v);
	nst_out(&c, NS_CONV_Y, nst_of(v->dtype), rows(v) * v->k, tolerance(v, v->r * v->s * v->c));
	nst_check(&c, tally);
}

static void check_train(const struct ns_op_conv *v, struct nst_tally *tally)
{
	double tol = tolerance(v, v->r * v->s * v->c);
	struct nst_case c;

	/* one row a channel: (z - mean) / sqrt(eps) is nothing but rounding error times 316 */
	if (v->flags & NORM && rows(v) < 2)
		return;
	start(&c, NS_OP_CONV_TRAIN, v);
	forward_inputs(&c, v);
	nst_out(&c, NS_CONV_Y, nst_of(v->dtype), rows(v) * v->k, tol * (v->flags & NORM ? 8 : 1));
	if (v->flags & NORM) {
		nst_in(&c, NS_CONV_GAMMA, NST_F32, v->k, NST_POSITIVE, 0);
		nst_in(&c, NS_CONV_BETA, NST_F32, v->k, NST_UNIT, 0);
		nst_out(&c, NS_CONV_Z, nst_of(v->dtype), rows(v) * v->k, tol);
		nst_out(&c, NS_CONV_MEAN, NST_F32, v->k, tol);
		nst_out(&c, NS_CONV_INVSTD, NST_F32, v->k, tol * 4);
		nst_out(&c, NS_CONV_SUM_MEAN, NST_F32, v->k, tol);
		nst_out(&c, NS_CONV_SUM_VAR, NST_F32, v->k, tol * 4);
	}
	nst_check(&c, tally);
}

/* a backward op is a function of its inputs, whatever they are: nothing is run forward first */
static void backward_inputs(struct nst_case *c, const struct ns_op_conv *v)
{
	enum nst_type t = nst_of(v->dtype);

	nst_in(c, NS_CONVB_X, t, x_count(v), NST_UNIT, 0);
	nst_in(c, NS_CONVB_W, NST_F32, w_count(v), NST_UNIT, 0);
	nst_in(c, NS_CONVB_DY, t, rows(v) * v->k, NST_UNIT, 0);
	if (v->flags & DY2)
		nst_in(c, NS_CONVB_DY2, t, rows(v) * v->k, NST_UNIT, 0);
	if (v->flags & RELU)
		nst_in(c, NS_CONVB_Y, t, rows(v) * v->k, NST_COARSE, 0); /* zeros among them */
	if (v->flags & NORM) {
		nst_in(c, NS_CONVB_GAMMA, NST_F32, v->k, NST_POSITIVE, 0);
		nst_in(c, NS_CONVB_Z, t, rows(v) * v->k, NST_UNIT, 0);
		nst_in(c, NS_CONVB_MEAN, NST_F32, v->k, NST_UNIT, 0);
		nst_in(c, NS_CONVB_INVSTD, NST_F32, v->k, NST_POSITIVE, 0);
	}
}

static void check_backward(const struct ns_op_conv *v, struct nst_tally *tally)
{
	enum nst_type t = nst_of(v->dtype);
	double terms = (double)rows(v), tol = tolerance(v, terms);
	struct nst_case c;

	start(&c, NS_OP_CONV_BACKWARD, v);
	backward_inputs(&c, v);
	if (!(v->flags & NO_DX))
		nst_out(&c, NS_CONVB_DX, t, x_count(v), tolerance(v, v->r * v->s * v->k) + tol);
	nst_out(&c, NS_CONVB_DW, NST_F32, w_count(v), 2 * tol);
	if (v->flags & B)
		nst_out(&c, NS_CONVB_DB, NST_F32, v->k, tol);
	if (v->flags & NORM) {
		nst_out(&c, NS_CONVB_DGAMMA, NST_F32, v->k, tol);
		nst_out(&c, NS_CONVB_DBETA, NST_F32, v->k, tol);
	}
	if (v->flags & RES)
		nst_out(&c, NS_CONVB_DRES, t, rows(v) * v->k, v->dtype == NS_BF16 ? 0.004 : 1e-7);
	nst_check(&c, tally);
}

static void check_all(enum ns_op_kind kind, const unsigned *flags, size_t nflags, void (*check)(const struct ns_op_conv *, struct nst_tally *))
{
	struct nst_tally tally = {0};
	size_t s, f, d;

	for (s = 0; s < COUNT(shapes); s++)
		for (f = 0; f < nflags; f++)
			for (d = 0; d < COUNT(dtypes); d++) {
				struct ns_op_conv v = conv_of(shapes[s], flags[f], dtypes[d]);

				if (nst_in_pairs(s, f, d, COUNT(dtypes)))
					check(&v, &tally);
			}
	nst_report(&tally, kind);
}

static void test_conv(void **state)
{
	(void)state;
	check_all(NS_OP_CONV, infer_flags, COUNT(infer_flags), check_infer);
}

static void test_conv_train(void **state)
{
	(void)state;
	check_all(NS_OP_CONV_TRAIN, train_flags, COUNT(train_flags), check_train);
}

static void test_conv_backward(void **state)
{
	(void)state;
	check_all(NS_OP_CONV_BACKWARD, backward_flags, COUNT(backward_flags), check_backward);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conv),
		cmocka_unit_test(test_conv_train),
		cmocka_unit_test(test_conv_backward),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
