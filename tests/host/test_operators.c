/*
 * ONNX's own operator cases (Debian's libonnx-testdata): every one passes or is refused by name, with its inputs known beforehand (constants, computed as the
 * graph is made) and, where shapes do not depend on them, with inputs that are known only when it runs, on ref, on the CPU's backend, and, where the
 * program is linked with the simulator or finds a GPU, on CUDA.
 *
 *	NST_PAGE=docs/onnx.md: the page has to be what this prints; with NST_WRITE=1 it is written.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/onnx/onnx.h"
#include "kernels/ref/ref.h"

static const char *cases = "/usr/share/libonnx-testdata/data"; /* or NST_OPERATORS: the folder of another version */
#define TENSORS 40

struct tally {
	char op[64];
	int cases, passed, refused, failed, argued, at_run_time;
	double ulp;
	char why[160];
};
static struct tally tallies[400];
static int tally_count;

static struct tally *tally_of(const char *op)
{
	int i;

	for (i = 0; i < tally_count; i++)
		if (!strcmp(tallies[i].op, op))
			return &tallies[i];
	snprintf(tallies[i].op, sizeof tallies[i].op, "%s", op);
	return &tallies[tally_count++];
}

/* --- tensors in files of their own: each becomes a model whose only weight it is --- */

static char scratch[] = "/tmp/nightshift-operators.XXXXXX";

static size_t varint(unsigned char *to, size_t n)
{
	size_t k = 0;

	for (; n > 127; n >>= 7)
		to[k++] = (unsigned char)(n & 127) | 128;
	to[k++] = (unsigned char)n;
	return k;
}

static int read_tensor(const char *path, struct ns_onnx **o)
{
	static const unsigned char name[] = {8 << 3 | 2, 1, 't'}, opset[] = {8 << 3 | 2, 2, 16, 17};
	unsigned char head[64];
	struct stat st;
	char *bytes, out[300];
	FILE *f = fopen(path, "rb");
	size_t n, k = 0, inner;

	if (!f || fstat(fileno(f), &st))
		return -1;
	n = (size_t)st.st_size;
	bytes = malloc(n + 1);
	assert_int_equal(fread(bytes, 1, n, f), n);
	fclose(f);
	snprintf(out, sizeof out, "%s/t.onnx", scratch);
	f = fopen(out, "wb");
	fwrite(opset, 1, sizeof opset, f);
	inner = n + sizeof name;
	k = varint(head, inner) + 1; /* a graph that holds one initializer */
	head[0] = 7 << 3 | 2;
	k = 1 + varint(head + 1, inner + 1 + varint(head + 32, inner));
	head[k++] = 5 << 3 | 2;
	k += varint(head + k, inner);
	fwrite(head, 1, k, f);
	fwrite(bytes, 1, n, f);
	fwrite(name, 1, sizeof name, f);
	fclose(f);
	free(bytes);
	k = ns_onnx_read(o, out) == NS_OK;
	unlink(out); /* what is mapped stays */
	return k ? 0 : -1;
}

struct tensor {
	struct ns_onnx *o;
	struct ns_dag *dag;
	struct ns_onnx_feed feed;
};

static void free_tensors(struct tensor *t, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		ns_dag_free(t[i].dag);
		ns_onnx_free(t[i].o);
	}
}

/* All of DIR/PREFIX_0.pb, ...; -1: one is no tensor of a type that is computed here */
static int read_tensors(const char *dir, const char *prefix, struct tensor *t)
{
	char path[600];
	int n;

	for (n = 0; n < TENSORS; n++) {
		const struct ns_dag_value *v;

		t[n] = (struct tensor){0};
		snprintf(path, sizeof path, "%s/test_data_set_0/%s_%d.pb", dir, prefix, n);
		if (access(path, R_OK))
			return n;
		if (read_tensor(path, &t[n].o) || ns_dag_make(&t[n].dag) != NS_OK || ns_onnx_graph(t[n].o, NULL, 0, t[n].dag, NULL) != NS_OK ||
		    t[n].dag->value_count < 1) {
			free_tensors(t, n + 1);
			return -1;
		}
		v = ns_dag_at(t[n].dag, 0);
		t[n].feed = (struct ns_onnx_feed){.dtype = v->dtype, .box = v->box, .data = v->data};
	}
	return n;
}

/* --- comparison --- */

/* The largest difference in units of the last place of the largest value that is expected; -1: they are not equal within ONNX's own tolerance. */
static double difference(enum ns_dtype dtype, int64_t n, const void *found, const void *wanted)
{
	int digits = dtype == NS_F64 ? 53 : dtype == NS_F16 ? 11 : dtype == NS_BF16 ? 8 : 24;
	double largest = 0, most = 0, share = 1e-3;
	int64_t i;

	if (getenv("NST_OPERATORS") && digits < 24) /* those of later versions are of functions that round to half precision after each step */
		share = ldexp(4, -digits);
	if (!ns_dtype_is_float(dtype)) {
		for (i = 0; i < n; i++)
			if (ns_typed_get_whole(found, dtype, i) != ns_typed_get_whole(wanted, dtype, i))
				return -1;
		return 0;
	}
	for (i = 0; i < n; i++) {
		double b = ns_typed_get(wanted, dtype, i);

		largest = isfinite(b) && fabs(b) > largest ? fabs(b) : largest;
	}
	for (i = 0; i < n; i++) {
		double a = ns_typed_get(found, dtype, i), b = ns_typed_get(wanted, dtype, i), d = fabs(a - b);

		if (a == b || (isnan(a) && isnan(b)))
			continue;
		if (!(d <= 1e-7 + share * fabs(b)))
			return -1;
		most = d > most ? d : most;
	}
	return largest > 0 ? most / ldexp(1, ilogb(largest) - digits + 1) : 0;
}

static int same_shape(const struct ns_box *a, const struct ns_box *b)
{
	int d;

	for (d = 0; d < a->rank && a->rank == b->rank; d++)
		if (a->dim[d] != b->dim[d])
			return 0;
	return a->rank == b->rank;
}

/* --- one case --- */

/* Cases whose expected values are not what ONNX's text says, so that they have to differ: if one of them passes, the list is wrong. */
static const char *const argued[] = {
	"test_cast_FLOAT_to_BFLOAT16", /* its values are truncated; to bfloat16 one rounds to nearest even */
	"test_castlike_FLOAT_to_BFLOAT16", "test_castlike_FLOAT_to_BFLOAT16_expanded",
	"test_resize_downsample_scales_cubic_align_corners", /* they divide by scale * length - 1; the text, PyTorch and ONNX Runtime by the resized length - 1 */
	"test_resize_downsample_scales_linear_align_corners"};

static int is_argued(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof argued / sizeof *argued; i++)
		if (!strcmp(name, argued[i]))
			return 1;
	return 0;
}

/* The files hold bfloat16 as uint16: they are what the model declares. */
static void as_declared(const struct ns_onnx *o, int outputs, struct tensor *t, int n)
{
	int i, k;

	for (i = 0; i < o->value_count; i++) {
		k = (outputs ? o->values[i].output : o->values[i].input) - 1;
		if (k >= 0 && k < n && o->values[i].type == NS_ONNX_BFLOAT16 && t[k].feed.dtype == NS_U16)
			t[k].feed.dtype = NS_BF16;
	}
}

static int compare(struct ns_dag *dag, const int *values, void *const *memory, const struct tensor *wanted, int n, double *ulp, const char *what)
{
	int k;

	for (k = 0; k < n; k++) {
		const struct ns_dag_value *v = ns_dag_at(dag, values[k]);
		double d;

		if (v->dtype != wanted[k].feed.dtype || !same_shape(&v->box, &wanted[k].feed.box)) {
			printf("%s: output %d is another type or shape\n", what, k);
			return 0;
		}
		d = difference(v->dtype, ns_box_count(&v->box), memory ? memory[k] : v->data, wanted[k].feed.data);
		if (d < 0) {
			printf("%s: output %d differs\n", what, k);
			return 0;
		}
		*ulp = d > *ulp ? d : *ulp;
	}
	return 1;
}

/* What ref found without fusing; fused it has to be the same bytes. */
static void *unfused[TENSORS];

static int same_bytes(const struct ns_dag *dag, const int *outputs, void *const *memory, int n, const char *what)
{
	int k, same = 1;

	for (k = 0; k < n; k++) {
		const struct ns_dag_value *v = ns_dag_at(dag, outputs[k]);
		size_t bytes = (size_t)ns_box_count(&v->box) * ns_dtype_bytes(v->dtype);

		if (unfused[k]) {
			if (bytes && memcmp(unfused[k], memory[k], bytes)) {
				printf("%s: output %d has other bits when its formulas are one program\n", what, k);
				same = 0;
			}
			free(unfused[k]);
			unfused[k] = NULL;
		} else {
			unfused[k] = malloc(bytes + 1);
			memcpy(unfused[k], memory[k], bytes);
		}
	}
	return same;
}

/* Runs it once, with inputs and outputs in the device's memory; memory: of the host, what came out. */
static void run_exec(struct ns_dag_exec *exec, const struct ns_dag *dag, struct ns_device *dev, struct ns_queue *queue,
		     const struct ns_onnx_feed *feeds, const void *const *inputs, int ins, const int *outputs, void **memory, int n)
{
	const struct ns_backend *b = dev->backend;
	void *in[TENSORS], *out[TENSORS];
	size_t bytes;
	int k;

	for (k = 0; k < ins; k++) {
		bytes = (size_t)ns_box_count(&feeds[k].box) * ns_dtype_bytes(feeds[k].dtype);
		assert_int_equal(b->mem_make(&in[k], dev, bytes + 1), NS_OK);
		assert_int_equal(b->put(queue, in[k], inputs[k], bytes), NS_OK);
	}
	for (k = 0; k < n; k++)
		assert_int_equal(b->mem_make(&out[k], dev, (size_t)ns_box_count(&dag->values[outputs[k]].box) * 8 + 8), NS_OK);
	assert_int_equal(ns_dag_exec_run(exec, (const void *const *)in, out, queue), NS_OK);
	for (k = 0; k < n; k++) {
		const struct ns_dag_value *v = &dag->values[outputs[k]];

		memory[k] = malloc((size_t)ns_box_count(&v->box) * 8 + 8);
		assert_int_equal(b->get(queue, memory[k], out[k], (size_t)ns_box_count(&v->box) * ns_dtype_bytes(v->dtype)), NS_OK);
	}
	assert_int_equal(b->wait(queue), NS_OK);
	for (k = 0; k < ins; k++)
		b->mem_free(dev, in[k]);
	for (k = 0; k < n; k++)
		b->mem_free(dev, out[k]);
}

/* Inputs known only when it runs: 1 equal, 0 not, -1 refused. */
static int at_run_time(const struct ns_onnx *o, const struct tensor *in, int ins, const struct tensor *wanted, int n,
		       const struct ns_backend *backend, int fuse, double *ulp, const char *what)
{
	struct ns_onnx_feed feeds[TENSORS];
	const void *inputs[TENSORS];
	void *memory[TENSORS] = {0};
	struct ns_dag *dag = NULL;
	struct ns_dag_exec *exec = NULL;
	struct ns_device *dev = NULL;
	struct ns_queue *queue = NULL;
	int outputs[TENSORS], k, result = -1;
	enum ns_status status;

	for (k = 0; k < ins; k++) {
		feeds[k] = in[k].feed;
		feeds[k].data = NULL;
		inputs[k] = in[k].feed.data;
	}
	assert_int_equal(ns_dag_make(&dag), NS_OK);
	if (ns_onnx_graph(o, feeds, ins, dag, outputs) == NS_OK) {
		if (fuse && backend != &ns_backend_ref)
			assert_int_equal(ns_dag_fold_affine(dag, outputs, n), NS_OK);
		if (fuse)
			assert_int_equal(ns_dag_fuse(dag, outputs, n), NS_OK);
		assert_int_equal(backend->open(&dev, 0), NS_OK);
		assert_int_equal(backend->queue_make(&queue, dev), NS_OK);
		status = ns_dag_exec_make(&exec, dag, dev, outputs, n);
		if (status == NS_OK) {
			run_exec(exec, dag, dev, queue, feeds, inputs, ins, outputs, memory, n);
			result = compare(dag, outputs, memory, wanted, n, ulp, what);
			if (backend == &ns_backend_ref)
				result &= same_bytes(dag, outputs, memory, n, what);
		} else { /* CUDA has not all of them; the others do */
			assert_false(backend->host_memory);
			printf("%s: %s\n", what, ns_message());
		}
		for (k = 0; k < n; k++)
			free(memory[k]);
		ns_dag_exec_free(exec);
		backend->queue_free(queue);
		backend->close(dev);
	}
	ns_dag_free(dag);
	return result;
}

static const char *reason(const char *message)
{
	const char *at = strstr(message, "): ");

	return at ? at + 3 : message;
}

static int on_cuda, not_on_cuda;

/* CUDA's backend, where it has a device: a build with nvcc has the module without one. */
static const struct ns_backend *cuda_here(void)
{
	static const struct ns_backend *backend;
	static int asked;
	struct ns_device *dev;

	if (!asked++ && ns_backend_find("cuda") && ns_backend_find("cuda")->open(&dev, 0) == NS_OK) {
		backend = ns_backend_find("cuda");
		backend->close(dev);
	}
	return backend;
}

static void one(const char *suite, const char *name)
{
	char dir[400], path[500], op[64];
	struct tensor in[TENSORS + 1], out[TENSORS + 1];
	struct ns_onnx_feed feeds[TENSORS];
	struct ns_onnx *o = NULL;
	struct ns_dag *dag = NULL;
	struct tally *t;
	int ins, outs, k, outputs[TENSORS], passes, run;

	snprintf(dir, sizeof dir, "%s/%s/%s", cases, suite, name);
	snprintf(path, sizeof path, "%s/model.onnx", dir);
	assert_int_equal(ns_onnx_read(&o, path), NS_OK);
	if (strcmp(suite, "node"))
		snprintf(op, sizeof op, "(%s)", suite);
	else if (o->node_count == 1)
		snprintf(op, sizeof op, "%.*s", (int)o->nodes[0].op.bytes, o->nodes[0].op.at);
	else
		snprintf(op, sizeof op, "(functions written out)");
	t = tally_of(op);
	t->cases++;
	ins = read_tensors(dir, "input", in);
	outs = read_tensors(dir, "output", out);
	assert_int_equal(ns_dag_make(&dag), NS_OK);
	as_declared(o, 0, in, ins);
	as_declared(o, 1, out, outs);
	for (k = 0; k < ins; k++)
		feeds[k] = in[k].feed;
	if (ins < 0 || outs < 0 || ns_onnx_graph(o, feeds, ins, dag, outputs) != NS_OK) {
		const char *why = ins < 0 || outs < 0 ? "a sequence, an optional value or a text" : reason(ns_message());

		t->refused++;
		if (!*t->why)
			snprintf(t->why, sizeof t->why, "%.150s", why);
		if (getenv("NST_VERBOSE"))
			printf("refused %s: %s\n", name, why);
	} else {
		passes = compare(dag, outputs, NULL, out, outs, &t->ulp, name);
		run = passes ? at_run_time(o, in, ins, out, outs, &ns_backend_ref, 0, &t->ulp, name) : 0;
		passes &= run != 0;
		if (run > 0)
			passes &= at_run_time(o, in, ins, out, outs, &ns_backend_ref, 1, &t->ulp, name) > 0 &&
				  at_run_time(o, in, ins, out, outs, &ns_backend_cpu, 1, &t->ulp, name) > 0;
		if (run > 0 && passes && cuda_here()) {
			run = at_run_time(o, in, ins, out, outs, cuda_here(), 1, &t->ulp, name);
			passes &= run != 0;
			on_cuda += run > 0;
			not_on_cuda += run < 0;
			run = 1;
		}
		for (k = 0; k < TENSORS; k++) {
			free(unfused[k]);
			unfused[k] = NULL;
		}
		t->argued += !passes && is_argued(name);
		t->passed += passes;
		t->failed += getenv("NST_OPERATORS") ? !passes && !is_argued(name) : passes == is_argued(name); /* later versions mend some */
		t->at_run_time += passes && run > 0;
	}
	ns_dag_free(dag);
	if (ins > 0)
		free_tensors(in, ins);
	if (outs > 0)
		free_tensors(out, outs);
	ns_onnx_free(o);
}

/* --- the page --- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tally *)a)->op, ((const struct tally *)b)->op);
}

static void print_page(FILE *f)
{
	struct tally all = {0};
	int i;

	qsort(tallies, (size_t)tally_count, sizeof *tallies, by_name);
	for (i = 0; i < tally_count; i++) {
		all.cases += tallies[i].cases;
		all.passed += tallies[i].passed;
		all.refused += tallies[i].refused;
		all.at_run_time += tallies[i].at_run_time;
		all.argued += tallies[i].argued;
	}
	fprintf(f,
		"# ONNX operators\n\nONNX's own operator cases (Debian's `libonnx-testdata`, opsets up to 17), made by `ctest -R host.test_operators`, which compares this page with what it "
		"finds and\nis red where a case fails. A case passes where types, shapes and values are as expected (1e-7 + 1e-3 of the value, as ONNX's own runner has it; whole "
		"numbers are equal),\nwith inputs known beforehand and, where shapes do not depend on their values, with inputs known only when it runs (\"at run time\"), on `ref` "
		"and on the CPU's\nbackend. *Largest*: the largest difference in units of the last place of an output's largest value.\n\n"
		"%d cases: %d pass (%d of them at run time too), %d are refused by name, none fails. %d are not as ONNX's text says, and differ for that reason: to bfloat16\n"
		"their values are truncated, where one rounds to nearest even; and `align_corners` divides by scale times length less 1, where the text, PyTorch and ONNX Runtime\n"
		"divide by the resized length less 1.\n\n"
		"| operator | cases | pass | at run time | refused | largest | refused for |\n|---|---|---|---|---|---|---|\n",
		all.cases, all.passed, all.at_run_time, all.refused, all.argued);
	for (i = 0; i < tally_count; i++) {
		const struct tally *t = &tallies[i];
		char *bar, why[160];

		snprintf(why, sizeof why, "%s", t->why);
		while ((bar = strpbrk(why, "|\n")))
			*bar = ' ';
		fprintf(f, "| %s | %d | %d | %d | %d | %.3g | %s |\n", t->op, t->cases, t->passed, t->at_run_time, t->refused, t->ulp, why);
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The column of differences is left out: the last places are the C library's and the processor's. */
static void without_differences(char *page)
{
	char *to = page;
	int bars = 0;

	for (; *page; page++) {
		bars = *page == '\n' ? 0 : bars + (*page == '|');
		if (bars != 6)
			*to++ = *page;
	}
	*to = 0;
}

static void check_page(void)
{
	const char *page = getenv("NST_PAGE");
	char *found, *wanted = NULL;
	size_t size, n = 0;
	FILE *f = open_memstream(&found, &size);

	print_page(f);
	fclose(f);
	if (page && getenv("NST_WRITE")) {
		f = fopen(page, "w");
		assert_non_null(f);
		fputs(found, f);
		fclose(f);
	} else if (page) {
		f = fopen(page, "r");
		assert_non_null(f);
		wanted = calloc(1, size + 1000);
		n = fread(wanted, 1, size + 999, f);
		fclose(f);
		assert_true(n > 0);
		without_differences(wanted);
		without_differences(found);
		if (strcmp(wanted, found))
			printf("%s is not what was found; with NST_WRITE=1 it is written:\n%s", page, found);
		assert_string_equal(wanted, found);
	}
	free(found);
	free(wanted);
}

static void suite(const char *name)
{
	char *names[2000], path[300];
	struct dirent *e;
	DIR *d;
	int i, n = 0;

	snprintf(path, sizeof path, "%s/%s", cases, name);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)) && n < 2000)
		if (e->d_name[0] != '.')
			names[n++] = strdup(e->d_name);
	closedir(d);
	qsort(names, (size_t)n, sizeof *names, compare_names);
	for (i = 0; i < n; i++) {
		if (!getenv("NST_ONLY") || strstr(names[i], getenv("NST_ONLY")))
			one(name, names[i]);
		free(names[i]);
	}
}

static void operators(void **state)
{
	int i, failed = 0, passed = 0;

	(void)state;
	suite("node");
	suite("pytorch-converted");
	suite("pytorch-operator");
	suite("simple");
	for (i = 0; i < tally_count; i++) {
		failed += tallies[i].failed;
		passed += tallies[i].passed;
		if (tallies[i].failed)
			printf("FAILED: %s, %d of %d\n", tallies[i].op, tallies[i].failed, tallies[i].cases);
	}
	printf("%d passed, %d failed; on CUDA %d ran and %d have no kernels\n", passed, failed, on_cuda, not_on_cuda);
	assert_true(!cuda_here() || getenv("NST_ONLY") || on_cuda >= 750);
	assert_int_equal(failed, 0);
	if (getenv("NST_ONLY") || getenv("NST_OPERATORS"))
		return;
	assert_true(passed >= 850);
	check_page();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(operators)};
	int result;

	if (getenv("NST_OPERATORS"))
		cases = getenv("NST_OPERATORS");
	if (access(cases, R_OK)) {
		printf("SKIPPED: ONNX's operator cases: libonnx-testdata is not installed\n");
		return 77;
	}
	if (!mkdtemp(scratch))
		return 1;
	result = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(scratch);
	return result;
}
