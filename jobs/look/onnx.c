/* jobs/look/onnx.c - what an ONNX file is: inputs and outputs, operators, parameters, where its weights lie, what stands in the way of computing it. */
#include "host/onnx/onnx.h"
#include "jobs/look/look_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_json(struct ns_onnx_text t)
{
	return json_stringn(t.at, t.bytes); /* UTF-8: the reader has looked */
}

/* Of a dimension its number, its name, or null where nothing says it. */
static json_t *dims_json(const struct ns_onnx_value *v)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < v->rank; i++)
		json_array_append_new(list, v->dims[i].value >= 0   ? json_integer((json_int_t)v->dims[i].value)
					    : v->dims[i].name.bytes ? text_json(v->dims[i].name)
								    : json_null());
	if (v->rank >= 0)
		return list;
	json_decref(list);
	return json_null();
}

/* Values by their place among the inputs, or outputs. */
static const struct ns_onnx_value **in_order(const struct ns_onnx *o, int outputs)
{
	const struct ns_onnx_value **list = calloc((size_t)(outputs ? o->outputs : o->inputs) + 1, sizeof(void *));
	int i;

	for (i = 0; list && i < o->value_count; i++)
		if (outputs ? o->values[i].output : o->values[i].input)
			list[(outputs ? o->values[i].output : o->values[i].input) - 1] = &o->values[i];
	return list;
}

/* Inputs that are no weights, or outputs. */
static json_t *values_json(const struct ns_onnx *o, int outputs)
{
	const struct ns_onnx_value **list = in_order(o, outputs);
	json_t *all = json_array();
	int i;

	for (i = 0; list && i < (outputs ? o->outputs : o->inputs); i++)
		if (outputs || list[i]->tensor < 0)
			json_array_append_new(all,
					      NS_JSON_OBJECT({"name", text_json(list[i]->name)},
							     {"type", list[i]->type ? json_string(ns_onnx_type_name(list[i]->type)) : json_null()},
							     {"shape", dims_json(list[i])}));
	free(list);
	return all;
}

static void count_one(json_t *ops, struct ns_onnx_text domain, struct ns_onnx_text op)
{
	char key[300];
	int own = !domain.bytes || ns_onnx_is(domain, "ai.onnx");

	snprintf(key, sizeof key, "%.*s%s%.*s", own ? 0 : (int)(domain.bytes < 120 ? domain.bytes : 120), domain.at, own ? "" : ".",
		 (int)(op.bytes < 120 ? op.bytes : 120), op.at);
	json_object_set_new_nocheck(ops, key, json_integer(json_integer_value(json_object_get(ops, key)) + 1));
}

static json_t *ops_json(const struct ns_onnx *o, int nested)
{
	static const struct ns_onnx_text none = {"", 0};
	json_t *ops = json_object();
	int i;

	for (i = 0; i < (nested ? o->nested_count : o->node_count); i++)
		if (nested)
			count_one(ops, none, o->nested[i]);
		else
			count_one(ops, o->nodes[i].domain, o->nodes[i].op);
	return ops;
}

static json_t *opsets_json(const struct ns_onnx *o)
{
	json_t *all = json_object();
	char domain[160];
	int i;

	for (i = 0; i < o->opset_count; i++) {
		struct ns_onnx_text d = o->opsets[i].domain;

		snprintf(domain, sizeof domain, "%.*s", d.bytes ? (int)(d.bytes < 150 ? d.bytes : 150) : 7, d.bytes ? d.at : "ai.onnx");
		json_object_set_new_nocheck(all, domain, json_integer((json_int_t)o->opsets[i].version));
	}
	return all;
}

static json_t *weights_json(const struct ns_onnx *o, int64_t external)
{
	int64_t parameters = 0;
	json_t *by_type = json_object();
	int i, weights = 0;

	for (i = 0; i < o->value_count; i++) {
		const struct ns_onnx_tensor *t = o->values[i].tensor >= 0 ? &o->tensors[o->values[i].tensor] : NULL;
		const char *type = t ? ns_onnx_type_name(t->type) : "";

		if (!t)
			continue;
		weights++;
		parameters += t->count;
		json_object_set_new(by_type, type, json_integer(json_integer_value(json_object_get(by_type, type)) + (json_int_t)t->count));
	}
	return NS_JSON_OBJECT({"tensors", json_integer(weights)}, {"values", json_integer((json_int_t)parameters)}, {"by_type", by_type},
			      {"external_bytes", json_integer((json_int_t)external)});
}

/* --- what this version would compute --- */

/* Inputs as they are declared; a batch that is left free is one image. 0: a size is not said, or a type is not computed here. */
static int feeds_of(const struct ns_onnx *o, struct ns_onnx_feed *feeds, int *n)
{
	const struct ns_onnx_value **list = in_order(o, 0);
	int i, d, said = list != NULL;

	for (*n = 0, i = 0; said && i < o->inputs; i++) {
		const struct ns_onnx_value *v = list[i];
		struct ns_onnx_feed *f = &feeds[*n];

		if (v->tensor >= 0)
			continue;
		said = v->rank >= 0 && ns_onnx_dtype(v->type, &f->dtype) == NS_OK;
		f->data = NULL;
		f->box.rank = v->rank;
		for (d = 0; said && d < v->rank; d++) {
			f->box.dim[d] = v->dims[d].value < 0 && !d ? 1 : v->dims[d].value;
			said = f->box.dim[d] >= 0;
		}
		++*n;
	}
	free(list);
	return said;
}

/* Operators that have no maker, each once: all that can be said where sizes are not. */
static json_t *unknown_ops(const struct ns_onnx *o)
{
	json_t *names = json_array(), *seen = json_object();
	char op[130];
	int i;

	for (i = 0; i < o->node_count; i++) {
		snprintf(op, sizeof op, "%.*s", (int)(o->nodes[i].op.bytes < 120 ? o->nodes[i].op.bytes : 120), o->nodes[i].op.at);
		if ((ns_onnx_knows(o->nodes[i].op) && !o->nodes[i].domain.bytes) || json_object_get(seen, op))
			continue;
		json_object_set_new_nocheck(seen, op, json_true());
		json_array_append_new(names, json_string(op));
	}
	json_decref(seen);
	return names;
}

static json_t *graph_json(const struct ns_dag *dag)
{
	json_t *ops = json_object();
	int64_t products = 0;
	int i;

	for (i = 0; i < dag->node_count; i++) {
		const char *name = ns_op_name(dag->nodes[i].op.kind);

		products += ns_op_multiply_adds(&dag->nodes[i].op);
		json_object_set_new(ops, name, json_integer(json_integer_value(json_object_get(ops, name)) + 1));
	}
	return NS_JSON_OBJECT({"ops", ops}, {"count", json_integer(dag->node_count)}, {"multiply_adds", json_integer((json_int_t)products)});
}

/* Its ops after constants are computed, or why there are none. */
static enum ns_status computes_json(const struct ns_onnx *o, json_t **computes)
{
	struct ns_onnx_feed *feeds = calloc((size_t)o->inputs + 1, sizeof *feeds);
	int *outputs = calloc((size_t)o->outputs + 1, sizeof *outputs), n, said;
	struct ns_dag *dag = NULL;
	enum ns_status status;

	NS_GO(feeds && outputs ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its inputs", o->path));
	NS_GO(ns_dag_make(&dag));
	said = feeds_of(o, feeds, &n);
	if (!said) {
		*computes = NS_JSON_OBJECT({"graph", json_null()}, {"refused", json_null()}, {"unknown_operators", unknown_ops(o)});
		goto out;
	}
	status = ns_onnx_graph(o, feeds, n, dag, outputs);
	if (status == NS_BAD_DATA) {
		*computes = NS_JSON_OBJECT({"graph", json_null()}, {"refused", json_string(ns_message())}, {"unknown_operators", unknown_ops(o)});
		status = NS_OK;
	} else if (status == NS_OK && (status = ns_dag_fold_affine(dag, outputs, o->outputs)) == NS_OK &&
		   (status = ns_dag_fuse(dag, outputs, o->outputs)) == NS_OK) {
		*computes = NS_JSON_OBJECT({"graph", graph_json(dag)}, {"refused", json_null()}, {"unknown_operators", unknown_ops(o)});
	}
out:
	ns_dag_free(dag);
	free(feeds);
	free(outputs);
	return status;
}

/* --- told to a person --- */

static void tell_values(const char *what, const json_t *list)
{
	const json_t *one, *dim;
	size_t i, k;

	json_array_foreach(list, i, one) {
		const json_t *shape = json_object_get(one, "shape");

		printf("  %-8s %s: %s [", i ? "" : what, ns_json_text(one, "name"),
		       *ns_json_text(one, "type") ? ns_json_text(one, "type") : "no tensor");
		json_array_foreach(shape, k, dim)
			if (json_is_integer(dim))
				printf("%s%lld", k ? ", " : "", (long long)json_integer_value(dim));
			else
				printf("%s%s", k ? ", " : "", json_is_string(dim) ? json_string_value(dim) : "?");
		printf("%s]\n", shape && json_is_null(shape) ? "shape is not said" : "");
	}
}

struct counted {
	const char *name;
	json_int_t count;
};

static int by_count(const void *a, const void *b)
{
	const struct counted *x = a, *y = b;

	return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : strcmp(x->name, y->name);
}

static void tell_ops(const char *what, const json_t *ops)
{
	size_t n = json_object_size(ops), i = 0;
	struct counted *list = calloc(n + 1, sizeof *list);
	const char *name;
	json_t *count;

	NS_JSON_EACH(ops, name, count)
		if (list)
			list[i++] = (struct counted){name, json_integer_value(count)};
	if (list)
		qsort(list, n, sizeof *list, by_count);
	for (i = 0; list && i < n; i++)
		printf("%s%s %lld", i ? ", " : what, list[i].name, (long long)list[i].count);
	if (n)
		printf("\n");
	free(list);
}

static void tell_computes(const json_t *computes)
{
	const json_t *graph = json_object_get(computes, "graph"), *unknown = json_object_get(computes, "unknown_operators"), *one;
	size_t i;

	if (json_is_object(graph)) {
		printf("  computes %lld ops of one image, %.3g G multiply-adds: ", (long long)json_integer_value(json_object_get(graph, "count")),
		       (double)json_integer_value(json_object_get(graph, "multiply_adds")) / 1e9);
		tell_ops("", json_object_get(graph, "ops"));
	} else if (json_is_string(json_object_get(computes, "refused"))) {
		printf("  refused  %s\n", ns_json_text(computes, "refused"));
	} else {
		printf("  sizes of its inputs are not said, so operators alone were looked at: %s",
		       json_array_size(unknown) ? "unknown are" : "all are known");
		json_array_foreach(unknown, i, one)
			printf("%s %s", i ? "," : "", json_string_value(one));
		printf("\n");
	}
}

static void tell(const char *path, const json_t *j)
{
	const json_t *weights = json_object_get(j, "weights"), *opsets = json_object_get(j, "opsets");
	const char *domain;
	json_t *version;

	printf("%s: a model of ONNX, IR %lld", path, (long long)json_integer_value(json_object_get(j, "ir_version")));
	NS_JSON_EACH(opsets, domain, version)
		printf(", %s %lld", domain, (long long)json_integer_value(version));
	printf("%s%s %s\n", *ns_json_text(j, "producer") ? ", by " : "", ns_json_text(j, "producer"), ns_json_text(j, "producer_version"));
	tell_values("inputs", json_object_get(j, "inputs"));
	tell_values("outputs", json_object_get(j, "outputs"));
	printf("  weights  %lld values in %lld tensors%s\n", (long long)json_integer_value(json_object_get(weights, "values")),
	       (long long)json_integer_value(json_object_get(weights, "tensors")),
	       json_integer_value(json_object_get(weights, "external_bytes")) ? ", some in other files" : "");
	printf("  nodes    %lld: ", (long long)json_integer_value(json_object_get(j, "nodes")));
	tell_ops("", json_object_get(j, "operators"));
	if (!json_object_size(json_object_get(j, "operators")))
		printf("\n");
	tell_ops("  inside of nodes, by control flow: ", json_object_get(j, "nested_operators"));
	tell_computes(json_object_get(j, "computes"));
}

enum ns_status ns_look_onnx(struct ns_job *job, const char *path)
{
	struct ns_onnx *o = NULL;
	json_t *j = NULL, *computes = NULL;
	int64_t external;
	enum ns_status status;

	if (ns_conf_text(job->conf, "out"))
		return ns_fail(NS_USAGE, "%s: is a model, of which there is no page: look without --out tells what it is, --json as JSON", path);
	NS_GO(ns_onnx_read(&o, path));
	NS_GO(ns_onnx_check_external(o, &external));
	NS_GO(computes_json(o, &computes));
	j = NS_JSON_OBJECT({"schema", json_string("nightshift.look_onnx/1")}, {"ir_version", json_integer((json_int_t)o->ir_version)},
			   {"opsets", opsets_json(o)}, {"producer", text_json(o->producer)}, {"producer_version", text_json(o->producer_version)},
			   {"graph", text_json(o->graph_name)}, {"inputs", values_json(o, 0)}, {"outputs", values_json(o, 1)},
			   {"nodes", json_integer(o->node_count)}, {"operators", ops_json(o, 0)}, {"nested_operators", ops_json(o, 1)},
			   {"functions", json_integer(o->functions)}, {"sparse_weights", json_integer(o->sparse)},
			   {"weights", weights_json(o, external)}, {"computes", computes});
	NS_GO(j ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for what is told of it", path));
	if (ns_conf_bool(job->conf, "json")) {
		json_dumpf(j, stdout, JSON_COMPACT);
		printf("\n");
	} else {
		tell(path, j);
	}
out:
	json_decref(j);
	ns_onnx_free(o);
	return status;
}
