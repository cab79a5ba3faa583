/*
 * tests/kernels/test_queue.c - a device with memory of its own: copies, queues in order, work that is recorded once and
 * replayed. On the simulator and on a real GPU; skipped aloud where the backend has neither.
 */
#include "tests/kernels/cases.h"

static const struct ns_backend *b;
static struct ns_device *dev;
static struct ns_queue *q[3];

#define N 5000

static int open_device(void **state)
{
	int i;

	(void)state;
	b = ns_backend_find("cuda");
	if (!b || b->open(&dev, 0) != NS_OK)
		return 1;
	for (i = 0; i < 3; i++)
		assert_int_equal(b->queue_make(&q[i], dev), NS_OK);
	return 0;
}

static int close_device(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		b->queue_free(q[i]);
	b->close(dev);
	return 0;
}

static float *memory(int pinned, float value)
{
	void *p = NULL;
	float *here;
	int i;

	if (pinned) {
		assert_int_equal(b->host_make(&p, dev, N * sizeof(float)), NS_OK);
		for (i = 0; i < N; i++)
			((float *)p)[i] = value;
		return p;
	}
	here = memory(1, value);
	assert_int_equal(b->mem_make(&p, dev, N * sizeof(float)), NS_OK);
	assert_int_equal(b->put(q[0], p, here, N * sizeof(float)), NS_OK);
	assert_int_equal(b->wait(q[0]), NS_OK);
	b->host_free(dev, here);
	return p;
}

static void expect(const float *device, float value)
{
	float *here = memory(1, -1);
	int i;

	assert_int_equal(b->get(q[0], here, device, N * sizeof(float)), NS_OK);
	assert_int_equal(b->wait(q[0]), NS_OK);
	for (i = 0; i < N; i++)
		if (here[i] != value)
			fail_msg("value %d is %g, wanted %g", i, (double)here[i], (double)value);
	b->host_free(dev, here);
}

/* y = y + x, both times 1 */
static void add(struct ns_queue *queue, float *y, const float *x, const float *ones)
{
	struct ns_op op = {.kind = NS_OP_EMA, .u.ema = {N}};
	struct ns_args a = {{x, ones}, {y}, NULL};
	struct ns_plan *plan = NULL;

	assert_int_equal(ns_plan_make(&plan, dev, &op), NS_OK);
	assert_int_equal(ns_plan_run(plan, &a, queue), NS_OK);
	ns_plan_free(plan); /* a plan of no state of its own: what is recorded does not need it */
}

static void test_copies(void **state)
{
	float *x = memory(0, 3), *y = memory(0, 0);
	void *zero = NULL;

	(void)state;
	assert_int_equal(b->copy(q[0], y, x, N * sizeof(float)), NS_OK);
	expect(y, 3);
	assert_int_equal(b->mem_make(&zero, dev, N * sizeof(float)), NS_OK);
	expect(zero, 0);
	b->mem_free(dev, zero);
	b->mem_free(dev, x);
	b->mem_free(dev, y);
	assert_non_null(b->native(q[0]));
}

/* two queues fork from one and join it, again and again: each time y grows by what x1 and x2 hold then */
static void test_record(void **state)
{
	float *ones = memory(0, 1), *x1 = memory(0, 1), *x2 = memory(0, 2), *y1 = memory(0, 0), *y2 = memory(0, 0), *y = memory(0, 0);
	float *numbers = memory(1, 1), *back = memory(1, 0);
	struct ns_graph *graph = NULL;
	int i;

	(void)state;
	assert_int_equal(b->record(q[0]), NS_OK);
	assert_int_equal(b->put(q[0], x1, numbers, N * sizeof(float)), NS_OK);
	assert_int_equal(b->after(q[1], q[0]), NS_OK);
	assert_int_equal(b->after(q[2], q[0]), NS_OK);
	add(q[1], y1, x1, ones);
	add(q[2], y2, x2, ones);
	assert_int_equal(b->after(q[0], q[1]), NS_OK);
	assert_int_equal(b->after(q[0], q[2]), NS_OK);
	add(q[0], y, y1, ones);
	add(q[0], y, y2, ones);
	assert_int_equal(b->get(q[0], back, y, N * sizeof(float)), NS_OK);
	assert_int_equal(b->recorded(q[0], &graph), NS_OK);
	expect(y, 0); /* nothing was done */
	for (i = 0; i < 3; i++)
		assert_int_equal(b->replay(q[0], graph), NS_OK);
	expect(y1, 3);
	expect(y2, 6);
	expect(y, 18); /* 3 + 6 + 9 */
	assert_true(back[0] == 18 && back[N - 1] == 18);
	for (i = 0; i < N; i++)
		numbers[i] = 10;
	assert_int_equal(b->replay(q[1], graph), NS_OK); /* on any queue, and numbers are read when it runs */
	assert_int_equal(b->after(q[0], q[1]), NS_OK);
	expect(y, 39); /* 18 + 13 + 8 */
	b->graph_free(graph);
	b->graph_free(NULL);
	b->host_free(dev, numbers);
	b->host_free(dev, back);
	for (i = 0; i < 6; i++)
		b->mem_free(dev, ((float *[]){ones, x1, x2, y1, y2, y})[i]);
}

static void test_no_memory(void **state)
{
	void *p = NULL;

	(void)state;
	assert_int_equal(b->mem_make(&p, dev, (size_t)1 << 50), NS_NO_MEMORY);
	assert_non_null(strstr(ns_message(), "1125899906842624 bytes of device memory"));
	assert_non_null(strstr(ns_message(), "are free"));
}

static void test_identity(void **state)
{
	unsigned char id[16], again[16];
	struct ns_device *other = NULL;
	char text[512] = "";

	(void)state;
	assert_int_equal(b->open(&other, 0), NS_OK);
	b->identify(dev, id);
	b->identify(other, again);
	assert_memory_equal(id, again, sizeof id);
	b->describe(dev, text, sizeof text);
	assert_non_null(strstr(text, "CUDA run time"));
	b->close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_copies), cmocka_unit_test(test_record), cmocka_unit_test(test_no_memory),
					   cmocka_unit_test(test_identity)};

	b = ns_backend_find("cuda");
	if (!b || b->open(&dev, 0) != NS_OK) {
		printf("SKIPPED: %s\n", ns_message());
		return 77;
	}
	b->close(dev);
	return cmocka_run_group_tests(tests, open_device, close_device);
}
