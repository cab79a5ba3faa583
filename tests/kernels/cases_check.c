/* tests/kernels/cases_check.c - comparing with ref, and counting what ran; see cases.h */
#include "tests/kernels/cases.h"

#include <math.h>

/* every backend that this program can open; NST_BACKENDS=cuda checks only those named */
int nst_wanted(const char *name)
{
	const char *list = getenv("NST_BACKENDS");

	return (!list || strstr(list, name)) && ns_backend_find(name);
}

static int cases_are(const char *what)
{
	const char *cases = getenv("NST_CASES");

	return cases && !strcmp(cases, what);
}

int nst_memory_only(void)
{
	return cases_are("memory");
}

int nst_in_pairs(size_t a, size_t b, size_t d, size_t count)
{
	return !(nst_memory_only() || cases_are("pairs")) || d == (a + b) % count;
}

void nst_run_ref(const struct nst_case *c, void *out[NS_OP_MAX_OUT])
{
	struct nst_rig rig;
	char name[64];

	snprintf(name, sizeof name, "%s/ref", ns_op_name(c->op.kind));
	nst_rig_open(&rig, "ref");
	assert_int_equal(nst_run(&rig, c, name, out), NS_OK);
	nst_rig_close(&rig);
}

void nst_run_best(const char *backend, const struct nst_case *c, void *out[NS_OP_MAX_OUT])
{
	struct ns_plan *plan = NULL;
	struct nst_rig rig;

	nst_rig_open(&rig, backend);
	assert_int_equal(ns_plan_make(&plan, rig.dev, &c->op), NS_OK);
	assert_int_equal(nst_run(&rig, c, plan->impl->name, out), NS_OK);
	ns_plan_free(plan);
	nst_rig_close(&rig);
}

static void compare(const struct nst_case *c, const char *impl, int slot, const void *want, const void *got)
{
	const struct nst_tensor *t = &c->out[slot];
	double most = t->scale;
	int64_t i;

	if (t->tolerance == NST_EXACT && !memcmp(want, got, (size_t)t->count * nst_type_bytes(t->type)))
		return;
	for (i = 0; i < t->count; i++)
		most = fmax(most, fabs(nst_get(want, t->type, i)));
	for (i = 0; i < t->count; i++) {
		double x = nst_get(want, t->type, i), y = nst_get(got, t->type, i);

		if (isnan(x) ? !isnan(y) : !(fabs(x - y) <= t->tolerance * most))
			fail_msg("%s: %s: out[%d][%lld] = %.9g, but ref has %.9g (largest %.3g, tolerance %.3g)", c->label, impl, slot, (long long)i,
				 y, x, most, t->tolerance);
	}
	if (t->tolerance == NST_EXACT)
		fail_msg("%s: %s: out[%d] has other bytes than ref", c->label, impl, slot);
}

static int row_of(struct nst_tally *tally, const struct ns_backend *backend, const struct ns_impl *impl)
{
	int i;

	for (i = 0; i < tally->rows; i++)
		if (tally->row[i].backend == backend && tally->row[i].impl == impl)
			return i;
	assert_true(tally->rows < NST_MAX_IMPLS);
	tally->row[tally->rows].backend = backend;
	tally->row[tally->rows].impl = impl;
	return tally->rows++;
}

static void check_impl(const struct nst_rig *rig, const struct nst_case *c, const struct ns_impl *impl, void *const want[NS_OP_MAX_OUT],
		       struct nst_tally *tally)
{
	int row = row_of(tally, rig->backend, impl), i;
	void *got[NS_OP_MAX_OUT];
	enum ns_status status = nst_run(rig, c, impl->name, got);

	if (status == NS_DECLINED) {
		tally->row[row].declined++;
		return;
	}
	if (status != NS_OK)
		fail_msg("%s: %s: %s", c->label, impl->name, ns_message());
	for (i = 0; i < NS_OP_MAX_OUT; i++)
		if (want[i] && !nst_memory_only())
			compare(c, impl->name, i, want[i], got[i]);
	nst_outputs_free(got);
	tally->row[row].ran++;
}

/* ref's own, which the others are compared with: nst_run_ref() has run it */
static int is_meaning(const struct ns_backend *backend, const struct ns_impl *impl)
{
	return !strcmp(backend->name, "ref") && !strcmp(strchr(impl->name, '/'), "/ref");
}

void nst_check(const struct nst_case *c, struct nst_tally *tally)
{
	static const char *const backends[] = {"ref", "cpu", "cuda"};
	void *want[NS_OP_MAX_OUT];
	size_t b;

	nst_run_ref(c, want);
	for (b = 0; b < sizeof backends / sizeof *backends; b++) {
		const struct ns_impl *const *i;
		struct nst_rig rig;

		if (!nst_wanted(backends[b]))
			continue;
		nst_rig_open(&rig, backends[b]);
		for (i = rig.backend->impls; *i; i++)
			if ((*i)->kind == c->op.kind && !is_meaning(rig.backend, *i))
				check_impl(&rig, c, *i, want, tally);
			else if ((*i)->kind == c->op.kind)
				tally->row[row_of(tally, rig.backend, *i)].ran++;
		nst_rig_close(&rig);
	}
	nst_outputs_free(want);
}

void nst_report(const struct nst_tally *tally, enum ns_op_kind kind)
{
	int i;

	for (i = 0; i < tally->rows; i++)
		printf("%s: %s: %s ran %d cases, declined %d\n", ns_op_name(kind), tally->row[i].backend->name, tally->row[i].impl->name,
		       tally->row[i].ran, tally->row[i].declined);
	assert_true(tally->rows > 0);
	for (i = 0; i < tally->rows; i++)
		if (!tally->row[i].ran)
			fail_msg("%s ran no case of %s", tally->row[i].impl->name, ns_op_name(kind));
}
