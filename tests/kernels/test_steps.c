/* Ops over steps: texts by connectionist temporal classification, against every path written out and against finite differences. */
#include "tests/kernels/tensors.h"

/* --- every path --- */

/* Does the path say the text, repeats and blanks left out? */
static int says(const int *path, int64_t t, int blank, const int32_t *text, int64_t length)
{
	int64_t i, n = 0;

	for (i = 0; i < t; i++) {
		if (path[i] == blank || (i && path[i] == path[i - 1]))
			continue;
		if (n == length || text[n] != path[i])
			return 0;
		n++;
	}
	return n == length;
}

/* -log of the sum over all k^t paths that say the text; INFINITY: none does. */
static double by_paths(const struct ns_op_ctc *v, const float *z, const int32_t *text, int64_t length)
{
	double sum = 0, of_step, p;
	int path[8] = {0};
	int64_t t;
	int k;

	for (;;) {
		if (says(path, v->t, v->blank, text, length)) {
			for (p = 1, t = 0; t < v->t; t++) {
				for (of_step = 0, k = 0; k < v->k; k++)
					of_step += exp((double)z[t * v->k + k]);
				p *= exp((double)z[t * v->k + path[t]]) / of_step;
			}
			sum += p;
		}
		for (t = 0; t < v->t && ++path[t] == v->k; t++)
			path[t] = 0;
		if (t == v->t)
			return -log(sum);
	}
}

/* Do the largest of each step say it? */
static int is_read(const struct ns_op_ctc *v, const float *z, const int32_t *text, int64_t length)
{
	int path[8], k;
	int64_t t;

	for (t = 0; t < v->t; t++)
		for (path[t] = 0, k = 1; k < v->k; k++)
			if (z[t * v->k + k] > z[t * v->k + path[t]])
				path[t] = k;
	return says(path, v->t, v->blank, text, length);
}

static int64_t random_text(const struct ns_op_ctc *v, int32_t *text)
{
	int64_t n = among(0, v->most), i;

	for (i = 0; i < v->most; i++) {
		text[i] = i < n ? (int32_t)among(0, v->k - 1) : -1;
		if (text[i] == v->blank)
			text[i] = v->blank ? 0 : 1;
	}
	return n;
}

struct made {
	float dx[4 * 8 * 5], loss, hits;
};

/* The op on one backend; 0: there is none. */
static int run_ctc(const struct ns_backend *b, const struct ns_op *op, const float *z, const int32_t *text, struct made *y)
{
	const struct ns_op_ctc *v = &op->u.ctc;
	const size_t logits = sizeof *z * (size_t)(v->n * v->t * v->k), texts = sizeof *text * (size_t)(v->n * v->most);
	struct ns_args args = {0};
	struct ns_device *dev;
	struct ns_queue *queue;
	struct ns_plan *plan;
	int i;

	if (!b || b->open(&dev, 0) != NS_OK)
		return 0;
	assert_int_equal(b->queue_make(&queue, dev), NS_OK);
	assert_int_equal(ns_plan_make(&plan, dev, op), NS_OK);
	assert_int_equal(b->mem_make((void **)(uintptr_t)&args.in[NS_CTC_X], dev, logits), NS_OK);
	assert_int_equal(b->mem_make((void **)(uintptr_t)&args.in[NS_CTC_TEXT], dev, texts), NS_OK);
	assert_int_equal(b->mem_make(&args.out[NS_CTC_DX], dev, logits), NS_OK);
	assert_int_equal(b->mem_make(&args.out[NS_CTC_LOSS], dev, sizeof(float)), NS_OK);
	assert_int_equal(b->mem_make(&args.out[NS_CTC_HITS], dev, sizeof(float)), NS_OK);
	assert_int_equal(b->mem_make(&args.workspace, dev, plan->workspace_bytes), NS_OK);
	assert_int_equal(b->put(queue, (void *)(uintptr_t)args.in[NS_CTC_X], z, logits), NS_OK);
	assert_int_equal(b->put(queue, (void *)(uintptr_t)args.in[NS_CTC_TEXT], text, texts), NS_OK);
	assert_int_equal(ns_plan_run(plan, &args, queue), NS_OK);
	assert_int_equal(b->get(queue, y->dx, args.out[NS_CTC_DX], logits), NS_OK);
	assert_int_equal(b->get(queue, &y->loss, args.out[NS_CTC_LOSS], sizeof(float)), NS_OK);
	assert_int_equal(b->get(queue, &y->hits, args.out[NS_CTC_HITS], sizeof(float)), NS_OK);
	assert_int_equal(b->wait(queue), NS_OK);
	for (i = 0; i < 2; i++)
		b->mem_free(dev, (void *)(uintptr_t)args.in[i]);
	for (i = 0; i < 3; i++)
		b->mem_free(dev, args.out[i]);
	b->mem_free(dev, args.workspace);
	ns_plan_free(plan);
	b->queue_free(queue);
	b->close(dev);
	return 1;
}

static void test_ctc(void **state)
{
	const struct ns_backend *backends[3] = {&ns_backend_ref, ns_backend_find("cpu"), ns_backend_find("cuda")};
	int round, b, i, none = 0, read = 0;

	(void)state;
	for (round = 0; round < times(200); round++) {
		struct ns_op op = {.kind = NS_OP_CTC, .u.ctc = {.n = among(1, 4), .t = among(1, 6), .k = among(2, 4), .scale = 0.5f}};
		struct ns_op_ctc *v = &op.u.ctc;
		int32_t text[4 * 8];
		double wanted = 0;
		int hits = 0;
		struct made y, near;
		float *z;

		v->most = among(1, v->t);
		v->blank = (int)among(0, 1) ? 0 : (int)v->k - 1;
		z = random_floats(v->n * v->t * v->k, -2, 2);
		for (i = 0; i < v->n; i++) {
			int64_t n = random_text(v, text + i * v->most);
			double loss = by_paths(v, z + i * v->t * v->k, text + i * v->most, n);

			if (among(0, 9) == 0) { /* nobody knows */
				text[i * v->most] = -2;
				loss = INFINITY;
			}
			none += isinf(loss);
			wanted += isinf(loss) ? 0 : loss;
			hits += !isinf(loss) && is_read(v, z + i * v->t * v->k, text + i * v->most, n);
		}
		for (b = 0; b < 3; b++) {
			if (!run_ctc(backends[b], &op, z, text, &y))
				continue;
			ran_on_cuda += b == 2;
			if (!(fabs((double)y.loss - wanted) <= 1e-5 * (1 + wanted)))
				fail_msg("%s: the loss is %g, all paths give %g", backends[b]->name, (double)y.loss, wanted);
			assert_true(y.hits == (float)hits);
			read += b == 0 && y.hits > 0;
			for (i = 0; i < 6; i++) { /* what a small step changes */
				int at = (int)among(0, v->n * v->t * v->k - 1);
				float was = z[at], step = 0.01f;
				double up, down;

				z[at] = was + step;
				assert_true(run_ctc(&ns_backend_ref, &op, z, text, &near));
				up = (double)near.loss;
				z[at] = was - step;
				assert_true(run_ctc(&ns_backend_ref, &op, z, text, &near));
				down = (double)near.loss;
				z[at] = was;
				if (!(fabs((double)y.dx[at] - 0.5 * (up - down) / (2 * (double)step)) <= 2e-3))
					fail_msg("%s: the slope of logit %d is %g, a step gives %g", backends[b]->name, at, (double)y.dx[at],
						 0.5 * (up - down) / (2 * (double)step));
			}
		}
		free(z);
	}
	enough(none > 10 && read > 10);
}

/* Steps enough, symbols that are none, a blank that is none. */
static void test_ctc_check(void **state)
{
	struct ns_op op = {.kind = NS_OP_CTC, .u.ctc = {.n = 1, .t = 4, .k = 3, .most = 2, .blank = 0, .scale = 1}};
	const float z[12] = {0, 9, 0, 9, 0, 0, 0, 9, 0, 9, 0, 0};
	int32_t text[2] = {1, 1};
	struct made y;

	(void)state;
	assert_true(run_ctc(&ns_backend_ref, &op, z, text, &y));
	assert_true(y.hits == 1 && y.loss < 0.1f); /* the one way to say it, nearly surely */
	text[1] = 3;
	assert_true(run_ctc(&ns_backend_ref, &op, z, text, &y));
	assert_true(y.hits == 0 && y.loss == 0 && y.dx[0] == 0);
	op.u.ctc.t = op.u.ctc.most = 2;
	text[1] = 1; /* a blank has to stand between: three steps */
	assert_true(run_ctc(&ns_backend_ref, &op, z, text, &y));
	assert_true(y.hits == 0 && y.loss == 0);
	op.u.ctc.most = 3;
	assert_int_equal(ns_op_check(&op), NS_INVALID);
	op.u.ctc.most = 2;
	op.u.ctc.blank = 3;
	assert_int_equal(ns_op_check(&op), NS_INVALID);
}

/* --- recurrent layers --- */

enum { OUTS = 6 };

struct layer {
	struct ns_op op;
	float *in[11];
	int64_t count[11], made[OUTS]; /* elements of inputs, and of gradients: of x, w, r, b, h0, c0 */
};

/* Which input each gradient is of. */
static const int by[OUTS] = {NS_RECURRENT_X, NS_RECURRENT_W, NS_RECURRENT_R, NS_RECURRENT_B, NS_RECURRENT_H0, NS_RECURRENT_C0};

static void random_layer(struct layer *l, int plain)
{
	static const int usual[3][3] = {{NS_PW_TANH}, {NS_PW_SIGMOID, NS_PW_TANH}, {NS_PW_SIGMOID, NS_PW_TANH, NS_PW_TANH}};
	struct ns_op_recurrent *v = &l->op.u.recurrent;
	int64_t gates, k;

	*l = (struct layer){.op.kind = NS_OP_RECURRENT_BACK};
	*v = (struct ns_op_recurrent){.how = (int)among(0, 2),
				      .reverse = (int)among(0, 1),
				      .linear_before_reset = (int)among(0, 1),
				      .couple = plain ? 0 : (int)among(0, 1),
				      .t = among(1, 5),
				      .n = among(1, 3),
				      .i = among(1, 4),
				      .h = among(1, plain ? 20 : 4)};
	memcpy(v->code, usual[v->how], sizeof v->code);
	if (!plain && v->how == NS_RECURRENT_LSTM && among(0, 1)) {
		v->code[1] = NS_PW_LEAKY;
		v->alpha[1] = 0.3;
	}
	v->clip = plain || among(0, 2) ? 0 : 0.8;
	gates = v->how == NS_RECURRENT_RNN ? 1 : v->how == NS_RECURRENT_GRU ? 3 : 4;
	l->count[NS_RECURRENT_X] = v->t * v->n * v->i;
	l->count[NS_RECURRENT_W] = gates * v->h * v->i;
	l->count[NS_RECURRENT_R] = gates * v->h * v->h;
	l->count[NS_RECURRENT_B] = 2 * gates * v->h;
	l->count[NS_RECURRENT_LENGTHS] = v->n;
	l->count[NS_RECURRENT_H0] = l->count[NS_RECURRENT_C0] = l->count[NS_RECURRENT_DYH] = l->count[NS_RECURRENT_DYC] = v->n * v->h;
	l->count[NS_RECURRENT_DY] = v->t * v->n * v->h;
	for (k = 0; k < 11; k++) {
		int has =
			k <= NS_RECURRENT_R || k == NS_RECURRENT_DY || (k != NS_RECURRENT_P && among(0, 1) && !(plain && k == NS_RECURRENT_LENGTHS));

		if (k < 8)
			v->has[k] = has;
		l->in[k] = has ? random_floats(l->count[k], -1, 1) : NULL;
		if (has && k == NS_RECURRENT_LENGTHS) {
			int64_t n;

			for (n = 0; n < v->n; n++)
				((int32_t *)(void *)l->in[k])[n] = (int32_t)among(0, v->t);
		}
	}
	for (k = 0; k < OUTS; k++)
		l->made[k] = l->count[by[k]];
}

static void run_layer(const struct ns_backend *b, const struct layer *l, enum ns_op_kind kind, float *const *out, const int64_t *made, int outs,
		      char who[40])
{
	struct ns_op op = l->op;
	struct ns_args args = {0};
	struct ns_device *dev;
	struct ns_queue *queue;
	struct ns_plan *plan;
	int k;

	op.kind = kind;
	assert_int_equal(b->open(&dev, 0), NS_OK);
	assert_int_equal(b->queue_make(&queue, dev), NS_OK);
	assert_int_equal(ns_plan_make(&plan, dev, &op), NS_OK);
	snprintf(who, 40, "%s", plan->impl->name);
	for (k = 0; k < 11; k++)
		args.in[k] = l->in[k];
	for (k = 0; k < outs; k++)
		args.out[k] = made[k] ? out[k] : NULL;
	assert_int_equal(b->mem_make(&args.workspace, dev, plan->workspace_bytes + 1), NS_OK);
	memset(args.workspace, 0xff, plan->workspace_bytes);
	assert_int_equal(ns_plan_run(plan, &args, queue), NS_OK);
	b->mem_free(dev, args.workspace);
	ns_plan_free(plan);
	b->queue_free(queue);
	b->close(dev);
}

/* What is carried back is the slope of the sum of outputs times what comes back to them. */
static double carried(const struct layer *l)
{
	const struct ns_op_recurrent *v = &l->op.u.recurrent;
	const int64_t made[3] = {v->t * v->n * v->h, v->n * v->h, v->n * v->h};
	float *y[3] = {malloc(sizeof(float) * (size_t)made[0]), malloc(sizeof(float) * (size_t)made[1]), malloc(sizeof(float) * (size_t)made[1])};
	double sum = 0;
	char who[40];
	int64_t i;
	int k;

	run_layer(&ns_backend_ref, l, NS_OP_RECURRENT, y, made, 3, who);
	for (k = 0; k < 3; k++) {
		for (i = 0; l->in[NS_RECURRENT_DY + k] && i < made[k]; i++)
			sum += (double)y[k][i] * (double)l->in[NS_RECURRENT_DY + k][i];
		free(y[k]);
	}
	return sum;
}

static void test_recurrent_back(void **state)
{
	int round, k, j, checked = 0, edges = 0, over = 0;

	(void)state;
	for (round = 0; round < times(150); round++) {
		struct layer l;
		float *out[OUTS];
		char who[40];

		random_layer(&l, 0);
		if (l.op.u.recurrent.how != NS_RECURRENT_LSTM) { /* these have no cells: nothing comes back to them */
			free(l.in[NS_RECURRENT_DYC]);
			l.in[NS_RECURRENT_DYC] = NULL;
		}
		for (k = 0; k < OUTS; k++)
			out[k] = malloc(sizeof(float) * (size_t)l.made[k]);
		run_layer(&ns_backend_ref, &l, NS_OP_RECURRENT_BACK, out, l.made, OUTS, who);
		for (k = 0; k < OUTS; k++)
			for (j = 0; j < 3 && l.in[by[k]]; j++) {
				int64_t at = among(0, l.made[k] - 1);
				float was = l.in[by[k]][at], step = 4e-3f;
				double up, down, wanted;

				l.in[by[k]][at] = was + step;
				up = carried(&l);
				l.in[by[k]][at] = was - step;
				down = carried(&l);
				l.in[by[k]][at] = was;
				wanted = (up - down) / (2 * (double)step);
				if (l.op.u.recurrent.clip > 0 || l.op.u.recurrent.code[1] == NS_PW_LEAKY) { /* a step may go over an edge */
					edges++;
					over += !(fabs((double)out[k][at] - wanted) <= 3e-3);
				} else if (!(fabs((double)out[k][at] - wanted) <= 3e-3))
					fail_msg("round %d: gradient %d, element %lld is %g, a step gives %g", round, k, (long long)at,
						 (double)out[k][at], wanted);
				else
					checked++;
			}
		for (k = 0; k < OUTS; k++)
			free(out[k]);
		for (k = 0; k < 11; k++)
			free(l.in[k]);
	}
	enough(checked > 1000 && edges > 200);
	assert_true(20 * over < edges); /* few steps do */
}

/* The CPU's, by products of matrices, has ref's numbers; gradients that nobody asks for are not written. */
static void test_recurrent_back_cpu(void **state)
{
	int round, k, many = 0;
	int64_t i;

	(void)state;
	for (round = 0; ns_backend_find("cpu") && round < times(150); round++) {
		struct layer l;
		float *out[2][OUTS];
		char who[40];

		random_layer(&l, 1);
		for (k = 0; k < OUTS; k++) {
			out[0][k] = malloc(sizeof(float) * (size_t)l.made[k]);
			out[1][k] = malloc(sizeof(float) * (size_t)l.made[k]);
		}
		if (round % 3 == 0)
			l.made[round % OUTS] = 0;
		run_layer(&ns_backend_ref, &l, NS_OP_RECURRENT_BACK, out[0], l.made, OUTS, who);
		run_layer(ns_backend_find("cpu"), &l, NS_OP_RECURRENT_BACK, out[1], l.made, OUTS, who);
		many += !strcmp(who, "recurrent_back/gemm");
		for (k = 0; k < OUTS; k++)
			for (i = 0; i < l.made[k] && (k != 5 || l.op.u.recurrent.how == NS_RECURRENT_LSTM); i++)
				if (!(fabsf(out[0][k][i] - out[1][k][i]) <= 1e-4f * (1 + fabsf(out[0][k][i]))))
					fail_msg("round %d: gradient %d, element %lld is %g, ref has %g", round, k, (long long)i,
						 (double)out[1][k][i], (double)out[0][k][i]);
		for (k = 0; k < OUTS; k++) {
			free(out[0][k]);
			free(out[1][k]);
		}
		for (k = 0; k < 11; k++)
			free(l.in[k]);
	}
	enough(many > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_ctc), cmocka_unit_test(test_ctc_check), cmocka_unit_test(test_recurrent_back),
					   cmocka_unit_test(test_recurrent_back_cpu)};

	return told("steps", cmocka_run_group_tests(tests, NULL, NULL));
}
