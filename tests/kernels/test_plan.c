/* tests/kernels/test_plan.c - who is asked to plan an op: best first, declines, NS_FORCE; and by how many threads it is run. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <omp.h>
#include <pthread.h>

#include "tests/kernels/cases.h"

/* --- a backend of three implementations, of which the best takes only one image at a time --- */

static int asked; /* one bit an implementation; the test that sets it reads it */

static enum ns_status nothing(const struct ns_plan *plan, const struct ns_args *args, struct ns_queue *queue)
{
	(void)plan;
	(void)args;
	(void)queue;
	return NS_OK;
}

static enum ns_status make_best(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	asked |= 1;
	return op->u.stats.n == 1 ? ns_plain_plan_make(plan, op, 0, nothing) : NS_DECLINED;
}

static enum ns_status make_good(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	asked |= 2;
	if (op->u.stats.n == 7)
		return ns_fail(NS_NO_MEMORY, "no memory for seven images");
	return op->u.stats.n <= 3 ? ns_plain_plan_make(plan, op, 0, nothing) : NS_DECLINED;
}

static enum ns_status make_other(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	asked |= 4;
	return ns_plain_plan_make(plan, op, 0, nothing);
}

static const struct ns_impl best = {"stats/best", NS_OP_STATS, make_best};
static const struct ns_impl good = {"stats/good", NS_OP_STATS, make_good};
static const struct ns_impl conv = {"conv/other", NS_OP_CONV, make_other};
static const struct ns_impl *const impls[] = {&best, &conv, &good, NULL};
static const struct ns_backend toy = {.name = "toy", .impls = impls};

/* the name of the implementation that took it; NULL: the status is in *status */
static const char *taken(struct ns_device *dev, enum ns_op_kind kind, int images, enum ns_status *status)
{
	struct ns_op op = {.kind = kind, .u.stats = {images, 1, 1, 1}};
	static const struct ns_op_ks ks = {1, 1, 1};
	struct ns_plan *plan = NULL;
	const char *name = NULL;

	if (kind == NS_OP_CONV)
		op.u.conv = (struct ns_op_conv){images, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, NS_F32};
	if (kind == NS_OP_KS)
		op.u.ks = ks;
	asked = 0;
	*status = ns_plan_make(&plan, dev, &op);
	if (*status == NS_OK)
		name = plan->impl->name;
	else
		assert_null(plan);
	ns_plan_free(plan);
	return name;
}

static void test_best_first(void **state)
{
	struct ns_device dev = {.backend = &toy};
	enum ns_status status;

	(void)state;
	assert_string_equal(taken(&dev, NS_OP_STATS, 1, &status), "stats/best");
	assert_int_equal(asked, 1);
	assert_string_equal(taken(&dev, NS_OP_STATS, 3, &status), "stats/good");
	assert_int_equal(asked, 3);
	assert_null(taken(&dev, NS_OP_STATS, 5, &status));
	assert_int_equal(status, NS_NO_DEVICE);
	assert_non_null(strstr(ns_message(), "stats"));
	/* an error is not a decline */
	assert_null(taken(&dev, NS_OP_STATS, 7, &status));
	assert_int_equal(status, NS_NO_MEMORY);
	assert_null(taken(&dev, NS_OP_KS, 1, &status));
	assert_int_equal(status, NS_NO_DEVICE);
}

static void test_force(void **state)
{
	struct ns_device dev = {.backend = &toy, .force = "conv/other,stats/good"};
	enum ns_status status;

	(void)state;
	assert_int_equal(ns_force_check(&dev), NS_OK);
	assert_string_equal(taken(&dev, NS_OP_STATS, 1, &status), "stats/good");
	assert_int_equal(asked, 2);
	dev.force = "stats/best";
	/* forced and declined: nobody else is asked, and the message names it */
	assert_null(taken(&dev, NS_OP_STATS, 3, &status));
	assert_int_equal(status, NS_NO_DEVICE);
	assert_int_equal(asked, 1);
	assert_non_null(strstr(ns_message(), "stats/best"));
	/* what is not spoken of is free */
	assert_string_equal(taken(&dev, NS_OP_CONV, 3, &status), "conv/other");
	dev.force = "";
	assert_int_equal(ns_force_check(&dev), NS_OK);
	assert_string_equal(taken(&dev, NS_OP_STATS, 1, &status), "stats/best");
}

static void test_force_unknown(void **state)
{
	static const char *const wrong[] = {"stats/bes", "stats/best2", "stats", "conv/other,stats/none", "/best", "stats/best "};
	struct ns_device dev = {.backend = &toy};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		dev.force = wrong[i];
		assert_int_equal(ns_force_check(&dev), NS_CONFIG);
		assert_non_null(strstr(ns_message(), "toy"));
	}
	dev.force = "conv/other,stats/none";
	assert_int_equal(ns_force_check(&dev), NS_CONFIG);
	assert_non_null(strstr(ns_message(), "stats/none"));
}

/* forced or not, "conv" does not speak of "conv_train" */
static void test_force_prefix(void **state)
{
	struct nst_rig rig;
	struct ns_op op = {.kind = NS_OP_CONV_TRAIN, .u.conv = {1, 4, 4, 16, 16, 3, 3, 1, 1, 0, 0, NS_F32}};
	struct ns_plan *plan = NULL;

	(void)state;
	if (!ns_backend_find("cpu"))
		skip(); /* kernels alone, without oneDNN */
	nst_rig_open(&rig, "cpu");
	rig.dev->force = "conv/ref";
	assert_int_equal(ns_force_check(rig.dev), NS_OK);
	assert_int_equal(ns_plan_make(&plan, rig.dev, &op), NS_OK);
	assert_string_equal(plan->impl->name, "conv_train/dnnl");
	ns_plan_free(plan);
	rig.dev->force = "conv_train/ref";
	assert_int_equal(ns_plan_make(&plan, rig.dev, &op), NS_OK);
	assert_string_equal(plan->impl->name, "conv_train/ref");
	ns_plan_free(plan);
	nst_rig_close(&rig);
}

/* what the CPU's own implementations do not take falls to ref */
static void test_decline_falls_to_ref(void **state)
{
	static const struct ns_op ops[] = {
		{.kind = NS_OP_CONV, .u.conv = {1, 2, 2, 1, 1, 1, 1, 1, 0, 0, 0, NS_F64}},
		{.kind = NS_OP_LINEAR, .u.linear = {1, 1, 1, NS_F64}},
		{.kind = NS_OP_XENT, .u.xent = {.n = 1, .k = 2, .scale = 1, .dtype = NS_F64}},
		{.kind = NS_OP_POOL, .u.pool = {1, 2, 2, 1, 2, 2, 2, 0, NS_POOL_MAX, 0, NS_F64, NS_F64}},
	};
	struct nst_rig rig;
	size_t i;

	(void)state;
	if (!ns_backend_find("cpu"))
		skip(); /* kernels alone, without oneDNN */
	nst_rig_open(&rig, "cpu");
	for (i = 0; i < sizeof ops / sizeof *ops; i++) {
		struct ns_plan *plan = NULL;

		assert_int_equal(ns_plan_make(&plan, rig.dev, &ops[i]), NS_OK);
		assert_non_null(strstr(plan->impl->name, "/ref"));
		ns_plan_free(plan);
	}
	nst_rig_close(&rig);
}

static void note(void *user, const struct ns_op *op, const char *impl)
{
	(void)op;
	*(const char **)user = impl;
}

static void test_by_name(void **state)
{
	const char *chosen = NULL;
	struct ns_device dev = {.backend = &toy, .chosen = note, .chosen_user = &chosen};
	struct ns_op op = {.kind = NS_OP_STATS, .u.stats = {1, 1, 1, 1}};
	struct ns_plan *plan = NULL;

	(void)state;
	assert_int_equal(ns_plan_make_by(&plan, &dev, &op, "stats/good"), NS_OK);
	assert_string_equal(plan->impl->name, "stats/good");
	assert_string_equal(chosen, "stats/good");
	ns_plan_free(plan);
	plan = NULL;
	assert_int_equal(ns_plan_make_by(&plan, &dev, &op, "conv/other"), NS_INVALID);
	op.u.stats.n = 3;
	assert_int_equal(ns_plan_make_by(&plan, &dev, &op, "stats/best"), NS_DECLINED);
	assert_null(plan);
	assert_null(ns_backend_find("toy"));
	assert_ptr_equal(ns_backend_find("ref"), &ns_backend_ref);
}

/* shapes that mean nothing are refused before anybody is asked */
static void test_shapes(void **state)
{
	static const struct ns_op bad[] = {
		{.kind = NS_OP_CONV, .u.conv = {1, 2, 2, 1, 1, 3, 3, 2, 0, 0, 0, NS_F32}},
		{.kind = NS_OP_CONV, .u.conv = {1, 8, 8, 1, 1, 3, 3, 1, 3, 0, 0, NS_F32}},
		{.kind = NS_OP_CONV, .u.conv = {1, 8, 8, 1, 1, 3, 3, 0, 1, 0, 0, NS_F32}},
		{.kind = NS_OP_CONV_TRAIN, .u.conv = {1, 8, 8, 1, 1, 3, 3, 1, 1, NS_CONV_BIAS | NS_CONV_NORM, 0, NS_F32}},
		{.kind = NS_OP_POOL, .u.pool = {1, 17, 17, 1, 17, 17, 1, 0, NS_POOL_MAX, 0, NS_F32, NS_F32}},
		{.kind = NS_OP_NORM2, .u.norm2 = {0}},
		{.kind = NS_OP_SGD, .u.optim = {.n = 4, .n_decay = 5}},
		{.kind = NS_OP_STATS, .u.stats = {1, 4, 4, 2}},
		{.kind = NS_OP_HEAD, .u.head = {1, 2, 0}},
		{.kind = NS_OP_MMD, .u.mmd = {.m = 2, .n = 2, .d = 1, .row_end = 5}},
	};
	struct ns_device *dev;
	struct ns_plan *plan = NULL;
	size_t i;

	(void)state;
	assert_int_equal(ns_backend_cpu.open(&dev, 0), NS_OK);
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(ns_plan_make(&plan, dev, &bad[i]), NS_INVALID);
		assert_null(plan);
		assert_non_null(strstr(ns_message(), ns_op_name(bad[i].kind)));
	}
	ns_backend_cpu.close(dev);
}

/* --- a worker is one thread, whatever OpenMP has been told --- */

#define SIDE 256

static int threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int n = 0;

	while (tasks && readdir(tasks))
		n++;
	if (tasks)
		closedir(tasks);
	return n;
}

static void *multiply(void *grown)
{
	static float a[SIDE * SIDE], b[SIDE * SIDE], y[SIDE * SIDE];
	const struct ns_op op = {.kind = NS_OP_CONTRACT,
				 .u.contract = {.dtype = NS_F32,
						.out_dtype = NS_F32,
						.out = {2, {SIDE, SIDE}},
						.sum = {1, {SIDE}},
						.a_out = {SIDE, 0},
						.b_out = {0, 1},
						.a_sum = {1},
						.b_sum = {SIDE}}};
	struct ns_args args = {{a, b}, {y}, NULL};
	struct ns_device *dev;
	struct ns_queue *queue;
	struct ns_plan *plan;
	int before = threads();

	omp_set_num_threads(3);
	*(int *)grown = -1;
	if (ns_backend_cpu.open(&dev, 0) != NS_OK || ns_backend_cpu.queue_make(&queue, dev) != NS_OK || ns_plan_make(&plan, dev, &op) != NS_OK)
		return NULL;
	omp_set_num_threads(3); /* a device is opened by one thread and used by others */
	if (ns_hostmem_make(&args.workspace, dev, plan->workspace_bytes + 64) == NS_OK && ns_plan_run(plan, &args, queue) == NS_OK)
		*(int *)grown = threads() - before;
	ns_hostmem_free(dev, args.workspace);
	ns_plan_free(plan);
	ns_backend_cpu.queue_free(queue);
	ns_backend_cpu.close(dev);
	return NULL;
}

static void test_one_thread(void **state)
{
	pthread_t worker;
	int grown;

	(void)state;
	assert_true(threads() > 0);
	assert_int_equal(pthread_create(&worker, NULL, multiply, &grown), 0);
	assert_int_equal(pthread_join(worker, NULL), 0);
	assert_int_equal(grown, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_best_first),
		cmocka_unit_test(test_force),
		cmocka_unit_test(test_force_unknown),
		cmocka_unit_test(test_force_prefix),
		cmocka_unit_test(test_decline_falls_to_ref),
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_one_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
