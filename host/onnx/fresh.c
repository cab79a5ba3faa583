/* host/onnx/fresh.c - operators that make tensors: constants, ranges, triangles. */
#include <math.h>

#include "host/onnx/import_inner.h"

/* One triangle of matrices, zero elsewhere. */
static enum ns_status triangle(struct ns_maker *m)
{
	const struct ns_dag_value *v = ns_maker_in(m, 0);
	struct ns_box box = v->box, plane;
	int64_t upper, k[1] = {0}, i, j;
	int n, mask, zero, rank = box.rank;
	unsigned char *keep;

	NS_TRY(ns_maker_int(m, "upper", 1, &upper));
	NS_TRY(ns_maker_list(m, 1, k, 1, &n));
	if (rank < 2)
		return ns_fail(NS_INVALID, "%d axes, expected at least 2", rank);
	plane = (struct ns_box){2, {box.dim[rank - 2], box.dim[rank - 1]}};
	NS_TRY(ns_dag_constant(m->dag, NS_BOOL, &plane, NULL, &mask));
	NS_TRY(ns_dag_spend(m->dag, (double)plane.dim[0] * (1 + (double)plane.dim[1])));
	keep = m->dag->values[mask].data;
	for (i = 0; i < plane.dim[0]; i++)
		for (j = 0; j < plane.dim[1]; j++)
			keep[i * plane.dim[1] + j] = upper ? j - i >= k[0] : j - i <= k[0];
	NS_TRY(ns_dag_constant(m->dag, ns_maker_in(m, 0)->dtype, &(struct ns_box){0}, NULL, &zero));
	return ns_dag_formula(m->dag, NS_PW_WHERE, (int[]){mask, m->in[0], zero}, 3, ns_maker_in(m, 0)->dtype, &m->out[0]);
}

static enum ns_status constant(struct ns_maker *m)
{
	const struct ns_onnx_attribute *a;

	if (m->node->attributes != 1)
		return ns_fail(NS_INVALID, "%d attributes, expected one, its value", m->node->attributes);
	a = &m->o->attributes[m->node->first_attribute];
	switch (a->kind) {
	case NS_ONNX_T:
		return ns_maker_tensor(m->o, m->dag, m->given, a->first, &m->out[0]);
	case NS_ONNX_F:
		return ns_dag_constant(m->dag, NS_F32, &(struct ns_box){0}, &a->f, &m->out[0]);
	case NS_ONNX_I:
		return ns_dag_constant(m->dag, NS_I64, &(struct ns_box){0}, &a->i, &m->out[0]);
	case NS_ONNX_FLOATS:
		return ns_dag_constant(m->dag, NS_F32, &(struct ns_box){1, {a->count}}, a->count ? m->o->floats + a->first : NULL, &m->out[0]);
	case NS_ONNX_INTS:
		return ns_dag_constant(m->dag, NS_I64, &(struct ns_box){1, {a->count}}, a->count ? m->o->ints + a->first : NULL, &m->out[0]);
	default:
		return ns_fail(NS_DECLINED, "a constant of texts, or a sparse one");
	}
}

static enum ns_status constant_of_shape(struct ns_maker *m)
{
	const struct ns_onnx_attribute *a = ns_maker_attribute(m, "value");
	struct ns_box box = {0};
	int n, value;

	NS_TRY(ns_maker_list(m, 0, box.dim, NS_RANK, &n));
	box.rank = n;
	if (!a)
		return ns_dag_fill(m->dag, NS_F32, &box, 0, &m->out[0]);
	if (a->kind != NS_ONNX_T || m->o->tensors[a->first].count != 1)
		return ns_fail(NS_INVALID, "attribute 'value' is no tensor of one element");
	NS_TRY(ns_maker_tensor(m->o, m->dag, m->given, a->first, &value));
	NS_TRY(ns_dag_view(m->dag, value, &(struct ns_box){0}, &value));
	return ns_dag_expand(m->dag, value, &box, &m->out[0]);
}

static enum ns_status range(struct ns_maker *m)
{
	enum ns_dtype dtype = ns_maker_in(m, 0)->dtype;
	struct ns_box box = {1, {0}};
	double start, limit, delta, n;
	int64_t i, *list;
	int k, y;

	for (k = 0; k < 3; k++)
		if (!ns_dag_is_constant(m->dag, m->in[k]) || ns_box_count(&ns_maker_in(m, k)->box) != 1)
			return ns_fail(NS_DECLINED, "input %d is known only when it runs, and shapes depend on it", k);
	start = ns_dag_number(m->dag, m->in[0], 0);
	limit = ns_dag_number(m->dag, m->in[1], 0);
	delta = ns_dag_number(m->dag, m->in[2], 0);
	n = ceil((limit - start) / delta);
	if (!(n < 1 << 28) || delta == 0)
		return ns_fail(NS_INVALID, "from %g to %g by %g", start, limit, delta);
	box.dim[0] = n > 0 ? (int64_t)n : 0;
	NS_TRY(ns_dag_constant(m->dag, NS_I64, &box, NULL, &y));
	list = m->dag->values[y].data;
	for (i = 0; i < box.dim[0]; i++)
		list[i] = i;
	NS_TRY(ns_dag_formula(m->dag, NS_PW_MUL, (int[]){y, m->in[2]}, 2, dtype, &y));
	return ns_dag_formula(m->dag, NS_PW_ADD, (int[]){y, m->in[0]}, 2, dtype, &m->out[0]);
}

static enum ns_status eye_like(struct ns_maker *m)
{
	const struct ns_box b = ns_maker_in(m, 0)->box;
	enum ns_dtype dtype = ns_maker_in(m, 0)->dtype;
	int64_t k, type, i;
	int y;

	NS_TRY(ns_maker_int(m, "k", 0, &k));
	NS_TRY(ns_maker_int(m, "dtype", 0, &type));
	if (type)
		NS_TRY(ns_onnx_dtype((int)type, &dtype));
	if (b.rank != 2)
		return ns_fail(NS_INVALID, "%d axes, expected 2", b.rank);
	NS_TRY(ns_dag_constant(m->dag, NS_BOOL, &b, NULL, &y));
	NS_TRY(ns_dag_spend(m->dag, (double)b.dim[0]));
	for (i = 0; i < b.dim[0] && k > -((int64_t)1 << 44) && k < (int64_t)1 << 44; i++)
		if (i + k >= 0 && i + k < b.dim[1])
			((unsigned char *)m->dag->values[y].data)[i * b.dim[1] + i + k] = 1;
	return ns_dag_cast(m->dag, y, dtype, &m->out[0]);
}

const struct ns_onnx_row ns_onnx_fresh[] = {
	{"Trilu", triangle, 1, 2, 0, "upper"},
	{"Constant", constant, 0, 0, 0, "value value_float value_int value_floats value_ints value_string value_strings sparse_value"},
	{"ConstantOfShape", constant_of_shape, 1, 1, 0, "value"},
	{"Range", range, 3, 3, 0, ""},
	{"EyeLike", eye_like, 1, 1, 0, "k dtype"},
	{0},
};
