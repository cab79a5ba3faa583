/* tests/kernels/cases.c - see cases.h */
#include "tests/kernels/cases.h"

#ifdef __has_feature /* clang's */
#if __has_feature(memory_sanitizer)
#include <sanitizer/msan_interface.h>
#define NST_FORGET(p, n) __msan_poison(p, n)
#define NST_KNOW(p, n)	 __msan_unpoison(p, n)
#endif
#endif
#ifndef NST_FORGET
#define NST_FORGET(p, n) ((void)(p), (void)(n))
#define NST_KNOW(p, n)	 ((void)(p), (void)(n))
#endif

#include "kernels/formula/random.h"

#include <math.h>

#define GUARD 64

size_t nst_type_bytes(enum nst_type type)
{
	return ns_dtype_bytes((enum ns_dtype)type);
}

double nst_get(const void *p, enum nst_type type, int64_t i)
{
	switch (type) {
	case NST_U8:
		return ((const uint8_t *)p)[i];
	case NST_F32:
		return (double)((const float *)p)[i];
	case NST_BF16:
		return (double)ns_f32_of_bf16(((const uint16_t *)p)[i]);
	case NST_F64:
		return ((const double *)p)[i];
	case NST_I32:
		return ((const int32_t *)p)[i];
	case NST_I64:
		break;
	}
	return (double)((const int64_t *)p)[i];
}

void nst_set(void *p, enum nst_type type, int64_t i, double v)
{
	switch (type) {
	case NST_U8:
		((uint8_t *)p)[i] = (uint8_t)v;
		return;
	case NST_F32:
		((float *)p)[i] = (float)v;
		return;
	case NST_BF16:
		((uint16_t *)p)[i] = ns_bf16_of_f32((float)v);
		return;
	case NST_F64:
		((double *)p)[i] = v;
		return;
	case NST_I32:
		((int32_t *)p)[i] = (int32_t)v;
		return;
	case NST_I64:
		break;
	}
	((int64_t *)p)[i] = (int64_t)v;
}

static double drawn(const struct nst_tensor *t, uint32_t bits)
{
	double u = ns_uniform(bits);

	switch (t->fill) {
	case NST_BITS:
		return floor(u * (t->arg ? t->arg : 256));
	case NST_POSITIVE:
		return u + 0.5;
	case NST_COARSE:
		return floor(u * 9) / 4 - 1;
	case NST_LABEL:
		return floor(u * (t->arg + 1)) - 1;
	case NST_UNIT:
	case NST_GIVEN:
		break;
	}
	return 2 * u - 1;
}

void *nst_filled(const struct nst_tensor *t, int slot)
{
	size_t bytes = (size_t)t->count * nst_type_bytes(t->type);
	char *p = malloc(bytes);
	int64_t i;

	assert_non_null(p);
	if (t->fill == NST_GIVEN) {
		memcpy(p, t->given, bytes);
		return p;
	}
	for (i = 0; i < t->count; i++)
		nst_set(p, t->type, i, drawn(t, ns_draw((uint64_t)slot, NS_FOR_INIT, 0, (uint64_t)i, 0).v[0]));
	return p;
}

void nst_in(struct nst_case *c, int slot, enum nst_type type, int64_t count, enum nst_fill fill, int arg)
{
	c->in[slot] = (struct nst_tensor){.type = type, .count = count, .fill = fill, .arg = arg};
}

void nst_given(struct nst_case *c, int slot, enum nst_type type, int64_t count, const void *bytes)
{
	c->in[slot] = (struct nst_tensor){.type = type, .count = count, .fill = NST_GIVEN, .given = bytes};
}

void nst_out(struct nst_case *c, int slot, enum nst_type type, int64_t count, double tolerance)
{
	c->out[slot] = (struct nst_tensor){.type = type, .count = count, .tolerance = tolerance};
}

void nst_state(struct nst_case *c, int slot, enum nst_type type, int64_t count, enum nst_fill fill, double tolerance)
{
	c->out[slot] = (struct nst_tensor){.type = type, .count = count, .fill = fill, .tolerance = tolerance, .state = 1};
}

void nst_rig_open(struct nst_rig *rig, const char *backend)
{
	rig->backend = ns_backend_find(backend);
	assert_non_null(rig->backend);
	assert_int_equal(rig->backend->open(&rig->dev, 0), NS_OK);
	assert_int_equal(rig->backend->queue_make(&rig->queue, rig->dev), NS_OK);
}

void nst_rig_close(struct nst_rig *rig)
{
	rig->backend->queue_free(rig->queue);
	rig->backend->close(rig->dev);
}

/* --- device buffers: `bytes`, then the guard; all ones (NaN) unless filled --- */

static void *buffer_make(const struct nst_rig *r, size_t bytes)
{
	void *mem = NULL, *ones = malloc(bytes + GUARD);

	assert_non_null(ones);
	memset(ones, 0xff, bytes + GUARD);
	assert_int_equal(r->backend->mem_make(&mem, r->dev, bytes + GUARD), NS_OK);
	assert_int_equal(r->backend->put(r->queue, mem, ones, bytes + GUARD), NS_OK);
	assert_int_equal(r->backend->wait(r->queue), NS_OK);
	free(ones);
	NST_FORGET(mem, bytes); /* nothing was computed here yet */
	return mem;
}

static void put(const struct nst_rig *r, void *mem, const void *bytes, size_t size)
{
	assert_int_equal(r->backend->put(r->queue, mem, bytes, size), NS_OK);
	assert_int_equal(r->backend->wait(r->queue), NS_OK);
}

/* malloc()ed; fails when the guard was written to */
static void *buffer_get(const struct nst_rig *r, const void *mem, size_t bytes, const char *label, const char *what)
{
	uint8_t *p = malloc(bytes + GUARD);
	int i;

	assert_non_null(p);
	assert_int_equal(r->backend->get(r->queue, p, mem, bytes + GUARD), NS_OK);
	assert_int_equal(r->backend->wait(r->queue), NS_OK);
	for (i = 0; i < GUARD; i++)
		if (p[bytes + (size_t)i] != 0xff)
			fail_msg("%s: %s: byte %d behind the end was written", label, what, i);
	return p;
}

static size_t tensor_bytes(const struct nst_tensor *t)
{
	return (size_t)t->count * nst_type_bytes(t->type);
}

static int is_conv(enum ns_op_kind kind)
{
	return kind == NS_OP_CONV || kind == NS_OP_CONV_TRAIN || kind == NS_OP_CONV_BACKWARD;
}

static int is_canonical(const struct ns_layout *l, const struct nst_tensor *t)
{
	return !l->native && nst_of(l->dtype) == t->type;
}

static void reorder(const struct nst_rig *r, const struct ns_op_conv *v, struct ns_layout from, struct ns_layout to, const void *x, void *y)
{
	struct ns_op op = {.kind = NS_OP_REORDER, .u.reorder = {v->k, v->r, v->s, v->c, from, to}};
	struct ns_args args = {.in = {x}, .out = {y}};
	struct ns_plan *plan = NULL;

	assert_int_equal(ns_plan_make(&plan, r->dev, &op), NS_OK);
	args.workspace = buffer_make(r, plan->workspace_bytes);
	assert_int_equal(ns_plan_run(plan, &args, r->queue), NS_OK);
	assert_int_equal(r->backend->wait(r->queue), NS_OK);
	r->backend->mem_free(r->dev, args.workspace);
	ns_plan_free(plan);
}

/* the input of slot `i` in device memory, in the layout that the plan asks for */
static void *input_make(const struct nst_rig *r, const struct nst_case *c, const struct ns_plan *plan, int i)
{
	const struct nst_tensor *t = &c->in[i];
	void *bytes = nst_filled(t, i), *mem = buffer_make(r, tensor_bytes(t)), *native;

	put(r, mem, bytes, tensor_bytes(t));
	free(bytes);
	/* NS_CONVB_W is the same slot as NS_CONV_W; without dx nobody reads it */
	if (is_conv(c->op.kind) && i == NS_CONV_W && plan->w.bytes && !is_canonical(&plan->w, t)) {
		struct ns_layout from = {tensor_bytes(t), (enum ns_dtype)t->type, NULL};

		native = buffer_make(r, plan->w.bytes);
		reorder(r, &c->op.u.conv, from, plan->w, mem, native);
		free(buffer_get(r, native, plan->w.bytes, c->label, "packed weights"));
		r->backend->mem_free(r->dev, mem);
		mem = native;
	}
	return mem;
}

static int is_native_dw(const struct nst_case *c, const struct ns_plan *plan, int i)
{
	return c->op.kind == NS_OP_CONV_BACKWARD && i == NS_CONVB_DW && !is_canonical(&plan->dw, &c->out[i]);
}

static size_t output_bytes(const struct nst_case *c, const struct ns_plan *plan, int i)
{
	return is_native_dw(c, plan, i) ? plan->dw.bytes : tensor_bytes(&c->out[i]);
}

/* bring out[i] to its start: ones, or its state */
static void output_reset(const struct nst_rig *r, const struct nst_case *c, const struct ns_plan *plan, int i, void *mem)
{
	size_t size = output_bytes(c, plan, i);
	void *bytes;

	if (c->out[i].state) {
		bytes = nst_filled(&c->out[i], 32 + i);
	} else {
		bytes = malloc(size);
		assert_non_null(bytes);
		memset(bytes, 0xff, size);
	}
	put(r, mem, bytes, size);
	free(bytes);
	if (!c->out[i].state)
		NST_FORGET(mem, size);
}

static void *output_get(const struct nst_rig *r, const struct nst_case *c, const struct ns_plan *plan, int i, void *mem)
{
	const struct nst_tensor *t = &c->out[i];
	void *canonical, *got = buffer_get(r, mem, output_bytes(c, plan, i), c->label, "output");

	if (is_native_dw(c, plan, i)) {
		struct ns_layout to = {tensor_bytes(t), (enum ns_dtype)t->type, NULL};

		free(got);
		canonical = buffer_make(r, tensor_bytes(t));
		reorder(r, &c->op.u.conv, plan->dw, to, mem, canonical);
		got = buffer_get(r, canonical, tensor_bytes(t), c->label, "unpacked gradient");
		r->backend->mem_free(r->dev, canonical);
	}
	return got;
}

static void run_once(const struct nst_rig *r, const struct nst_case *c, const struct ns_plan *plan, struct ns_args *args, void *out[NS_OP_MAX_OUT])
{
	int i;

	for (i = 0; i < NS_OP_MAX_OUT; i++)
		if (args->out[i])
			output_reset(r, c, plan, i, args->out[i]);
	if (ns_plan_run(plan, args, r->queue) != NS_OK)
		fail_msg("%s: %s", c->label, ns_message());
	assert_int_equal(r->backend->wait(r->queue), NS_OK);
	NST_KNOW(args->workspace, plan->workspace_bytes); /* what is left there does not matter: the guard behind it does */
	free(buffer_get(r, args->workspace, plan->workspace_bytes, c->label, "workspace"));
	for (i = 0; i < NS_OP_MAX_OUT; i++)
		out[i] = args->out[i] ? output_get(r, c, plan, i, args->out[i]) : NULL;
}

static void run_twice(const struct nst_rig *r, const struct nst_case *c, const struct ns_plan *plan, struct ns_args *args, void *out[NS_OP_MAX_OUT])
{
	void *again[NS_OP_MAX_OUT];
	int i;

	run_once(r, c, plan, args, out);
	if (nst_memory_only())
		return;
	run_once(r, c, plan, args, again);
	for (i = 0; i < NS_OP_MAX_OUT; i++)
		if (out[i] && memcmp(out[i], again[i], tensor_bytes(&c->out[i])))
			fail_msg("%s: %s: out[%d] differs from run to run", c->label, plan->impl->name, i);
	nst_outputs_free(again);
}

enum ns_status nst_run(const struct nst_rig *r, const struct nst_case *c, const char *impl, void *out[NS_OP_MAX_OUT])
{
	struct ns_plan *plan = NULL;
	void *in[NS_OP_MAX_IN] = {0};
	struct ns_args args = {0};
	int i;

	NS_TRY(ns_plan_make_by(&plan, r->dev, &c->op, impl));
	for (i = 0; i < NS_OP_MAX_IN; i++)
		if (c->in[i].count)
			args.in[i] = in[i] = input_make(r, c, plan, i);
	for (i = 0; i < NS_OP_MAX_OUT; i++)
		if (c->out[i].count)
			args.out[i] = buffer_make(r, output_bytes(c, plan, i));
	args.workspace = buffer_make(r, plan->workspace_bytes);
	run_twice(r, c, plan, &args, out);
	r->backend->mem_free(r->dev, args.workspace);
	for (i = 0; i < NS_OP_MAX_OUT; i++)
		r->backend->mem_free(r->dev, args.out[i]);
	for (i = 0; i < NS_OP_MAX_IN; i++)
		r->backend->mem_free(r->dev, in[i]);
	ns_plan_free(plan);
	return NS_OK;
}

void nst_outputs_free(void *out[NS_OP_MAX_OUT])
{
	int i;

	for (i = 0; i < NS_OP_MAX_OUT; i++)
		free(out[i]);
}
