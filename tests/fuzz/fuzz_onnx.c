/* An ONNX file, one of external data beside it, and the graph that it makes, its inputs known when it runs and known beforehand. */
#include "tests/fuzz/fuzz.h"

#include "host/onnx/onnx.h"

#define INPUTS 8

static void as_graph(const struct ns_onnx *o, const void *data)
{
	struct ns_onnx_feed feeds[INPUTS];
	int outputs[INPUTS], i, d, n = 0;
	struct ns_dag *dag;

	if (o->inputs > INPUTS || o->outputs > INPUTS || ns_dag_make(&dag) != NS_OK)
		return;
	dag->work_most = 1e6;
	for (i = 0; i < o->value_count; i++) {
		const struct ns_onnx_value *v = &o->values[i];

		if (!v->input || v->tensor >= 0)
			continue;
		feeds[n].data = data;
		if (ns_onnx_dtype(v->type, &feeds[n].dtype) != NS_OK)
			feeds[n].dtype = NS_F32;
		feeds[n].box.rank = v->rank < 0 ? 0 : v->rank;
		for (d = 0; d < feeds[n].box.rank; d++)
			feeds[n].box.dim[d] = v->dims[d].value < 0 || v->dims[d].value > 4 ? 2 : v->dims[d].value;
		n++;
	}
	(void)ns_onnx_graph(o, feeds, n, dag, outputs);
	ns_dag_free(dag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const double zeros[1 << 16];
	struct ns_onnx *o;
	int64_t bytes;

	fuzz_folder();
	fuzz_file("weights.bin", "0123456789abcdef0123456789abcdef", 32);
	if (ns_onnx_read(&o, fuzz_file("m.onnx", data, size)) != NS_OK)
		return 0;
	(void)ns_onnx_check_external(o, &bytes);
	as_graph(o, NULL);
	as_graph(o, zeros);
	ns_onnx_free(o);
	return 0;
}
