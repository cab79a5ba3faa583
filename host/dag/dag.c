/* host/dag/dag.c - values and nodes; what is constant is computed at once. */
#include "host/dag/dag.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/ref/ref.h"

#define ELEMENTS_MOST ((int64_t)1 << 44) /* of a value: sums and products of a few sizes do not overflow */
/* Bytes and steps that a graph may take for what it computes of constants. */
#define CONSTANTS_MOST ((int64_t)1 << 31)
#define WORK_MOST      0x1p32

enum ns_status ns_dag_make(struct ns_dag **dag)
{
	struct ns_dag *d = calloc(1, sizeof *d);
	enum ns_status status;

	if (!d)
		return ns_fail(NS_NO_MEMORY, "out of memory for a graph");
	d->work_most = WORK_MOST;
	NS_GO(ns_backend_ref.open(&d->device, 0));
	NS_GO(ns_backend_ref.queue_make(&d->queue, d->device));
	*dag = d;
	return NS_OK;
out:
	ns_dag_free(d);
	return status;
}

void ns_dag_free(struct ns_dag *d)
{
	int i;

	if (!d)
		return;
	for (i = 0; i < d->value_count; i++)
		if (d->values[i].owned)
			ns_hostmem_free(d->device, d->values[i].data);
	if (d->queue)
		ns_backend_ref.queue_free(d->queue);
	if (d->device)
		ns_backend_ref.close(d->device);
	free(d->values);
	free(d->nodes);
	free(d);
}

static enum ns_status room(void **list, int *has, int count, size_t each)
{
	int more = *has ? 2 * *has : 256;
	void *p;

	if (count < *has)
		return NS_OK;
	p = realloc(*list, (size_t)more * each);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a graph of %d values", count);
	*list = p;
	*has = more;
	return NS_OK;
}

static enum ns_status add_value(struct ns_dag *d, enum ns_dtype dtype, const struct ns_box *box, struct ns_dag_value **value, int *index)
{
	struct ns_box shape = *box; /* it may be one of a value's, which move */
	int64_t n = 1;
	int i;

	for (i = 0; i < box->rank; i++) {
		if (box->dim[i] < 0 || (box->dim[i] && n > ELEMENTS_MOST / box->dim[i]))
			return ns_fail(NS_INVALID, "dimension %d of a value would be %lld, which is more than any memory holds", i,
				       (long long)box->dim[i]);
		n *= box->dim[i] ? box->dim[i] : 1;
	}
	NS_TRY(room((void **)&d->values, &d->value_room, d->value_count, sizeof *d->values));
	*index = d->value_count++;
	*value = &d->values[*index];
	**value = (struct ns_dag_value){.dtype = dtype, .box = shape, .same_as = -1, .input = -1};
	return NS_OK;
}

static int64_t bytes_of(const struct ns_dag_value *v)
{
	return ns_box_count(&v->box) * (int64_t)ns_dtype_bytes(v->dtype);
}

static enum ns_status allocate(struct ns_dag *d, struct ns_dag_value *v)
{
	int64_t bytes = bytes_of(v);

	if (bytes > CONSTANTS_MOST - d->constant_bytes)
		return ns_fail(NS_INVALID, "its constants would take more than %lld MiB", (long long)(CONSTANTS_MOST >> 20));
	NS_TRY(ns_hostmem_make(&v->data, d->device, (size_t)(bytes ? bytes : 1)));
	d->constant_bytes += bytes;
	v->owned = 1;
	return NS_OK;
}

enum ns_status ns_dag_constant(struct ns_dag *d, enum ns_dtype dtype, const struct ns_box *box, const void *data, int *value)
{
	struct ns_dag_value *v;

	NS_TRY(add_value(d, dtype, box, &v, value));
	NS_TRY(allocate(d, v));
	if (data)
		memcpy(v->data, data, (size_t)bytes_of(v));
	return NS_OK;
}

enum ns_status ns_dag_borrow(struct ns_dag *d, enum ns_dtype dtype, const struct ns_box *box, const void *data, int *value)
{
	struct ns_dag_value *v;

	NS_TRY(add_value(d, dtype, box, &v, value));
	v->data = (void *)(uintptr_t)data;
	return NS_OK;
}

enum ns_status ns_dag_input(struct ns_dag *d, enum ns_dtype dtype, const struct ns_box *box, int *value)
{
	struct ns_dag_value *v;

	NS_TRY(add_value(d, dtype, box, &v, value));
	v->input = d->inputs++;
	return NS_OK;
}

enum ns_status ns_dag_value(struct ns_dag *d, enum ns_dtype dtype, const struct ns_box *box, const int *like, int n, int *value)
{
	struct ns_dag_value *v;
	int i;

	NS_TRY(add_value(d, dtype, box, &v, value));
	for (i = 0; i < n; i++)
		if (!ns_dag_is_constant(d, like[i]))
			return NS_OK;
	return allocate(d, v);
}

enum ns_status ns_dag_view(struct ns_dag *d, int value, const struct ns_box *box, int *view)
{
	struct ns_dag_value *v;
	enum ns_dtype dtype = d->values[value].dtype;

	if (ns_box_count(box) != ns_box_count(&d->values[value].box))
		return ns_fail(NS_INVALID, "%lld elements are to have a shape of %lld", (long long)ns_box_count(&d->values[value].box),
			       (long long)ns_box_count(box));
	NS_TRY(add_value(d, dtype, box, &v, view));
	v->data = d->values[value].data;
	v->same_as = d->values[value].same_as >= 0 ? d->values[value].same_as : value;
	return NS_OK;
}

enum ns_status ns_dag_spend(struct ns_dag *d, double steps)
{
	d->constant_work += steps;
	return d->constant_work <= d->work_most ? NS_OK
						: ns_fail(NS_INVALID, "its constants would take more than %.0f steps to compute", d->work_most);
}

/* It is computed now, as all that it reads is known. */
static enum ns_status compute(struct ns_dag *d, const struct ns_op *op, const int *in, int ins, const int *out, int outs)
{
	struct ns_args args = {0};
	struct ns_plan *plan = NULL;
	enum ns_status status;
	int i;

	for (i = 0; i < ins; i++)
		args.in[i] = in[i] < 0 ? NULL : d->values[in[i]].data;
	for (i = 0; i < outs; i++)
		args.out[i] = out[i] < 0 ? NULL : d->values[out[i]].data;
	NS_GO(ns_op_check(op));
	NS_GO(ns_dag_spend(d, ns_op_work(op)));
	NS_GO(ns_plan_make(&plan, d->device, op));
	if (plan->workspace_bytes)
		NS_GO(ns_hostmem_make(&args.workspace, d->device, plan->workspace_bytes));
	NS_GO(ns_plan_run(plan, &args, d->queue));
out:
	if (args.workspace)
		ns_hostmem_free(d->device, args.workspace);
	ns_plan_free(plan);
	return status;
}

enum ns_status ns_dag_add(struct ns_dag *d, const struct ns_op *op, const int *in, int ins, const int *out, int outs)
{
	struct ns_dag_node *n;
	int64_t elements = 0;
	int i, first = 0;

	while (first < outs - 1 && out[first] < 0) /* nobody asks for those before */
		first++;
	for (i = 0; i < outs; i++)
		elements += out[i] < 0 ? 0 : ns_box_count(&d->values[out[i]].box);
	if (!elements) /* there is nothing to compute, however long that would take */
		return NS_OK;
	if (ns_dag_is_constant(d, out[first]))
		return compute(d, op, in, ins, out, outs);
	NS_TRY(ns_op_check(op));
	NS_TRY(room((void **)&d->nodes, &d->node_room, d->node_count, sizeof *d->nodes));
	n = &d->nodes[d->node_count++];
	*n = (struct ns_dag_node){.op = *op, .ins = ins, .outs = outs};
	for (i = 0; i < ins; i++)
		n->in[i] = in[i];
	for (i = 0; i < outs; i++)
		n->out[i] = out[i];
	return NS_OK;
}

void ns_dag_sweep(struct ns_dag *d)
{
	int i = 0, j;

	for (j = 0; j < d->node_count; j++)
		if (d->nodes[j].op.kind != NS_OP_KINDS) {
			if (i != j)
				d->nodes[i] = d->nodes[j];
			i++;
		}
	d->node_count = i;
}

const struct ns_dag_value *ns_dag_at(const struct ns_dag *d, int value)
{
	return &d->values[value];
}

int ns_dag_is_constant(const struct ns_dag *d, int value)
{
	return value < 0 || d->values[value].data != NULL;
}

double ns_dag_number(const struct ns_dag *d, int value, int64_t i)
{
	return ns_typed_get(d->values[value].data, d->values[value].dtype, i);
}

int64_t ns_dag_whole(const struct ns_dag *d, int value, int64_t i)
{
	return ns_typed_get_whole(d->values[value].data, d->values[value].dtype, i);
}
