/* tests/kernels/test_reorder.c - weights from layout to layout: bits are moved or rounded once, nothing else. */
#include "tests/kernels/cases.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* k, r, s, c */
static const int shapes[][4] = {{1, 1, 1, 1},	 {33, 3, 3, 3}, {31, 1, 1, 257}, {64, 3, 3, 16},
				{257, 3, 3, 31}, {16, 7, 7, 3}, {17, 5, 3, 2},	 {32, 3, 3, 32}};

static int64_t count_of(const int *z)
{
	return (int64_t)z[0] * z[1] * z[2] * z[3];
}

static struct ns_layout canonical(const int *z, enum ns_dtype dtype)
{
	struct ns_layout l = {(size_t)count_of(z) * ns_dtype_bytes(dtype), dtype, NULL};

	return l;
}

static void test_canonical(void **state)
{
	static const enum ns_dtype types[][2] = {{NS_F32, NS_F32}, {NS_F32, NS_BF16}, {NS_BF16, NS_F32}};
	struct nst_tally tally = {0};
	size_t i, t;

	(void)state;
	for (i = 0; i < COUNT(shapes); i++)
		for (t = 0; t < COUNT(types); t++) {
			const int *z = shapes[i];
			struct nst_case c = {.op.kind = NS_OP_REORDER};

			c.op.u.reorder = (struct ns_op_reorder){z[0], z[1], z[2], z[3], canonical(z, types[t][0]), canonical(z, types[t][1])};
			snprintf(c.label, sizeof c.label, "reorder %dx%dx%dx%d, type %d to %d", z[0], z[1], z[2], z[3], (int)types[t][0],
				 (int)types[t][1]);
			nst_in(&c, NS_REORDER_X, nst_of(types[t][0]), count_of(z), NST_UNIT, 0);
			nst_out(&c, NS_REORDER_Y, nst_of(types[t][1]), count_of(z), NST_EXACT);
			nst_check(&c, &tally);
		}
	nst_report(&tally, NS_OP_REORDER);
}

/* --- through the layouts that the plans of a convolution ask for --- */

static void *moved(const struct nst_rig *r, const int *z, struct ns_layout from, struct ns_layout to, const void *x)
{
	struct ns_op op = {.kind = NS_OP_REORDER, .u.reorder = {z[0], z[1], z[2], z[3], from, to}};
	struct ns_plan *plan = NULL;
	struct ns_args a = {.in = {x}};

	assert_int_equal(ns_plan_make(&plan, r->dev, &op), NS_OK);
	assert_int_equal(r->backend->mem_make(&a.workspace, r->dev, plan->workspace_bytes), NS_OK);
	assert_int_equal(r->backend->mem_make(&a.out[NS_REORDER_Y], r->dev, to.bytes), NS_OK);
	assert_int_equal(ns_plan_run(plan, &a, r->queue), NS_OK);
	assert_int_equal(r->backend->wait(r->queue), NS_OK);
	r->backend->mem_free(r->dev, a.workspace);
	ns_plan_free(plan);
	return a.out[NS_REORDER_Y];
}

/* the same bits after x -> a -> b as after x -> b, and after x -> b -> canonical as after rounding to b's type */
static void check_path(const struct nst_rig *r, const int *z, struct ns_layout a, struct ns_layout b)
{
	struct nst_tensor t = {.type = NST_F32, .count = count_of(z), .fill = NST_UNIT};
	struct ns_layout f32 = canonical(z, NS_F32), typed = canonical(z, b.dtype);
	float *x = nst_filled(&t, 1);
	void *mem = NULL, *in_a, *through, *direct, *back, *rounded, *want;

	assert_true(r->backend->host_memory);
	assert_int_equal(r->backend->mem_make(&mem, r->dev, f32.bytes), NS_OK);
	assert_int_equal(r->backend->put(r->queue, mem, x, f32.bytes), NS_OK);
	in_a = moved(r, z, f32, a, mem);
	through = moved(r, z, a, b, in_a);
	direct = moved(r, z, f32, b, mem);
	assert_memory_equal(through, direct, b.bytes);
	back = moved(r, z, b, f32, direct);
	rounded = moved(r, z, f32, typed, mem);
	want = moved(r, z, typed, f32, rounded);
	assert_memory_equal(back, want, f32.bytes);
	r->backend->mem_free(r->dev, mem);
	r->backend->mem_free(r->dev, in_a);
	r->backend->mem_free(r->dev, through);
	r->backend->mem_free(r->dev, direct);
	r->backend->mem_free(r->dev, back);
	r->backend->mem_free(r->dev, rounded);
	r->backend->mem_free(r->dev, want);
	free(x);
}

static void check_conv(const struct nst_rig *r, const int *z, enum ns_dtype dtype)
{
	struct ns_op op = {.kind = NS_OP_CONV_BACKWARD};
	struct ns_plan *backward = NULL, *forward = NULL;

	op.u.conv = (struct ns_op_conv){2, 9, 9, z[3], z[0], z[1], z[2], 1, z[1] / 2, 0, 0, dtype};
	assert_int_equal(ns_plan_make(&backward, r->dev, &op), NS_OK);
	op.kind = NS_OP_CONV_TRAIN;
	assert_int_equal(ns_plan_make(&forward, r->dev, &op), NS_OK);
	assert_int_equal(backward->dw.dtype, NS_F32);
	check_path(r, z, backward->dw, backward->dw);
	check_path(r, z, backward->dw, forward->w);
	check_path(r, z, backward->dw, backward->w);
	ns_plan_free(backward);
	ns_plan_free(forward);
}

static void test_native(void **state)
{
	static const char *const backends[] = {"ref", "cpu"};
	struct nst_rig rig;
	size_t b, i;

	(void)state;
	for (b = 0; b < COUNT(backends); b++) {
		if (!ns_backend_find(backends[b]))
			continue; /* kernels alone, without oneDNN */
		nst_rig_open(&rig, backends[b]);
		for (i = 0; i < COUNT(shapes); i++) {
			check_conv(&rig, shapes[i], NS_F32);
			check_conv(&rig, shapes[i], NS_BF16);
		}
		nst_rig_close(&rig);
		printf("reorder: %s: %d paths through native layouts\n", backends[b], 6 * (int)COUNT(shapes));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_canonical),
		cmocka_unit_test(test_native),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
