/* kernels/ref/conv.c - convolution with bias or normalisation, residual and ReLU; forward and backward. */
#include "kernels/ref/ref.h"

static size_t z_bytes(const struct ns_op_conv *v)
{
	return (size_t)v->n * (size_t)ns_op_conv_p(v) * (size_t)ns_op_conv_q(v) * (size_t)v->k * sizeof(double);
}

/* sum over the window at (y, x) of image n for output channel k */
static double window(const struct ns_op_conv *v, const void *x, const void *w, int n, int p, int q, int k)
{
	enum ns_dtype wt = ns_ref_param(v->dtype);
	double sum = 0;
	int r, s, c;

	for (r = 0; r < v->r; r++)
		for (s = 0; s < v->s; s++) {
			int y = p * v->stride - v->pad + r, xx = q * v->stride - v->pad + s;

			if (y < 0 || y >= v->h || xx < 0 || xx >= v->w)
				continue;
			for (c = 0; c < v->c; c++)
				sum += ns_typed_get(x, v->dtype, ((int64_t)(n * v->h + y) * v->w + xx) * v->c + c) *
				       ns_typed_get(w, wt, ((int64_t)(k * v->r + r) * v->s + s) * v->c + c);
		}
	return sum;
}

static void convolve(const struct ns_op_conv *v, const void *x, const void *w, double *z)
{
	int n, p, q, k, P = ns_op_conv_p(v), Q = ns_op_conv_q(v);

	for (n = 0; n < v->n; n++)
		for (p = 0; p < P; p++)
			for (q = 0; q < Q; q++)
				for (k = 0; k < v->k; k++)
					*z++ = window(v, x, w, n, p, q, k);
}

static double finish(const struct ns_op_conv *v, const struct ns_args *a, int64_t i, double t)
{
	if (v->flags & NS_CONV_RESIDUAL)
		t += ns_typed_get(a->in[NS_CONV_RES], v->dtype, i);
	return v->flags & NS_CONV_RELU && !(t > 0) ? 0 : t;
}

static enum ns_status conv_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_conv *v = &ns_ref_op(plan)->u.conv;
	enum ns_dtype pt = ns_ref_param(v->dtype);
	int64_t i, rows = (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v);
	double *z = a->workspace;

	(void)queue;
	convolve(v, a->in[NS_CONV_X], a->in[NS_CONV_W], z);
	for (i = 0; i < rows * v->k; i++) {
		double t = z[i];

		if (v->flags & NS_CONV_BIAS)
			t += ns_typed_get(a->in[NS_CONV_B], pt, i % v->k);
		ns_typed_set(a->out[NS_CONV_Y], v->dtype, i, finish(v, a, i, t));
	}
	return NS_OK;
}

/* mean and variance (biased) of channel k of z */
static void moments(const void *z, enum ns_dtype dtype, int64_t rows, int channels, int k, double *mean, double *var)
{
	double sum = 0, square = 0;
	int64_t i;

	for (i = 0; i < rows; i++)
		sum += ns_typed_get(z, dtype, i * channels + k);
	*mean = sum / (double)rows;
	for (i = 0; i < rows; i++) {
		double d = ns_typed_get(z, dtype, i * channels + k) - *mean;

		square += d * d;
	}
	*var = square / (double)rows;
}

static enum ns_status train_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_conv *v = &ns_ref_op(plan)->u.conv;
	enum ns_dtype pt = ns_ref_param(v->dtype);
	int64_t i, rows = (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v);
	void *z = a->out[NS_CONV_Z];
	double *t = a->workspace, mean, var, invstd;
	int k;

	if (!(v->flags & NS_CONV_NORM))
		return conv_run(plan, a, queue);
	convolve(v, a->in[NS_CONV_X], a->in[NS_CONV_W], t);
	for (i = 0; i < rows * v->k; i++)
		ns_typed_set(z, v->dtype, i, t[i]);
	for (k = 0; k < v->k; k++) {
		double gamma = ns_typed_get(a->in[NS_CONV_GAMMA], pt, k), beta = ns_typed_get(a->in[NS_CONV_BETA], pt, k);

		moments(z, v->dtype, rows, v->k, k, &mean, &var);
		invstd = 1 / sqrt(var + (double)v->eps);
		ns_typed_set(a->out[NS_CONV_MEAN], pt, k, mean);
		ns_typed_set(a->out[NS_CONV_INVSTD], pt, k, invstd);
		ns_typed_set(a->out[NS_CONV_SUM_MEAN], pt, k, mean);
		ns_typed_set(a->out[NS_CONV_SUM_VAR], pt, k, rows > 1 ? var * (double)rows / (double)(rows - 1) : var);
		for (i = k; i < rows * v->k; i += v->k)
			ns_typed_set(a->out[NS_CONV_Y], v->dtype, i, finish(v, a, i, (ns_typed_get(z, v->dtype, i) - mean) * invstd * gamma + beta));
	}
	return NS_OK;
}

/* gradient behind the activation: g = (dy + dy2) where y > 0; kept in double */
static void unmask(const struct ns_op_conv *v, const struct ns_args *a, int64_t n, double *g)
{
	int64_t i;

	for (i = 0; i < n; i++) {
		g[i] = ns_typed_get(a->in[NS_CONVB_DY], v->dtype, i);
		if (v->flags & NS_CONV_DY2)
			g[i] += ns_typed_get(a->in[NS_CONVB_DY2], v->dtype, i);
		if (v->flags & NS_CONV_RELU && !(ns_typed_get(a->in[NS_CONVB_Y], v->dtype, i) > 0))
			g[i] = 0;
		if (v->flags & NS_CONV_RESIDUAL)
			ns_typed_set(a->out[NS_CONVB_DRES], v->dtype, i, g[i]);
	}
}

/* g becomes dz (Ioffe, Szegedy 2015); dgamma, dbeta on the way */
static void norm_backward(const struct ns_op_conv *v, const struct ns_args *a, int64_t rows, double *g)
{
	enum ns_dtype pt = ns_ref_param(v->dtype);
	int k;

	for (k = 0; k < v->k; k++) {
		double mean = ns_typed_get(a->in[NS_CONVB_MEAN], pt, k), sum = 0, dot = 0;
		double invstd = ns_typed_get(a->in[NS_CONVB_INVSTD], pt, k);
		double gamma = ns_typed_get(a->in[NS_CONVB_GAMMA], pt, k);
		int64_t i;

		for (i = k; i < rows * v->k; i += v->k) {
			sum += g[i];
			dot += g[i] * (ns_typed_get(a->in[NS_CONVB_Z], v->dtype, i) - mean) * invstd;
		}
		ns_typed_set(a->out[NS_CONVB_DGAMMA], pt, k, dot);
		ns_typed_set(a->out[NS_CONVB_DBETA], pt, k, sum);
		for (i = k; i < rows * v->k; i += v->k) {
			double xhat = (ns_typed_get(a->in[NS_CONVB_Z], v->dtype, i) - mean) * invstd;

			g[i] = gamma * invstd * (g[i] - sum / (double)rows - xhat * dot / (double)rows);
		}
	}
}

static void weights_backward(const struct ns_op_conv *v, const void *x, const double *g, void *dw)
{
	int k, r, s, c, n, p, q, P = ns_op_conv_p(v), Q = ns_op_conv_q(v);

	for (k = 0; k < v->k; k++)
		for (r = 0; r < v->r; r++)
			for (s = 0; s < v->s; s++)
				for (c = 0; c < v->c; c++) {
					double sum = 0;

					for (n = 0; n < v->n; n++)
						for (p = 0; p < P; p++)
							for (q = 0; q < Q; q++) {
								int y = p * v->stride - v->pad + r, xx = q * v->stride - v->pad + s;

								if (y < 0 || y >= v->h || xx < 0 || xx >= v->w)
									continue;
								sum += g[((int64_t)(n * P + p) * Q + q) * v->k + k] *
								       ns_typed_get(x, v->dtype, ((int64_t)(n * v->h + y) * v->w + xx) * v->c + c);
							}
					ns_typed_set(dw, ns_ref_param(v->dtype), ((int64_t)(k * v->r + r) * v->s + s) * v->c + c, sum);
				}
}

static double input_gradient(const struct ns_op_conv *v, const double *g, const void *w, int n, int y, int x, int c)
{
	int r, s, k, P = ns_op_conv_p(v), Q = ns_op_conv_q(v);
	double sum = 0;

	for (r = 0; r < v->r; r++)
		for (s = 0; s < v->s; s++) {
			int p = y + v->pad - r, q = x + v->pad - s;

			if (p < 0 || q < 0 || p % v->stride || q % v->stride)
				continue;
			p /= v->stride;
			q /= v->stride;
			if (p >= P || q >= Q)
				continue;
			for (k = 0; k < v->k; k++)
				sum += g[((int64_t)(n * P + p) * Q + q) * v->k + k] *
				       ns_typed_get(w, ns_ref_param(v->dtype), ((int64_t)(k * v->r + r) * v->s + s) * v->c + c);
		}
	return sum;
}

static enum ns_status backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_conv *v = &ns_ref_op(plan)->u.conv;
	int64_t i, rows = (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v);
	double *g = a->workspace, sum;
	int n, y, x, c, k;

	(void)queue;
	unmask(v, a, rows * v->k, g);
	if (v->flags & NS_CONV_NORM)
		norm_backward(v, a, rows, g);
	for (k = 0; v->flags & NS_CONV_BIAS && k < v->k; k++) {
		for (sum = 0, i = k; i < rows * v->k; i += v->k)
			sum += g[i];
		ns_typed_set(a->out[NS_CONVB_DB], ns_ref_param(v->dtype), k, sum);
	}
	weights_backward(v, a->in[NS_CONVB_X], g, a->out[NS_CONVB_DW]);
	if (v->flags & NS_CONV_NO_DX)
		return NS_OK;
	for (i = 0, n = 0; n < v->n; n++)
		for (y = 0; y < v->h; y++)
			for (x = 0; x < v->w; x++)
				for (c = 0; c < v->c; c++)
					ns_typed_set(a->out[NS_CONVB_DX], v->dtype, i++, input_gradient(v, g, a->in[NS_CONVB_W], n, y, x, c));
	return NS_OK;
}

static enum ns_status conv_make(struct ns_plan **plan, const struct ns_op *op,
				enum ns_status (*run)(const struct ns_plan *, const struct ns_args *, struct ns_queue *))
{
	const struct ns_op_conv *v = &op->u.conv;
	enum ns_dtype type = ns_ref_param(v->dtype);
	size_t bytes = (size_t)v->k * (size_t)v->r * (size_t)v->s * (size_t)v->c * ns_dtype_bytes(type);

	NS_TRY(ns_plain_plan_make(plan, op, z_bytes(v), run));
	(*plan)->w = (*plan)->dw = (struct ns_layout){bytes, type, NULL};
	return NS_OK;
}

static enum ns_status make_conv(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	return conv_make(plan, op, conv_run);
}

static enum ns_status make_train(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	return conv_make(plan, op, train_run);
}

static enum ns_status make_backward(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	return conv_make(plan, op, backward_run);
}

const struct ns_impl ns_ref_conv = {"conv/ref", NS_OP_CONV, make_conv};
const struct ns_impl ns_ref_conv_train = {"conv_train/ref", NS_OP_CONV_TRAIN, make_train};
const struct ns_impl ns_ref_conv_backward = {"conv_backward/ref", NS_OP_CONV_BACKWARD, make_backward};

/* --- reorder: between canonical layouts only the type can change --- */

static enum ns_status reorder_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_reorder *o = &ns_ref_op(plan)->u.reorder;
	int64_t i, n = (int64_t)o->k * o->r * o->s * o->c;

	(void)queue;
	for (i = 0; i < n; i++)
		ns_typed_set(a->out[NS_REORDER_Y], o->to.dtype, i, ns_typed_get(a->in[NS_REORDER_X], o->from.dtype, i));
	return NS_OK;
}

static enum ns_status make_reorder(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	if (op->u.reorder.from.native || op->u.reorder.to.native)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, 0, reorder_run);
}

const struct ns_impl ns_ref_reorder = {"reorder/ref", NS_OP_REORDER, make_reorder};
