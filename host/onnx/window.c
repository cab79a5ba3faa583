/* host/onnx/window.c - operators with windows over one to three axes: convolution, pooling, resizing. */
#include <math.h>
#include <string.h>

#include "host/onnx/import_inner.h"

/* --- windows --- */

static enum ns_status numbers(struct ns_maker *m, const char *name, int n, int64_t fallback, int64_t *values)
{
	const int64_t *given;
	int i, count;

	NS_TRY(ns_maker_ints(m, name, &given, &count));
	if (given && count != n)
		return ns_fail(NS_INVALID, "%d %s, expected %d", count, name, n);
	for (i = 0; i < n; i++) {
		values[i] = given ? given[i] : fallback;
		if (values[i] < 0 || values[i] > 1 << 28)
			return ns_fail(NS_INVALID, "%s of %lld", name, (long long)values[i]);
	}
	return NS_OK;
}

/* Sizes, strides, dilations, and pads by what auto_pad says; `out` with ceil where it is asked for. */
static enum ns_status window(struct ns_maker *m, const struct ns_box *x, const int64_t *kernel, int ceil_mode, struct ns_window *w)
{
	static const char *const words[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", NULL};
	int64_t pads[2 * NS_AXES], all = 1;
	int d, pad;

	memset(w, 0, sizeof *w);
	w->axes = x->rank - 2;
	if (w->axes < 1 || w->axes > NS_AXES)
		return ns_fail(NS_DECLINED, "%d spatial axes", w->axes);
	NS_TRY(ns_maker_word(m, "auto_pad", words, 0, &pad));
	NS_TRY(numbers(m, "kernel_shape", w->axes, 0, w->kernel));
	NS_TRY(numbers(m, "strides", w->axes, 1, w->stride));
	NS_TRY(numbers(m, "dilations", w->axes, 1, w->dilation));
	NS_TRY(numbers(m, "pads", 2 * w->axes, 0, pads));
	for (d = 0; d < w->axes; d++) {
		int64_t span, total, taps = (kernel ? kernel[d] : w->kernel[d]);

		if (taps > 0 && all > (1 << 28) / taps)
			return ns_fail(NS_INVALID, "windows of more than %d places", 1 << 28);
		all *= taps;

		if (kernel && w->kernel[d] && w->kernel[d] != kernel[d])
			return ns_fail(NS_INVALID, "a kernel of %lld and weights of %lld", (long long)w->kernel[d], (long long)kernel[d]);
		w->kernel[d] = kernel ? kernel[d] : w->kernel[d];
		w->in[d] = x->dim[d + 2];
		if (w->stride[d] < 1 || w->dilation[d] < 1 || w->kernel[d] < 1 || w->kernel[d] > 1 << 28 || w->in[d] < 1 || w->in[d] > 1 << 28)
			return ns_fail(NS_INVALID, "axis %d: stride %lld, dilation %lld, kernel %lld, size %lld", d, (long long)w->stride[d],
				       (long long)w->dilation[d], (long long)w->kernel[d], (long long)w->in[d]);
		span = (w->kernel[d] - 1) * w->dilation[d] + 1;
		w->pad[d] = pad ? 0 : pads[d];
		w->pad_end[d] = pad ? 0 : pads[w->axes + d];
		if (pad == 1 || pad == 2) {
			total = ((w->in[d] + w->stride[d] - 1) / w->stride[d] - 1) * w->stride[d] + span - w->in[d];
			total = total < 0 ? 0 : total;
			w->pad[d] = pad == 1 ? total / 2 : total - total / 2;
			w->pad_end[d] = total - w->pad[d];
		}
		total = w->in[d] + w->pad[d] + w->pad_end[d] - span;
		if (ceil_mode && total < 0 && total > -w->stride[d]) { /* one that begins inside and ends beyond */
			w->out[d] = 1;
			continue;
		}
		if (total < 0)
			return ns_fail(NS_INVALID, "axis %d of %lld is smaller than its window of %lld", d, (long long)w->in[d], (long long)span);
		w->out[d] = total / w->stride[d] + 1;
		if (ceil_mode && total % w->stride[d] && w->out[d] * w->stride[d] < w->in[d] + w->pad[d]) /* it has to begin inside */
			w->out[d]++;
	}
	return NS_OK;
}

static struct ns_box with_out(const struct ns_window *w, int64_t n, int64_t c)
{
	struct ns_box box = {w->axes + 2, {n, c}};

	memcpy(box.dim + 2, w->out, sizeof *w->out * (size_t)w->axes);
	return box;
}

/* --- convolution --- */

static enum ns_status convolve(struct ns_maker *m, int x, int w, int bias, enum ns_dtype dtype, int *y)
{
	const struct ns_box bx = ns_dag_at(m->dag, x)->box, bw = ns_dag_at(m->dag, w)->box;
	struct ns_op op = {.kind = NS_OP_CONVOLVE};
	struct ns_op_convolve *v = &op.u.convolve;
	const int in[3] = {x, w, bias};
	struct ns_box out;

	NS_TRY(ns_maker_int(m, "group", 1, &v->groups));
	if (bx.rank < 3 || bx.rank != bw.rank)
		return ns_fail(NS_INVALID, "images of %d axes and weights of %d", bx.rank, bw.rank);
	if (ns_dag_at(m->dag, x)->dtype != dtype || ns_dag_at(m->dag, w)->dtype != dtype || (bias >= 0 && ns_dag_at(m->dag, bias)->dtype != dtype))
		return ns_fail(NS_INVALID, "images, weights and bias are not all of %s", ns_dtype_name(dtype));
	NS_TRY(window(m, &bx, bw.dim + 2, 0, &v->window));
	if (v->groups < 1 || v->groups > bx.dim[1] || bx.dim[1] != bw.dim[1] * v->groups || bw.dim[0] % v->groups)
		return ns_fail(NS_INVALID, "%lld channels into weights of %lld x %lld in %lld groups", (long long)bx.dim[1], (long long)bw.dim[0],
			       (long long)bw.dim[1], (long long)v->groups);
	v->dtype = dtype;
	v->n = bx.dim[0];
	v->c = bw.dim[1];
	v->k = bw.dim[0] / v->groups;
	v->bias = bias >= 0;
	if (v->bias && ns_box_count(&ns_dag_at(m->dag, bias)->box) != bw.dim[0])
		return ns_fail(NS_INVALID, "a bias of %lld for %lld channels", (long long)ns_box_count(&ns_dag_at(m->dag, bias)->box),
			       (long long)bw.dim[0]);
	out = with_out(&v->window, v->n, bw.dim[0]);
	NS_TRY(ns_dag_value(m->dag, dtype, &out, in, 3, y));
	return ns_dag_add(m->dag, &op, in, 3, y, 1);
}

static enum ns_status conv(struct ns_maker *m)
{
	return convolve(m, m->in[0], m->in[1], ns_maker_has(m, 2) ? m->in[2] : -1, ns_maker_in(m, 0)->dtype, &m->out[0]);
}

/* x - zero point, in i32 */
static enum ns_status less_zero(struct ns_maker *m, int x, int zero, int axis, int *y)
{
	struct ns_box box = {.rank = ns_dag_at(m->dag, x)->box.rank};
	int d;

	if (zero < 0)
		return ns_dag_cast(m->dag, x, NS_I32, y);
	for (d = 0; d < box.rank; d++)
		box.dim[d] = d == axis ? ns_box_count(&ns_dag_at(m->dag, zero)->box) : 1;
	NS_TRY(ns_dag_view(m->dag, zero, &box, &zero));
	return ns_dag_formula(m->dag, NS_PW_SUB, (int[]){x, zero}, 2, NS_I32, y);
}

static enum ns_status conv_integer(struct ns_maker *m)
{
	int x, w;

	NS_TRY(less_zero(m, m->in[0], ns_maker_has(m, 2) ? m->in[2] : -1, -1, &x));
	NS_TRY(less_zero(m, m->in[1], ns_maker_has(m, 3) ? m->in[3] : -1, 0, &w));
	return convolve(m, x, w, -1, NS_I32, &m->out[0]);
}

/* round(sum * sx * sw / sy) + zero, saturated; scales of the weights by output channel. inputs: x sx zx w sw zw sy zy bias */
static enum ns_status qlinear_conv(struct ns_maker *m)
{
	int x, w, sum, scale, rank = ns_maker_in(m, 0)->box.rank, d;
	struct ns_box box = {.rank = rank};

	NS_TRY(less_zero(m, m->in[0], m->in[2], -1, &x));
	NS_TRY(less_zero(m, m->in[3], m->in[5], 0, &w));
	NS_TRY(convolve(m, x, w, ns_maker_has(m, 8) ? m->in[8] : -1, NS_I32, &sum));
	for (d = 0; d < rank; d++)
		box.dim[d] = d == 1 ? ns_box_count(&ns_maker_in(m, 4)->box) : 1;
	NS_TRY(ns_dag_view(m->dag, m->in[4], &box, &scale));
	return ns_maker_requantize(m, sum, scale, &m->out[0]);
}

/* Pads of a transposed convolution: given, or so that the output has the size that is asked for. */
static enum ns_status transposed_sizes(struct ns_maker *m, struct ns_window *w)
{
	static const char *const words[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", NULL};
	int64_t extra[NS_AXES], pads[2 * NS_AXES], shape[NS_AXES];
	const int64_t *given;
	int d, pad, n;

	NS_TRY(ns_maker_word(m, "auto_pad", words, 0, &pad));
	NS_TRY(numbers(m, "strides", w->axes, 1, w->stride));
	NS_TRY(numbers(m, "dilations", w->axes, 1, w->dilation));
	NS_TRY(numbers(m, "pads", 2 * w->axes, 0, pads));
	NS_TRY(numbers(m, "output_padding", w->axes, 0, extra));
	NS_TRY(ns_maker_ints(m, "output_shape", &given, &n));
	if (given && n != w->axes && n != w->axes + 2)
		return ns_fail(NS_INVALID, "an output_shape of %d axes", n);
	for (d = 0; d < w->axes; d++) {
		int64_t whole;

		if (w->stride[d] < 1 || w->dilation[d] < 1 || w->in[d] < 1 || w->in[d] > 1 << 28 || w->kernel[d] < 1 || w->kernel[d] > 1 << 28)
			return ns_fail(NS_INVALID, "axis %d: stride %lld, dilation %lld, size %lld", d, (long long)w->stride[d],
				       (long long)w->dilation[d], (long long)w->in[d]);
		whole = w->stride[d] * (w->in[d] - 1) + extra[d] + (w->kernel[d] - 1) * w->dilation[d] + 1;
		shape[d] = given ? given[n - w->axes + d] : pad == 1 || pad == 2 ? w->in[d] * w->stride[d] : whole - pads[d] - pads[w->axes + d];
		if (shape[d] < 1 || shape[d] > (int64_t)1 << 44)
			return ns_fail(NS_INVALID, "axis %d would have %lld places", d, (long long)shape[d]);
		w->pad[d] = pads[d];
		if (given || pad == 1 || pad == 2) {
			int64_t total = whole - shape[d];

			w->pad[d] = pad == 1 ? total / 2 : total - total / 2;
			if (total < 0)
				w->pad[d] = 0;
		}
		w->out[d] = shape[d];
	}
	return NS_OK;
}

static enum ns_status conv_transpose(struct ns_maker *m)
{
	const struct ns_box bx = ns_maker_in(m, 0)->box, bw = ns_maker_in(m, 1)->box;
	struct ns_op op = {.kind = NS_OP_CONVOLVE, .u.convolve.transposed = 1};
	struct ns_op_convolve *v = &op.u.convolve;
	const int in[3] = {m->in[0], m->in[1], ns_maker_has(m, 2) ? m->in[2] : -1};
	struct ns_box out;

	NS_TRY(ns_maker_int(m, "group", 1, &v->groups));
	v->window.axes = bx.rank - 2;
	if (bx.rank != bw.rank || v->window.axes < 1 || v->window.axes > NS_AXES || v->groups < 1 || bx.dim[1] != bw.dim[0] || bw.dim[0] % v->groups)
		return ns_fail(NS_INVALID, "images of %d axes, weights of %d, %lld groups", bx.rank, bw.rank, (long long)v->groups);
	memcpy(v->window.in, bx.dim + 2, sizeof *bx.dim * (size_t)v->window.axes);
	memcpy(v->window.kernel, bw.dim + 2, sizeof *bw.dim * (size_t)v->window.axes);
	NS_TRY(transposed_sizes(m, &v->window));
	v->dtype = ns_maker_in(m, 0)->dtype;
	if (ns_maker_in(m, 1)->dtype != v->dtype || (in[2] >= 0 && ns_maker_in(m, 2)->dtype != v->dtype))
		return ns_fail(NS_INVALID, "images, weights and bias are not all of %s", ns_dtype_name(v->dtype));
	v->n = bx.dim[0];
	v->c = bw.dim[0] / v->groups;
	v->k = bw.dim[1];
	v->bias = in[2] >= 0;
	if (v->bias && ns_box_count(&ns_maker_in(m, 2)->box) != v->k * v->groups)
		return ns_fail(NS_INVALID, "a bias for other than %lld channels", (long long)(v->k * v->groups));
	out = with_out(&v->window, v->n, v->k * v->groups);
	NS_TRY(ns_dag_value(m->dag, v->dtype, &out, in, 3, &m->out[0]));
	return ns_dag_add(m->dag, &op, in, 3, &m->out[0], 1);
}

/* --- pooling --- */

static enum ns_status pool(struct ns_maker *m)
{
	const struct ns_box bx = ns_maker_in(m, 0)->box;
	struct ns_op op = {.kind = NS_OP_POOL_ND, .u.pool_nd = {.inner = 1, .how = m->row->what, .dtype = ns_maker_in(m, 0)->dtype}};
	struct ns_op_pool_nd *v = &op.u.pool_nd;
	int64_t round_up, padding, p, order;
	struct ns_box out;

	NS_TRY(ns_maker_int(m, "ceil_mode", 0, &round_up));
	NS_TRY(ns_maker_int(m, "count_include_pad", 0, &padding));
	NS_TRY(ns_maker_int(m, "storage_order", 0, &order));
	NS_TRY(ns_maker_int(m, "p", 2, &p));
	if (!ns_maker_attribute(m, "kernel_shape") || p < 1 || p > 100)
		return ns_fail(NS_INVALID, "no kernel_shape, or a norm of %lld", (long long)p);
	NS_TRY(window(m, &bx, NULL, round_up != 0, &v->window));
	v->with_padding = padding != 0;
	v->column_major = order != 0;
	v->p = (int)p;
	v->planes = bx.dim[0] * bx.dim[1];
	v->indices = m->wanted[1];
	out = with_out(&v->window, bx.dim[0], bx.dim[1]);
	m->out[1] = -1;
	NS_TRY(ns_dag_value(m->dag, v->dtype, &out, m->in, 1, &m->out[0]));
	if (v->indices)
		NS_TRY(ns_dag_value(m->dag, NS_I64, &out, m->in, 1, &m->out[1]));
	return ns_dag_add(m->dag, &op, m->in, 1, m->out, 2);
}

/* Values back to where a pooling found them, zero elsewhere; a larger output_shape adds zeros at the ends. */
static enum ns_status max_unpool(struct ns_maker *m)
{
	const struct ns_box bx = ns_maker_in(m, 0)->box;
	struct ns_op op = {.kind = NS_OP_INDEX, .u.index = {.dtype = ns_maker_in(m, 0)->dtype, .how = NS_SCATTER_SET, .length = 1, .inner = 1}};
	struct ns_op_index *v = &op.u.index;
	struct ns_box out = bx;
	int64_t kernel[NS_AXES], stride[NS_AXES], pads[2 * NS_AXES], list[NS_RANK], none[NS_RANK] = {0};
	int d, n, zero, axes = bx.rank - 2, in[3];

	if (axes < 1 || axes > NS_AXES)
		return ns_fail(NS_DECLINED, "%d spatial axes", axes);
	NS_TRY(numbers(m, "kernel_shape", axes, 1, kernel));
	NS_TRY(numbers(m, "strides", axes, 1, stride));
	NS_TRY(numbers(m, "pads", 2 * axes, 0, pads));
	NS_TRY(ns_maker_list(m, 2, list, NS_RANK, &n));
	for (d = 0; d < axes; d++)
		out.dim[d + 2] = (bx.dim[d + 2] - 1) * stride[d] + kernel[d] - pads[d] - pads[axes + d];
	if (n >= 0 && n != bx.rank)
		return ns_fail(NS_INVALID, "an output_shape of %d axes", n);
	for (d = 0; d < n; d++) {
		list[d] -= d < out.rank ? out.dim[d] : 0;
		if (list[d] < 0 || list[d] > 1 << 28)
			return ns_fail(NS_INVALID, "an output_shape whose axis %d is smaller than the values need", d);
	}
	NS_TRY(ns_dag_fill(m->dag, v->dtype, &out, 0, &zero));
	v->tuples = (struct ns_box){1, {ns_box_count(&bx)}};
	v->at[0] = 1;
	v->size[0] = v->data = ns_box_count(&out);
	v->stride[0] = 1;
	in[0] = zero;
	if (ns_box_count(&ns_maker_in(m, 1)->box) != v->tuples.dim[0])
		return ns_fail(NS_INVALID, "%lld values and other than as many indices", (long long)v->tuples.dim[0]);
	NS_TRY(ns_dag_cast(m->dag, m->in[1], NS_I64, &in[1]));
	in[2] = m->in[0];
	NS_TRY(ns_dag_value(m->dag, v->dtype, &out, in, 3, &m->out[0]));
	NS_TRY(ns_dag_add(m->dag, &op, in, 3, &m->out[0], 1));
	return n < 0 ? NS_OK : ns_dag_pad(m->dag, m->out[0], none, list, NS_MOVE_PLAIN, -1, &m->out[0]);
}

/* x / (bias + alpha / size * sum of squares of the channels around)^beta */
static enum ns_status lrn(struct ns_maker *m)
{
	const struct ns_box b = ns_maker_in(m, 0)->box;
	enum ns_dtype dtype = ns_maker_in(m, 0)->dtype;
	struct ns_op op = {.kind = NS_OP_POOL_ND};
	struct ns_op_pool_nd *v = &op.u.pool_nd;
	struct ns_program p;
	int64_t size, inner = 1;
	double alpha, beta, bias;
	int d, square, sum, r, x;

	NS_TRY(ns_maker_float(m, "alpha", 0.0001, &alpha));
	NS_TRY(ns_maker_float(m, "beta", 0.75, &beta));
	NS_TRY(ns_maker_float(m, "bias", 1, &bias));
	NS_TRY(ns_maker_int(m, "size", 0, &size));
	if (b.rank < 2 || size < 1 || size > 1 << 20)
		return ns_fail(NS_INVALID, "windows of %lld channels", (long long)size);
	for (d = 2; d < b.rank; d++)
		inner *= b.dim[d];
	NS_TRY(ns_dag_formula(m->dag, NS_PW_MUL, (int[]){m->in[0], m->in[0]}, 2, dtype, &square));
	*v = (struct ns_op_pool_nd){.dtype = dtype, .planes = b.dim[0], .inner = 1, .how = NS_WINDOW_AVG, .with_padding = 1};
	v->window = (struct ns_window){.axes = 2,
				       .in = {b.dim[1], inner},
				       .out = {b.dim[1], inner},
				       .kernel = {size, 1},
				       .stride = {1, 1},
				       .dilation = {1, 1}};
	v->window.pad[0] = (size - 1) / 2;
	v->window.pad_end[0] = size - 1 - (size - 1) / 2;
	NS_TRY(ns_dag_value(m->dag, dtype, &b, &square, 1, &sum));
	NS_TRY(ns_dag_add(m->dag, &op, &square, 1, &sum, 1));
	ns_program_begin(&p);
	x = ns_program_input(&p, m->in[0]);
	r = ns_program_input(&p, sum);
	d = ns_program_constant(&p, alpha);
	(void)ns_program_constant(&p, bias);
	(void)ns_program_constant(&p, beta);
	r = ns_program_step(&p, NS_PW_ADD, ns_program_step(&p, NS_PW_MUL, r, d, 0), d + 1, 0);
	ns_program_step(&p, NS_PW_DIV, x, ns_program_step(&p, NS_PW_POW, r, d + 2, 0), 0);
	return ns_dag_program(m->dag, &p, dtype, &m->out[0]);
}

const struct ns_onnx_row ns_onnx_window[] = {
	{"Conv", conv, 2, 3, 0, "auto_pad dilations group kernel_shape pads strides"},
	{"ConvInteger", conv_integer, 2, 4, 0, "auto_pad dilations group kernel_shape pads strides"},
	{"QLinearConv", qlinear_conv, 8, 9, 0, "auto_pad dilations group kernel_shape pads strides"},
	{"ConvTranspose", conv_transpose, 2, 3, 0, "auto_pad dilations group kernel_shape output_padding output_shape pads strides"},
	{"MaxPool", pool, 1, 1, NS_WINDOW_MAX, "auto_pad ceil_mode dilations kernel_shape pads storage_order strides"},
	{"AveragePool", pool, 1, 1, NS_WINDOW_AVG, "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides"},
	{"LpPool", pool, 1, 1, NS_WINDOW_LP, "auto_pad ceil_mode dilations kernel_shape p pads strides"},
	{"MaxUnpool", max_unpool, 2, 3, 0, "kernel_shape pads strides"},
	{"LRN", lrn, 1, 1, 0, "alpha beta bias size"},
	{0},
};
