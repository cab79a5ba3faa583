/* host/onnx/shape.c - operators that give elements another shape, order or place. */
#include <string.h>

#include "host/onnx/import_inner.h"

/* --- other shapes --- */

static enum ns_status reshape(struct ns_maker *m)
{
	const struct ns_box *from = &ns_maker_in(m, 0)->box;
	struct ns_box box = {0};
	int64_t given[NS_RANK], allow, known = 1, total = ns_box_count(from);
	const int64_t *list = given;
	int i, n, open = -1;

	NS_TRY(ns_maker_int(m, "allowzero", 0, &allow));
	if (m->opset < 5)
		NS_TRY(ns_maker_ints(m, "shape", &list, &n));
	else
		NS_TRY(ns_maker_list(m, 1, given, NS_RANK, &n));
	if (n < 0 || n > NS_RANK)
		return ns_fail(NS_INVALID, "a shape of %d dimensions", n);
	for (box.rank = n, i = 0; i < n; i++) {
		box.dim[i] = list[i];
		if (list[i] == 0 && !allow) {
			if (i >= from->rank)
				return ns_fail(NS_INVALID, "dimension %d is to stay, but there are %d", i, from->rank);
			box.dim[i] = from->dim[i];
		}
		if (list[i] == -1 && open < 0)
			open = i;
		else if (list[i] < 0)
			return ns_fail(NS_INVALID, "dimension %d is %lld", i, (long long)list[i]);
		else if (box.dim[i] && known > INT64_MAX / 64 / box.dim[i])
			return ns_fail(NS_INVALID, "dimension %d is %lld, which is more than any memory holds", i, (long long)list[i]);
		else
			known *= box.dim[i];
	}
	if (open >= 0) {
		if (known < 1 || total % known)
			return ns_fail(NS_INVALID, "%lld elements do not divide into %lld", (long long)total, (long long)known);
		box.dim[open] = total / known;
	}
	return ns_dag_view(m->dag, m->in[0], &box, &m->out[0]);
}

static enum ns_status flatten(struct ns_maker *m)
{
	const struct ns_box *from = &ns_maker_in(m, 0)->box;
	struct ns_box box = {2, {1, 1}};
	int64_t axis;
	int d;

	NS_TRY(ns_maker_int(m, "axis", 1, &axis));
	if (axis < -from->rank || axis > from->rank)
		return ns_fail(NS_INVALID, "axis %lld of %d", (long long)axis, from->rank);
	axis = axis < 0 ? axis + from->rank : axis;
	for (d = 0; d < from->rank; d++)
		box.dim[d >= axis] *= from->dim[d];
	return ns_dag_view(m->dag, m->in[0], &box, &m->out[0]);
}

static enum ns_status squeeze(struct ns_maker *m)
{
	const struct ns_box *from = &ns_maker_in(m, 0)->box;
	struct ns_box box = {0};
	unsigned axes;
	int d, n;

	NS_TRY(ns_maker_axes(m, from->rank, 1, 13, &axes, &n));
	for (d = 0; d < from->rank; d++) {
		if (n >= 0 ? axes >> d & 1 : from->dim[d] == 1) {
			if (from->dim[d] != 1)
				return ns_fail(NS_INVALID, "axis %d has %lld elements, expected 1", d, (long long)from->dim[d]);
			continue;
		}
		box.dim[box.rank++] = from->dim[d];
	}
	return ns_dag_view(m->dag, m->in[0], &box, &m->out[0]);
}

static enum ns_status unsqueeze(struct ns_maker *m)
{
	const struct ns_box *from = &ns_maker_in(m, 0)->box;
	struct ns_box box = {0};
	int64_t list[NS_RANK];
	const int64_t *given = list;
	unsigned axes = 0;
	int i, n, d, at = 0;

	if (m->opset >= 13)
		NS_TRY(ns_maker_list(m, 1, list, NS_RANK, &n));
	else
		NS_TRY(ns_maker_ints(m, "axes", &given, &n));
	if (n < 0 || from->rank + n > NS_RANK)
		return ns_fail(NS_INVALID, "it would have %d axes, expected at most %d", from->rank + n, NS_RANK);
	for (i = 0; i < n; i++) {
		NS_TRY(ns_maker_axis(m, given[i], from->rank + n, &d));
		if (axes >> d & 1)
			return ns_fail(NS_INVALID, "axis %d is named twice", d);
		axes |= 1u << d;
	}
	for (box.rank = from->rank + n, d = 0; d < box.rank; d++)
		box.dim[d] = axes >> d & 1 ? 1 : from->dim[at++];
	return ns_dag_view(m->dag, m->in[0], &box, &m->out[0]);
}

static enum ns_status shape(struct ns_maker *m)
{
	const struct ns_box *from = &ns_maker_in(m, 0)->box;
	int64_t start, end, dims[NS_RANK], size = ns_box_count(from);
	int d, n = 0;

	if (m->row->what)
		return ns_dag_constant(m->dag, NS_I64, &(struct ns_box){0}, &size, &m->out[0]);
	NS_TRY(ns_maker_int(m, "start", 0, &start));
	NS_TRY(ns_maker_int(m, "end", from->rank, &end));
	start += start < 0 ? from->rank : 0;
	end += end < 0 ? from->rank : 0;
	for (d = 0; d < from->rank; d++)
		if (d >= start && d < end)
			dims[n++] = from->dim[d];
	return ns_dag_constant(m->dag, NS_I64, &(struct ns_box){1, {n}}, dims, &m->out[0]);
}

/* --- other orders --- */

static enum ns_status transpose(struct ns_maker *m)
{
	int order[NS_RANK], d, n, rank = ns_maker_in(m, 0)->box.rank;
	const int64_t *perm;

	NS_TRY(ns_maker_ints(m, "perm", &perm, &n));
	if (perm && n != rank)
		return ns_fail(NS_INVALID, "an order of %d axes for %d", n, rank);
	for (d = 0; d < rank; d++) {
		order[d] = perm ? (perm[d] < 0 || perm[d] >= rank ? -1 : (int)perm[d]) : rank - 1 - d;
		if (order[d] < 0)
			return ns_fail(NS_INVALID, "axis %lld of %d", (long long)perm[d], rank);
	}
	return ns_dag_transpose(m->dag, m->in[0], order, &m->out[0]);
}

/* what: 1 for DepthToSpace */
static enum ns_status depth_space(struct ns_maker *m)
{
	static const char *const modes[] = {"DCR", "CRD", NULL};
	const struct ns_box b = ns_maker_in(m, 0)->box;
	int64_t k, c = b.rank == 4 ? b.dim[1] : 0;
	int mode, y;

	NS_TRY(ns_maker_int(m, "blocksize", 0, &k));
	NS_TRY(ns_maker_word(m, "mode", modes, 0, &mode));
	if (b.rank != 4 || k < 1 || k > 1 << 12 || (m->row->what ? c % (k * k) : b.dim[2] % k || b.dim[3] % k))
		return ns_fail(NS_INVALID, "blocks of %lld do not divide it", (long long)k);
	if (!m->row->what) {
		NS_TRY(ns_dag_view(m->dag, m->in[0], &(struct ns_box){6, {b.dim[0], c, b.dim[2] / k, k, b.dim[3] / k, k}}, &y));
		NS_TRY(ns_dag_transpose(m->dag, y, (int[]){0, 3, 5, 1, 2, 4}, &y));
		return ns_dag_view(m->dag, y, &(struct ns_box){4, {b.dim[0], c * k * k, b.dim[2] / k, b.dim[3] / k}}, &m->out[0]);
	}
	if (mode) {
		NS_TRY(ns_dag_view(m->dag, m->in[0], &(struct ns_box){6, {b.dim[0], c / (k * k), k, k, b.dim[2], b.dim[3]}}, &y));
		NS_TRY(ns_dag_transpose(m->dag, y, (int[]){0, 1, 4, 2, 5, 3}, &y));
	} else {
		NS_TRY(ns_dag_view(m->dag, m->in[0], &(struct ns_box){6, {b.dim[0], k, k, c / (k * k), b.dim[2], b.dim[3]}}, &y));
		NS_TRY(ns_dag_transpose(m->dag, y, (int[]){0, 3, 4, 1, 5, 2}, &y));
	}
	return ns_dag_view(m->dag, y, &(struct ns_box){4, {b.dim[0], c / (k * k), b.dim[2] * k, b.dim[3] * k}}, &m->out[0]);
}

/* Images of a batch, each with its own length to reverse: one slice and one join each. */
static enum ns_status reverse_sequence(struct ns_maker *m)
{
	const struct ns_box b = ns_maker_in(m, 0)->box;
	int64_t batch, time, lengths[32], i, start[NS_RANK] = {0}, step[NS_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
	int n, part[32], two[2];

	NS_TRY(ns_maker_int(m, "batch_axis", 1, &batch));
	NS_TRY(ns_maker_int(m, "time_axis", 0, &time));
	NS_TRY(ns_maker_list(m, 1, lengths, 32, &n));
	if (b.rank < 2 || (batch != 0 && batch != 1) || time != 1 - batch || b.dim[batch] != n || n < 1)
		return ns_fail(NS_INVALID, "axes %lld and %lld, and %d lengths", (long long)batch, (long long)time, n);
	for (i = 0; i < n; i++) {
		struct ns_box box = b;

		if (lengths[i] < 0 || lengths[i] > b.dim[time])
			return ns_fail(NS_INVALID, "length %lld of %lld", (long long)lengths[i], (long long)b.dim[time]);
		box.dim[batch] = 1;
		box.dim[time] = lengths[i];
		start[batch] = i;
		start[time] = lengths[i] - 1;
		step[time] = -1;
		NS_TRY(ns_dag_slice(m->dag, m->in[0], start, step, &box, &two[0]));
		box.dim[time] = b.dim[time] - lengths[i];
		start[time] = lengths[i];
		step[time] = 1;
		NS_TRY(ns_dag_slice(m->dag, m->in[0], start, step, &box, &two[1]));
		NS_TRY(ns_dag_concat(m->dag, two, 2, (int)time, &part[i]));
	}
	return ns_dag_concat(m->dag, part, n, (int)batch, &m->out[0]);
}

/* --- parts and joins --- */

static enum ns_status concat(struct ns_maker *m)
{
	int64_t axis;
	int d, k;

	NS_TRY(ns_maker_int(m, "axis", 1, &axis));
	for (k = 0; k < m->ins; k++)
		if (m->in[k] < 0)
			return ns_fail(NS_INVALID, "input %d is left out", k);
	NS_TRY(ns_maker_axis(m, axis, ns_maker_in(m, 0)->box.rank, &d));
	return ns_dag_concat(m->dag, m->in, m->ins, d, &m->out[0]);
}

static enum ns_status split(struct ns_maker *m)
{
	struct ns_box box = ns_maker_in(m, 0)->box;
	int64_t axis, list[NS_ONNX_INS], start[NS_RANK] = {0}, step[NS_RANK] = {1, 1, 1, 1, 1, 1, 1, 1}, each, whole, parts;
	const int64_t *given = list;
	int d, k, n;

	NS_TRY(ns_maker_int(m, "axis", 0, &axis));
	NS_TRY(ns_maker_int(m, "num_outputs", m->outs, &parts));
	NS_TRY(ns_maker_axis(m, axis, box.rank, &d));
	if (m->opset < 13)
		NS_TRY(ns_maker_ints(m, "split", &given, &n));
	else
		NS_TRY(ns_maker_list(m, 1, list, NS_ONNX_INS, &n));
	whole = box.dim[d];
	if ((n > 0 && n != m->outs) || parts != m->outs)
		return ns_fail(NS_INVALID, "%d parts into %d outputs", n, m->outs);
	each = (whole + m->outs - 1) / m->outs;
	for (k = 0; k < m->outs; k++) {
		box.dim[d] = n > 0 ? given[k] : each < whole - start[d] ? each : whole - start[d];
		if (box.dim[d] < 0 || box.dim[d] > whole - start[d])
			return ns_fail(NS_INVALID, "part %d is %lld of %lld", k, (long long)box.dim[d], (long long)whole);
		NS_TRY(ns_dag_slice(m->dag, m->in[0], start, step, &box, &m->out[k]));
		start[d] += box.dim[d];
	}
	return start[d] == whole ? NS_OK : ns_fail(NS_INVALID, "parts of %lld in all, expected %lld", (long long)start[d], (long long)whole);
}

/* The four lists of a slice: attributes before version 10. */
static enum ns_status slice_lists(const struct ns_maker *m, int64_t (*list)[NS_RANK], int *n)
{
	static const char *const names[] = {"starts", "ends", "axes"};
	const int64_t *given;
	int k, i;

	for (k = 0; k < 4; k++) {
		if (m->opset >= 10) {
			NS_TRY(ns_maker_list(m, k + 1, list[k], NS_RANK, &n[k]));
			continue;
		}
		n[k] = -1;
		if (k == 3)
			continue;
		NS_TRY(ns_maker_ints(m, names[k], &given, &n[k]));
		n[k] = given ? n[k] : -1;
		if (n[k] > NS_RANK)
			return ns_fail(NS_INVALID, "%d %s", n[k], names[k]);
		for (i = 0; i < n[k]; i++)
			list[k][i] = given[i];
	}
	if (n[0] < 0 || n[0] != n[1] || (n[2] >= 0 && n[2] != n[0]) || (n[3] >= 0 && n[3] != n[0]))
		return ns_fail(NS_INVALID, "%d starts, %d ends, %d axes and %d steps", n[0], n[1], n[2], n[3]);
	return NS_OK;
}

static int64_t clamp(int64_t x, int64_t low, int64_t high)
{
	return x < low ? low : x > high ? high : x;
}

static enum ns_status slice(struct ns_maker *m)
{
	struct ns_box box = ns_maker_in(m, 0)->box;
	int64_t list[4][NS_RANK], start[NS_RANK] = {0}, step[NS_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
	int n[4], i, d, rank = box.rank;

	NS_TRY(slice_lists(m, list, n));
	for (i = 0; i < n[0]; i++) {
		int64_t size, from = list[0][i], to = list[1][i], by = n[3] >= 0 ? list[3][i] : 1;

		NS_TRY(ns_maker_axis(m, n[2] >= 0 ? list[2][i] : i, rank, &d));
		size = ns_maker_in(m, 0)->box.dim[d];
		if (by == 0 || by == INT64_MIN)
			return ns_fail(NS_INVALID, "a step of %lld", (long long)by);
		from = from < 0 ? (from < -size ? -1 : from + size) : from;
		to = to < 0 ? (to < -size ? -1 : to + size) : to;
		if (!size) {
			box.dim[d] = 0;
			continue;
		}
		from = by > 0 ? clamp(from, 0, size) : clamp(from, 0, size - 1);
		to = by > 0 ? clamp(to, 0, size) : clamp(to, -1, size - 1);
		box.dim[d] = by > 0 ? (to > from ? (to - from - 1) / by + 1 : 0) : (from > to ? (from - to - 1) / -by + 1 : 0);
		start[d] = from;
		step[d] = by;
	}
	return ns_dag_slice(m->dag, m->in[0], start, step, &box, &m->out[0]);
}

static enum ns_status pad(struct ns_maker *m)
{
	static const char *const modes[] = {"constant", "edge", "reflect", "wrap", NULL};
	static const int rules[] = {NS_MOVE_PLAIN, NS_MOVE_EDGE, NS_MOVE_REFLECT, NS_MOVE_WRAP};
	int64_t list[2 * NS_RANK], axes[NS_RANK], before[NS_RANK] = {0}, after[NS_RANK] = {0};
	const int64_t *given = list;
	int mode, n, k, i, d, rank = ns_maker_in(m, 0)->box.rank, fill = -1;
	double value;

	NS_TRY(ns_maker_word(m, "mode", modes, 0, &mode));
	if (m->opset < 11) {
		NS_TRY(ns_maker_ints(m, m->opset < 2 ? "paddings" : "pads", &given, &n));
		NS_TRY(ns_maker_float(m, "value", 0, &value));
		NS_TRY(ns_dag_fill(m->dag, ns_maker_in(m, 0)->dtype, &(struct ns_box){0}, value, &fill));
	} else {
		NS_TRY(ns_maker_list(m, 1, list, 2 * NS_RANK, &n));
		if (ns_maker_has(m, 2)) {
			NS_TRY(ns_dag_view(m->dag, m->in[2], &(struct ns_box){0}, &fill));
			NS_TRY(ns_dag_cast(m->dag, fill, ns_maker_in(m, 0)->dtype, &fill));
		}
	}
	NS_TRY(ns_maker_list(m, 3, axes, NS_RANK, &k));
	if (k < 0)
		for (k = rank, i = 0; i < k; i++)
			axes[i] = i;
	if (n != 2 * k)
		return ns_fail(NS_INVALID, "%d pads of %d axes", n, k);
	for (i = 0; i < k; i++) {
		NS_TRY(ns_maker_axis(m, axes[i], rank, &d));
		before[d] = given[i];
		after[d] = given[k + i];
		if (before[d] < -(1 << 28) || before[d] > 1 << 28 || after[d] < -(1 << 28) || after[d] > 1 << 28)
			return ns_fail(NS_INVALID, "pads of %lld and %lld", (long long)before[d], (long long)after[d]);
	}
	return ns_dag_pad(m->dag, m->in[0], before, after, rules[mode], fill, &m->out[0]);
}

static enum ns_status expand(struct ns_maker *m)
{
	struct ns_box box = {0}, out;
	int n;

	NS_TRY(ns_maker_list(m, 1, box.dim, NS_RANK, &n));
	box.rank = n;
	NS_TRY(ns_dag_broadcast(&ns_maker_in(m, 0)->box, &box, &out));
	return ns_dag_expand(m->dag, m->in[0], &out, &m->out[0]);
}

static enum ns_status tile(struct ns_maker *m)
{
	struct ns_box box = ns_maker_in(m, 0)->box;
	int64_t times[NS_RANK], after[NS_RANK] = {0}, before[NS_RANK] = {0};
	int d, n;

	NS_TRY(ns_maker_list(m, 1, times, NS_RANK, &n));
	if (n != box.rank || m->ins > 2)
		return ns_fail(m->ins > 2 ? NS_DECLINED : NS_INVALID, "%d repeats of %d axes", n, box.rank);
	for (d = 0; d < n; d++) {
		if (times[d] < 0 || times[d] > 1 << 28 || box.dim[d] > (int64_t)1 << 32)
			return ns_fail(NS_INVALID, "axis %d %lld times", d, (long long)times[d]);
		after[d] = box.dim[d] * (times[d] - 1);
	}
	return ns_dag_pad(m->dag, m->in[0], before, after, NS_MOVE_WRAP, -1, &m->out[0]);
}

const struct ns_onnx_row ns_onnx_shape[] = {
	{"Reshape", reshape, 1, 2, 0, "shape allowzero consumed_inputs"},
	{"Flatten", flatten, 1, 1, 0, "axis"},
	{"Squeeze", squeeze, 1, 2, 0, "axes"},
	{"Unsqueeze", unsqueeze, 1, 2, 0, "axes"},
	{"Shape", shape, 1, 1, 0, "start end"},
	{"Size", shape, 1, 1, 1, ""},
	{"Transpose", transpose, 1, 1, 0, "perm"},
	{"DepthToSpace", depth_space, 1, 1, 1, "blocksize mode"},
	{"SpaceToDepth", depth_space, 1, 1, 0, "blocksize"},
	{"ReverseSequence", reverse_sequence, 2, 2, 0, "batch_axis time_axis"},
	{"Concat", concat, 1, NS_ONNX_INS, 0, "axis"},
	{"Split", split, 1, 2, 0, "axis split num_outputs"},
	{"Slice", slice, 1, 5, 0, "starts ends axes"},
	{"Pad", pad, 1, 4, 0, "mode pads paddings value"},
	{"Expand", expand, 2, 2, 0, ""},
	{"Tile", tile, 2, 3, 0, ""},
	{0},
};
