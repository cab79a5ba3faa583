/* host/dag/gradient_window.c - gradients of convolutions, pooling, reductions, and of what works along an axis. */
#include <string.h>

#include "host/dag/gradient_inner.h"
#include "kernels/formula/pointwise.h"
#include "kernels/formula/typed.h"

/* --- CONVOLVE --- */

static struct ns_window turned(const struct ns_window *w)
{
	struct ns_window t = *w;

	memcpy(t.in, w->out, sizeof w->out);
	memcpy(t.out, w->in, sizeof w->in);
	return t;
}

static struct ns_box image_box(int64_t n, int64_t channels, const struct ns_window *w, const int64_t *sizes)
{
	struct ns_box box = {w->axes + 2, {n, channels}};

	memcpy(box.dim + 2, sizes, sizeof *sizes * (size_t)w->axes);
	return box;
}

/* The convolution the other way: transposed where it was not, and not where it was. */
static enum ns_status by_images(struct ns_backward *b, const struct ns_dag_node *n, int g)
{
	const struct ns_op_convolve *v = &n->op.u.convolve;
	struct ns_op op = {.kind = NS_OP_CONVOLVE, .u.convolve = *v};
	struct ns_op_convolve *c = &op.u.convolve;
	struct ns_box box = image_box(v->n, v->groups * v->c, &v->window, v->window.in);
	const int in[3] = {g, n->in[NS_CONVOLVE_W], -1};
	int dx;

	c->window = turned(&v->window);
	c->c = v->k;
	c->k = v->c;
	c->bias = 0;
	c->transposed = !v->transposed;
	NS_TRY(ns_dag_value(b->dag, v->dtype, &box, in, 2, &dx));
	NS_TRY(ns_dag_add(b->dag, &op, in, 3, &dx, 1));
	return ns_backward_add(b, n->in[NS_CONVOLVE_X], dx);
}

/* Transposed, images and gradients change their parts. */
static enum ns_status by_weights(struct ns_backward *b, const struct ns_dag_node *n, int g)
{
	const struct ns_op_convolve *v = &n->op.u.convolve;
	struct ns_op op = {.kind = NS_OP_CONVOLVE_WEIGHTS, .u.convolve = *v};
	struct ns_op_convolve *c = &op.u.convolve;
	const int in[2] = {v->transposed ? g : n->in[NS_CONVOLVE_X], v->transposed ? n->in[NS_CONVOLVE_X] : g};
	struct ns_box box = image_box(v->groups * v->k, v->c, &v->window, v->window.kernel);
	int dw;

	c->bias = c->transposed = 0;
	if (v->transposed) {
		c->window = turned(&v->window);
		c->c = v->k;
		c->k = v->c;
		box = image_box(v->groups * v->c, v->k, &v->window, v->window.kernel);
	}
	NS_TRY(ns_dag_value(b->dag, v->dtype, &box, in, 2, &dw));
	NS_TRY(ns_dag_add(b->dag, &op, in, 2, &dw, 1));
	return ns_backward_add(b, n->in[NS_CONVOLVE_W], dw);
}

enum ns_status ns_gradient_convolve(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	const struct ns_op_convolve *v = &n->op.u.convolve;
	struct ns_box box = image_box(v->n, v->groups * v->k, &v->window, v->window.out);
	int db;

	(void)index;
	NS_TRY(ns_dag_view(b->dag, g, &box, &g));
	if (ns_backward_wants(b, n->in[NS_CONVOLVE_X]))
		NS_TRY(by_images(b, n, g));
	if (ns_backward_wants(b, n->in[NS_CONVOLVE_W]))
		NS_TRY(by_weights(b, n, g));
	if (!v->bias || !ns_backward_wants(b, n->in[NS_CONVOLVE_B]))
		return NS_OK;
	NS_TRY(ns_dag_reduce_runs(b->dag, g, NS_REDUCE_SUM, ((1u << box.rank) - 1) & ~2u, &db));
	return ns_backward_add(b, n->in[NS_CONVOLVE_B], db);
}

/* --- POOL --- */

/* One over how many places each output is the mean of. */
static enum ns_status shares(struct ns_backward *b, const struct ns_op_pool_nd *v, int *y)
{
	const struct ns_window *w = &v->window;
	struct ns_box box = {w->axes + 1, {1}};
	int64_t i, rest, p, r, t, taps, inside, number;
	enum ns_status status;
	int d;

	memcpy(box.dim + 1, w->out, sizeof *w->out * (size_t)w->axes);
	status = ns_dag_constant(b->dag, v->dtype, &box, NULL, y);
	for (i = 0; status == NS_OK && i < ns_box_count(&box); i++) {
		for (rest = i, taps = 1, d = w->axes - 1; d >= 0; d--, taps *= inside) {
			p = rest % w->out[d];
			rest /= w->out[d];
			for (inside = 0, r = 0; r < w->kernel[d]; r++) {
				t = p * w->stride[d] - w->pad[d] + r * w->dilation[d];
				inside += v->with_padding ? t < w->in[d] + w->pad_end[d] : t >= 0 && t < w->in[d];
			}
		}
		number = taps ? taps : 1;
		ns_typed_set(ns_dag_at(b->dag, *y)->data, v->dtype, i, 1 / (double)number);
	}
	return status;
}

static enum ns_status of_mean(struct ns_backward *b, const struct ns_dag_node *n, int g)
{
	const struct ns_op_pool_nd *v = &n->op.u.pool_nd;
	struct ns_box planes = {v->window.axes + 1, {v->planes}}, ones = image_box(1, 1, &v->window, v->window.kernel),
		      in_box = image_box(v->planes, 1, &v->window, v->window.in);
	struct ns_op op = {
		.kind = NS_OP_CONVOLVE,
		.u.convolve = {.dtype = v->dtype, .window = turned(&v->window), .n = v->planes, .groups = 1, .c = 1, .k = 1, .transposed = 1}};
	int share, in[3] = {-1, -1, -1}, dx;

	memcpy(planes.dim + 1, v->window.out, sizeof *v->window.out * (size_t)v->window.axes);
	NS_TRY(ns_dag_view(b->dag, g, &planes, &g));
	NS_TRY(shares(b, v, &share));
	NS_TRY(ns_dag_formula(b->dag, NS_PW_MUL, (const int[]){g, share}, 2, v->dtype, &in[NS_CONVOLVE_X]));
	NS_TRY(ns_dag_fill(b->dag, v->dtype, &ones, 1, &in[NS_CONVOLVE_W]));
	NS_TRY(ns_dag_value(b->dag, v->dtype, &in_box, in, 2, &dx));
	NS_TRY(ns_dag_add(b->dag, &op, in, 3, &dx, 1));
	return ns_backward_add(b, n->in[NS_POOL_ND_X], dx);
}

static int64_t product(const int64_t *sizes, int n)
{
	int64_t p = 1;
	int i;

	for (i = 0; i < n; i++)
		p *= sizes[i];
	return p;
}

enum ns_status ns_gradient_pool(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	const struct ns_op_pool_nd *v = &n->op.u.pool_nd;
	int64_t out = v->planes * product(v->window.out, v->window.axes), data = v->planes * product(v->window.in, v->window.axes);
	struct ns_op op = {.kind = NS_OP_INDEX,
			   .u.index = {.dtype = v->dtype,
				       .how = NS_SCATTER_ADD,
				       .length = 1,
				       .tuples = {1, {out}},
				       .at = {1},
				       .size = {data},
				       .stride = {1},
				       .inner = 1,
				       .data = data}};
	struct ns_box flat = {1, {data}};
	int in[3], dx;

	if (v->how == NS_WINDOW_AVG)
		return of_mean(b, n, g);
	if (v->how != NS_WINDOW_MAX || (v->indices && v->column_major))
		return ns_fail(NS_DECLINED, "pool_nd: of norms, or with indices by columns, it has no gradient here");
	in[NS_INDEX_AT] = n->outs > 1 && v->indices ? n->out[NS_POOL_ND_WHICH] : -1;
	if (in[NS_INDEX_AT] < 0) { /* nobody asked before where the largest are */
		NS_TRY(ns_dag_value(b->dag, NS_I64, &op.u.index.tuples, n->in, 1, &in[NS_INDEX_AT]));
		b->dag->nodes[index].op.u.pool_nd.indices = 1;
		b->dag->nodes[index].op.u.pool_nd.column_major = 0;
		b->dag->nodes[index].out[NS_POOL_ND_WHICH] = in[NS_INDEX_AT];
		b->dag->nodes[index].outs = 2;
	}
	NS_TRY(ns_dag_zeros(b->dag, v->dtype, data, g, &in[NS_INDEX_DATA]));
	in[NS_INDEX_UPDATES] = g;
	NS_TRY(ns_dag_value(b->dag, v->dtype, &flat, in, 3, &dx));
	NS_TRY(ns_dag_add(b->dag, &op, in, 3, &dx, 1));
	return ns_backward_add(b, n->in[NS_POOL_ND_X], dx);
}

/* --- REDUCE --- */

/* Formulas of x, y and g, of g alone where x is not read. */
static enum ns_status of_extreme(struct ns_dag *d, int x, int y, int g, unsigned axes, enum ns_dtype dtype, int *dx)
{
	int is, many;

	NS_TRY(ns_dag_formula(d, NS_PW_EQUAL, (const int[]){x, y}, 2, dtype, &is));
	NS_TRY(ns_dag_reduce(d, is, NS_REDUCE_SUM, axes, 1, &many)); /* equal ones share */
	NS_TRY(ns_dag_formula(d, NS_PW_DIV, (const int[]){g, many}, 2, dtype, &g));
	return ns_dag_formula(d, NS_PW_MUL, (const int[]){is, g}, 2, dtype, dx);
}

static enum ns_status of_norm(struct ns_dag *d, int how, int x, int y, int g, enum ns_dtype dtype, int *dx)
{
	struct ns_program p;
	int rx, ry, rg, one, r;

	ns_program_begin(&p);
	rx = ns_program_input(&p, x);
	ry = ns_program_input(&p, y);
	rg = ns_program_input(&p, g);
	one = ns_program_constant(&p, how == NS_REDUCE_SUMSQUARE ? 2 : 0);
	switch (how) {
	case NS_REDUCE_L1:
		r = ns_program_step(&p, NS_PW_SIGN, rx, 0, 0);
		break;
	case NS_REDUCE_L2: /* of nothing but zeros it is 0 */
		r = ns_program_step(&p, NS_PW_WHERE, ry, ns_program_step(&p, NS_PW_DIV, rx, ry, 0), one);
		break;
	case NS_REDUCE_SUMSQUARE:
		r = ns_program_step(&p, NS_PW_MUL, rx, one, 0);
		break;
	case NS_REDUCE_LOGSUM:
		r = ns_program_step(&p, NS_PW_EXP, ns_program_step(&p, NS_PW_NEG, ry, 0, 0), 0, 0);
		break;
	default: /* LOGSUMEXP */
		r = ns_program_step(&p, NS_PW_EXP, ns_program_step(&p, NS_PW_SUB, rx, ry, 0), 0, 0);
	}
	(void)ns_program_step(&p, NS_PW_MUL, r, rg, 0);
	return ns_dag_program(d, &p, dtype, dx);
}

enum ns_status ns_gradient_reduce(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	const struct ns_op_reduce *v = &n->op.u.reduce;
	struct ns_box kept = v->in;
	int64_t many = 1;
	int d, x, y, dx;
	double share;

	(void)index;
	for (d = 0; d < v->in.rank; d++)
		if (v->axes >> d & 1) {
			many *= v->in.dim[d];
			kept.dim[d] = 1;
		}
	share = 1 / (double)many;
	NS_TRY(ns_dag_view(b->dag, g, &kept, &g));
	NS_TRY(ns_dag_view(b->dag, n->in[0], &v->in, &x));
	NS_TRY(ns_dag_view(b->dag, n->out[0], &kept, &y));
	switch (v->how) {
	case NS_REDUCE_MEAN:
		NS_TRY(ns_dag_formula_of(b->dag, NS_PW_MUL, g, &share, 1, v->dtype, &g));
		/* fall through */
	case NS_REDUCE_SUM:
		NS_TRY(ns_dag_expand(b->dag, g, &v->in, &dx));
		break;
	case NS_REDUCE_MAX:
	case NS_REDUCE_MIN:
		NS_TRY(of_extreme(b->dag, x, y, g, v->axes, v->dtype, &dx));
		break;
	case NS_REDUCE_L1:
	case NS_REDUCE_L2:
	case NS_REDUCE_SUMSQUARE:
	case NS_REDUCE_LOGSUM:
	case NS_REDUCE_LOGSUMEXP:
		NS_TRY(of_norm(b->dag, v->how, x, y, g, v->dtype, &dx));
		break;
	default:
		return ns_fail(NS_DECLINED, "reduce: products have no gradient here");
	}
	return ns_backward_add(b, n->in[0], dx);
}

/* --- ALONG --- */

enum ns_status ns_gradient_along(struct ns_backward *b, int index, const struct ns_dag_node *n, int g)
{
	const struct ns_op_along *v = &n->op.u.along;
	const struct ns_box box = {3, {v->outer, v->n, v->inner}};
	struct ns_dag *d = b->dag;
	int y, t, sum, dx;

	(void)index;
	NS_TRY(ns_dag_view(d, g, &box, &g));
	NS_TRY(ns_dag_view(d, n->out[0], &box, &y));
	switch (v->how) {
	case NS_ALONG_SOFTMAX: /* y (g - sum of g y) */
		NS_TRY(ns_dag_formula(d, NS_PW_MUL, (const int[]){g, y}, 2, v->dtype, &t));
		NS_TRY(ns_dag_reduce(d, t, NS_REDUCE_SUM, 2, 1, &sum));
		NS_TRY(ns_dag_formula(d, NS_PW_SUB, (const int[]){g, sum}, 2, v->dtype, &t));
		NS_TRY(ns_dag_formula(d, NS_PW_MUL, (const int[]){t, y}, 2, v->dtype, &dx));
		break;
	case NS_ALONG_LOGSOFTMAX: /* g - exp(y) sum of g */
		NS_TRY(ns_dag_reduce(d, g, NS_REDUCE_SUM, 2, 1, &sum));
		NS_TRY(ns_dag_formula(d, NS_PW_EXP, &y, 1, v->dtype, &t));
		NS_TRY(ns_dag_formula(d, NS_PW_MUL, (const int[]){t, sum}, 2, v->dtype, &t));
		NS_TRY(ns_dag_formula(d, NS_PW_SUB, (const int[]){g, t}, 2, v->dtype, &dx));
		break;
	case NS_ALONG_CUMSUM:
		NS_TRY(ns_dag_along(d, g, NS_ALONG_CUMSUM | v->exclusive << 8 | !v->reverse << 9, 1, 2, &dx));
		break;
	default: /* a step has none */
		return NS_OK;
	}
	return ns_backward_add(b, n->in[0], dx);
}
