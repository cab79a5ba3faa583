/* tests/kernels/test_dense.c - linear layer, cross-entropy, prediction head, optimisers. */
#include "tests/kernels/cases.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* n, d, k */
static const int shapes[][3] = {{1, 1, 1}, {1, 257, 10}, {3, 31, 33}, {33, 17, 5}, {65, 16, 16}, {2, 33, 257}};

/* f32 sums of `terms` products in another order */
static double tolerance(double terms)
{
	return 2e-7 * (4 + sqrt(terms));
}

static void test_linear(void **state)
{
	struct nst_tally forward = {0}, backward = {0};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(shapes); i++) {
		int n = shapes[i][0], d = shapes[i][1], k = shapes[i][2];
		struct nst_case c = {.op = {.kind = NS_OP_LINEAR, .u.linear = {n, d, k, NS_F32}}}, b = c;

		snprintf(c.label, sizeof c.label, "linear %dx%d to %d", n, d, k);
		nst_in(&c, NS_LINEAR_X, NST_F32, n * d, NST_UNIT, 0);
		nst_in(&c, NS_LINEAR_W, NST_F32, k * d, NST_UNIT, 0);
		nst_in(&c, NS_LINEAR_B, NST_F32, k, NST_UNIT, 0);
		nst_out(&c, NS_LINEAR_Y, NST_F32, n * k, tolerance(d));
		nst_check(&c, &forward);
		b.op.kind = NS_OP_LINEAR_BACKWARD;
		snprintf(b.label, sizeof b.label, "linear_backward %dx%d to %d", n, d, k);
		nst_in(&b, NS_LINEARB_X, NST_F32, n * d, NST_UNIT, 0);
		nst_in(&b, NS_LINEARB_W, NST_F32, k * d, NST_UNIT, 0);
		nst_in(&b, NS_LINEARB_DY, NST_F32, n * k, NST_UNIT, 0);
		nst_out(&b, NS_LINEARB_DX, NST_F32, n * d, tolerance(k));
		nst_out(&b, NS_LINEARB_DW, NST_F32, k * d, tolerance(n));
		nst_out(&b, NS_LINEARB_DB, NST_F32, k, tolerance(n));
		nst_check(&b, &backward);
	}
	nst_report(&forward, NS_OP_LINEAR);
	nst_report(&backward, NS_OP_LINEAR_BACKWARD);
}

static void check_xent(int n, int k, int soft, float smoothing, int weighted, float focal, enum ns_dtype dtype, struct nst_tally *tally)
{
	struct nst_case c = {.op = {.kind = NS_OP_XENT, .u.xent = {n, k, soft, smoothing, 1.0f / 3, dtype, weighted, focal}}};

	snprintf(c.label, sizeof c.label, "xent %dx%d soft %d smoothing %g weighted %d focal %g type %d", n, k, soft, (double)smoothing, weighted,
		 (double)focal, (int)dtype);
	/* ties for the largest logit and for the largest target are common here */
	nst_in(&c, NS_XENT_X, nst_of(dtype), n * k, NST_COARSE, 0);
	if (soft)
		nst_in(&c, NS_XENT_T, NST_F32, n * k, NST_POSITIVE, 0);
	else
		nst_in(&c, NS_XENT_T, NST_I32, n, NST_LABEL, k);
	if (weighted)
		nst_in(&c, NS_XENT_WEIGHTS, NST_F32, k, NST_POSITIVE, 0);
	nst_out(&c, NS_XENT_DX, nst_of(dtype), n * k, dtype == NS_BF16 ? 0.008 : 1e-6);
	nst_out(&c, NS_XENT_LOSS, NST_F32, 1, 2e-6);
	nst_out(&c, NS_XENT_HITS, NST_F32, 1, NST_EXACT);
	nst_check(&c, tally);
}

static void test_xent(void **state)
{
	struct nst_tally tally = {0};
	size_t i;
	int soft, smooth;

	(void)state;
	for (i = 0; i < COUNT(shapes); i++)
		for (soft = 0; soft < 2; soft++)
			for (smooth = 0; smooth < 2; smooth++) {
				check_xent(shapes[i][0], shapes[i][1], soft, smooth ? 0.1f : 0.0f, 0, 0, NS_F32, &tally);
				check_xent(shapes[i][0], shapes[i][1], soft, smooth ? 0.1f : 0.0f, 1, 0, NS_F32, &tally);
				if (!soft)
					check_xent(shapes[i][0], shapes[i][1], 0, 0, smooth, 2, NS_F32, &tally);
			}
	nst_report(&tally, NS_OP_XENT);
}

/* loss and hits are f32 whatever the logits are: a sum of 1000 hits does not fit bf16 */
static void test_xent_bf16_counts(void **state)
{
	enum { N = 1000, K = 3 };
	struct nst_case c = {.op = {.kind = NS_OP_XENT, .u.xent = {.n = N, .k = K, .scale = 1, .dtype = NS_BF16}}};
	void *out[NS_OP_MAX_OUT];
	float x[N * K] = {0}, hits, loss;
	uint16_t logits[N * K];
	int32_t label[N] = {0};
	int i;

	(void)state;
	for (i = 0; i < N * K; i++)
		nst_set(logits, NST_BF16, i, (double)x[i]);
	snprintf(c.label, sizeof c.label, "xent bf16, %d hits", N);
	nst_given(&c, NS_XENT_X, NST_BF16, N * K, logits);
	nst_given(&c, NS_XENT_T, NST_I32, N, label);
	nst_out(&c, NS_XENT_DX, NST_BF16, N * K, 0);
	nst_out(&c, NS_XENT_LOSS, NST_F32, 1, 0);
	nst_out(&c, NS_XENT_HITS, NST_F32, 1, 0);
	nst_run_ref(&c, out);
	memcpy(&hits, out[NS_XENT_HITS], sizeof hits);
	memcpy(&loss, out[NS_XENT_LOSS], sizeof loss);
	nst_outputs_free(out);
	assert_true(hits == 1000.0f);
	assert_true(fabs((double)loss - 1000 * log(3)) < 1e-3);
}

static void test_head(void **state)
{
	static const float temperature[] = {1, 0.5f, 3};
	struct nst_tally tally = {0};
	size_t i, t;

	(void)state;
	for (i = 0; i < COUNT(shapes); i++)
		for (t = 0; t < COUNT(temperature); t++) {
			int n = shapes[i][0], k = shapes[i][1];
			struct nst_case c = {.op = {.kind = NS_OP_HEAD, .u.head = {n, k, temperature[t]}}};

			snprintf(c.label, sizeof c.label, "head %dx%d temperature %g", n, k, (double)temperature[t]);
			nst_in(&c, NS_HEAD_X, NST_F32, n * k, t ? NST_UNIT : NST_COARSE, 0);
			nst_out(&c, NS_HEAD_PROB, NST_F32, n * k, 1e-6);
			nst_out(&c, NS_HEAD_PRED, NST_I32, n, NST_EXACT);
			nst_out(&c, NS_HEAD_ENTROPY, NST_F32, n, 1e-6);
			/* the difference of two probabilities: half a unit of 1 each, however small it is */
			nst_out(&c, NS_HEAD_MARGIN, NST_F32, n, 1.2e-7);
			c.out[NS_HEAD_MARGIN].scale = 1;
			nst_check(&c, &tally);
		}
	nst_report(&tally, NS_OP_HEAD);
}

/* two classes that tie have no margin at all, and the first of them is predicted */
static void test_head_tie(void **state)
{
	static const char *const impls[] = {"ref", "cpu", "cuda"};
	static const float x[] = {-1.25f, 0.37f, 0.1f, 0.37f, 0.2f, 0.37f};
	struct nst_case c = {.label = "head with ties", .op = {.kind = NS_OP_HEAD, .u.head = {2, 3, 0.9f}}};
	void *out[NS_OP_MAX_OUT];
	struct nst_rig rig;
	char name[16];
	size_t i;

	(void)state;
	nst_given(&c, NS_HEAD_X, NST_F32, 6, x);
	nst_out(&c, NS_HEAD_PROB, NST_F32, 6, 0);
	nst_out(&c, NS_HEAD_PRED, NST_I32, 2, 0);
	nst_out(&c, NS_HEAD_ENTROPY, NST_F32, 2, 0);
	nst_out(&c, NS_HEAD_MARGIN, NST_F32, 2, 0);
	for (i = 0; i < COUNT(impls); i++) {
		if (!nst_wanted(impls[i]))
			continue;
		nst_rig_open(&rig, impls[i]);
		snprintf(name, sizeof name, "head/%s", impls[i]);
		assert_int_equal(nst_run(&rig, &c, name, out), NS_OK);
		assert_int_equal(((const int32_t *)out[NS_HEAD_PRED])[0], 1);
		assert_int_equal(((const int32_t *)out[NS_HEAD_PRED])[1], 0);
		assert_true(((const float *)out[NS_HEAD_MARGIN])[1] == 0);
		nst_outputs_free(out);
		nst_rig_close(&rig);
	}
}

/* --- flat arrays --- */

static const int lengths[] = {1, 7, 31, 33, 257, 4095, 4096, 4097, 3 * 4096 + 5};

static void test_norm2(void **state)
{
	struct nst_tally tally = {0};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++) {
		struct nst_case c = {.op = {.kind = NS_OP_NORM2, .u.norm2 = {lengths[i]}}};

		snprintf(c.label, sizeof c.label, "norm2 %d", lengths[i]);
		nst_in(&c, NS_NORM2_X, NST_F32, lengths[i], NST_UNIT, 0);
		nst_out(&c, NS_NORM2_Y, NST_F64, 1, 1e-14); /* doubles in another order within a block */
		nst_check(&c, &tally);
	}
	nst_report(&tally, NS_OP_NORM2);
}

static void check_optim(enum ns_op_kind kind, struct ns_op_optim o, struct nst_tally *tally)
{
	/* learning rate, c1, c2, and the two of the moving average */
	static const float hyper[NS_HYPER_COUNT] = {0.1f, 0.19f, 0.002f, 0.9f, 0.1f};
	static const double norm2 = 12.25;
	struct nst_case c = {.op = {.kind = kind, .u.optim = o}};

	snprintf(c.label, sizeof c.label, "%s %lld, %lld with decay, clip %g, nesterov %d", ns_op_name(kind), (long long)o.n, (long long)o.n_decay,
		 (double)o.clip, o.nesterov);
	nst_in(&c, NS_OPTIM_GRAD, NST_F32, o.n, NST_UNIT, 0);
	nst_given(&c, NS_OPTIM_HYPER, NST_F32, NS_HYPER_COUNT, hyper);
	if (o.clip > 0)
		nst_given(&c, NS_OPTIM_NORM2, NST_F64, 1, &norm2);
	/* element by element, the same formula: the same bits */
	nst_state(&c, NS_OPTIM_W, NST_F32, o.n, NST_UNIT, NST_EXACT);
	nst_state(&c, NS_OPTIM_M, NST_F32, o.n, NST_UNIT, NST_EXACT);
	if (kind == NS_OP_ADAMW)
		nst_state(&c, NS_OPTIM_V, NST_F32, o.n, NST_POSITIVE, NST_EXACT);
	nst_check(&c, tally);
}

static void test_optimisers(void **state)
{
	struct nst_tally sgd = {0}, adamw = {0};
	size_t i;
	int k;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++)
		for (k = 0; k < 12; k++) {
			int64_t n = lengths[i], decay = k / 4 == 0 ? 0 : k / 4 == 1 ? n / 2 : n;
			struct ns_op_optim o = {n, decay, 0.9f, 0.9f, 0.999f, 1e-8f, 0.05f, k & 1 ? 2.0f : 0.0f, k >> 1 & 1};

			check_optim(NS_OP_SGD, o, &sgd);
			check_optim(NS_OP_ADAMW, o, &adamw);
		}
	nst_report(&sgd, NS_OP_SGD);
	nst_report(&adamw, NS_OP_ADAMW);
}

static void test_ema(void **state)
{
	static const float hyper[NS_HYPER_COUNT] = {0, 0, 0, 0.9f, 0.1f};
	struct nst_tally tally = {0};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(lengths); i++) {
		struct nst_case c = {.op = {.kind = NS_OP_EMA, .u.ema = {lengths[i]}}};

		snprintf(c.label, sizeof c.label, "ema %d", lengths[i]);
		nst_in(&c, NS_EMA_X, NST_F32, lengths[i], NST_UNIT, 0);
		nst_given(&c, NS_EMA_HYPER, NST_F32, NS_HYPER_COUNT, hyper);
		nst_state(&c, NS_EMA_Y, NST_F32, lengths[i], NST_UNIT, NST_EXACT);
		nst_check(&c, &tally);
	}
	nst_report(&tally, NS_OP_EMA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linear),	 cmocka_unit_test(test_xent),  cmocka_unit_test(test_xent_bf16_counts), cmocka_unit_test(test_head),
		cmocka_unit_test(test_head_tie), cmocka_unit_test(test_norm2), cmocka_unit_test(test_optimisers),	cmocka_unit_test(test_ema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
