/*
 * kernels/cpu/dnnl.c - the only file that uses oneDNN, and that hides the differences of 2.x and 3.x.
 *
 * Layouts of weights leave this file as struct ns_layout, whose `native` points to a struct md.
 */
#include "kernels/cpu/dnnl.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

#define V3 (DNNL_VERSION_MAJOR >= 3)

struct md { /* a memory descriptor, by value in 2.x, by handle in 3.x */
	dnnl_memory_desc_t d;
};

#if V3
#define MD(m) ((m)->d)
#else
#define MD(m) (&(m)->d)
#endif

struct ns_dnnl {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
};

struct ns_dnnl_conv {
	struct ns_dnnl *dnnl;
	dnnl_primitive_t primitive;
	dnnl_memory_t x, w, b, y, scratch;
	struct md w_md;
	enum ns_dnnl_phase phase;
	size_t scratch_bytes;
	enum ns_dtype w_type;
};

struct ns_dnnl_reorder {
	struct ns_dnnl *dnnl;
	dnnl_primitive_t primitive;
	dnnl_memory_t x, y;
};

#define DNNL_GO(call)                                                                                                                                \
	do {                                                                                                                                         \
		dnnl_status_t dnnl_ = (call);                                                                                                        \
		if (dnnl_ != dnnl_success) {                                                                                                         \
			status = dnnl_ == dnnl_unimplemented ? NS_DECLINED                                                                           \
							     : ns_fail(dnnl_ == dnnl_out_of_memory ? NS_NO_MEMORY : NS_INTERNAL,                     \
								       "oneDNN: status %d from %s", (int)dnnl_, #call);                              \
			goto out;                                                                                                                    \
		}                                                                                                                                    \
	} while (0)

static dnnl_data_type_t dnnl_type(enum ns_dtype dtype)
{
	return dtype == NS_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_status_t md_by_tag(struct md *md, const dnnl_dims_t dims, int ndims, enum ns_dtype dtype, dnnl_format_tag_t tag)
{
#if V3
	return dnnl_memory_desc_create_with_tag(&md->d, ndims, dims, dnnl_type(dtype), tag);
#else
	return dnnl_memory_desc_init_by_tag(&md->d, ndims, dims, dnnl_type(dtype), tag);
#endif
}

static void md_release(struct md *md)
{
#if V3
	if (md->d)
		dnnl_memory_desc_destroy(md->d);
#else
	(void)md;
#endif
}

/* a copy that outlives the primitive descriptor it was queried from */
static dnnl_status_t md_of(struct md *md, const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
#if V3
	return dnnl_memory_desc_clone(&md->d, dnnl_primitive_desc_query_md(pd, what, 0));
#else
	md->d = *dnnl_primitive_desc_query_md(pd, what, 0);
	return dnnl_success;
#endif
}

enum ns_status ns_dnnl_open(struct ns_dnnl **dnnl)
{
	struct ns_dnnl *d = calloc(1, sizeof *d);
	enum ns_status status = NS_OK;

	if (!d)
		return ns_fail(NS_NO_MEMORY, "out of memory for a device");
	omp_set_num_threads(1);
	DNNL_GO(dnnl_engine_create(&d->engine, dnnl_cpu, 0));
	DNNL_GO(dnnl_stream_create(&d->stream, d->engine, dnnl_stream_in_order));
	*dnnl = d;
	return NS_OK;
out:
	ns_dnnl_close(d);
	return status == NS_DECLINED ? ns_fail(NS_NO_DEVICE, "oneDNN has no CPU engine on this machine") : status;
}

void ns_dnnl_close(struct ns_dnnl *d)
{
	if (!d)
		return;
	if (d->stream)
		dnnl_stream_destroy(d->stream);
	if (d->engine)
		dnnl_engine_destroy(d->engine);
	free(d);
}

void ns_dnnl_describe(char *text, size_t size)
{
	const dnnl_version_t *v = dnnl_version();

	snprintf(text, size, "oneDNN %d.%d.%d isa 0x%x", v->major, v->minor, v->patch, (unsigned)dnnl_get_effective_cpu_isa());
}

int ns_dnnl_has_bf16(void)
{
	/* 0xe7: AVX-512 core with BF16; without the last bit oneDNN emulates bf16, 2.5 times slower than f32 */
	return ((unsigned)dnnl_get_effective_cpu_isa() & 0xe7) == 0xe7;
}

/* --- convolution --- */

struct conv_mds {
	struct md x, w, b, y;
	int has_bias;
};

static dnnl_status_t conv_pd(dnnl_primitive_desc_t *pd, const struct ns_dnnl *dnnl, const struct ns_op_conv *v, enum ns_dnnl_phase phase,
			     struct conv_mds *m, const_dnnl_primitive_attr_t attr)
{
	dnnl_dims_t stride = {v->stride, v->stride}, dilate = {0, 0}, pad = {v->pad, v->pad};
	/* rows and columns beyond the last window become negative padding */
	dnnl_dims_t pad_end = {(ns_op_conv_p(v) - 1) * v->stride + v->r - v->h - v->pad, (ns_op_conv_q(v) - 1) * v->stride + v->s - v->w - v->pad};
	dnnl_prop_kind_t kind = phase == NS_DNNL_INFER ? dnnl_forward_inference : dnnl_forward_training;
#if V3
	dnnl_primitive_desc_t hint = NULL;
	dnnl_status_t s;

	if (phase == NS_DNNL_INFER || phase == NS_DNNL_FORWARD)
		return dnnl_convolution_forward_primitive_desc_create(pd, dnnl->engine, kind, dnnl_convolution_direct, MD(&m->x), MD(&m->w),
								      m->has_bias ? MD(&m->b) : NULL, MD(&m->y), stride, dilate, pad, pad_end, attr);
	/* 3.x requires a forward descriptor as a hint, without the types of the gradient */
	s = dnnl_convolution_forward_primitive_desc_create(&hint, dnnl->engine, kind, dnnl_convolution_direct, MD(&m->x), MD(&m->b), NULL, MD(&m->y),
							   stride, dilate, pad, pad_end, NULL);
	if (s != dnnl_success)
		return s;
	if (phase == NS_DNNL_BACKWARD_DATA)
		s = dnnl_convolution_backward_data_primitive_desc_create(pd, dnnl->engine, dnnl_convolution_direct, MD(&m->x), MD(&m->w), MD(&m->y),
									 stride, dilate, pad, pad_end, hint, attr);
	else
		s = dnnl_convolution_backward_weights_primitive_desc_create(pd, dnnl->engine, dnnl_convolution_direct, MD(&m->x), MD(&m->w), NULL,
									    MD(&m->y), stride, dilate, pad, pad_end, hint, attr);
	dnnl_primitive_desc_destroy(hint);
	return s;
#else
	dnnl_convolution_desc_t d;
	dnnl_status_t s;

	(void)dilate;
	if (phase == NS_DNNL_BACKWARD_DATA)
		s = dnnl_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, MD(&m->x), MD(&m->w), MD(&m->y), stride, pad, pad_end);
	else if (phase == NS_DNNL_BACKWARD_WEIGHTS)
		s = dnnl_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, MD(&m->x), MD(&m->w), NULL, MD(&m->y), stride, pad,
								pad_end);
	else
		s = dnnl_convolution_forward_desc_init(&d, kind, dnnl_convolution_direct, MD(&m->x), MD(&m->w), m->has_bias ? MD(&m->b) : NULL,
						       MD(&m->y), stride, pad, pad_end);
	return s != dnnl_success ? s : dnnl_primitive_desc_create(pd, &d, attr, dnnl->engine, NULL);
#endif
}

static dnnl_status_t add_post_ops(dnnl_primitive_attr_t attr, const struct ns_op_conv *v)
{
	dnnl_post_ops_t ops = NULL;
	dnnl_status_t s = dnnl_post_ops_create(&ops);

	if (s == dnnl_success && v->flags & NS_CONV_RESIDUAL)
#if V3
		s = dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
	if (s == dnnl_success && v->flags & NS_CONV_RELU)
		s = dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, 0, 0);
#else
		s = dnnl_post_ops_append_sum(ops, 1);
	if (s == dnnl_success && v->flags & NS_CONV_RELU)
		s = dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0);
#endif
	if (s == dnnl_success)
		s = dnnl_primitive_attr_set_post_ops(attr, ops);
	if (ops)
		dnnl_post_ops_destroy(ops);
	return s;
}

static dnnl_status_t conv_mds_init(struct conv_mds *m, const struct ns_op_conv *v, enum ns_dnnl_phase phase)
{
	dnnl_dims_t xd = {v->n, v->c, v->h, v->w}, yd = {v->n, v->k, ns_op_conv_p(v), ns_op_conv_q(v)};
	dnnl_dims_t wd = {v->k, v->c, v->r, v->s}, bd = {v->k};
	enum ns_dtype wt = phase == NS_DNNL_BACKWARD_WEIGHTS ? NS_F32 : v->dtype;
	dnnl_status_t s = md_by_tag(&m->x, xd, 4, v->dtype, dnnl_acdb);

	m->has_bias = phase == NS_DNNL_INFER && v->flags & NS_CONV_BIAS;
	if (s == dnnl_success)
		s = md_by_tag(&m->y, yd, 4, v->dtype, dnnl_acdb);
	if (s == dnnl_success)
		s = md_by_tag(&m->w, wd, 4, wt, dnnl_format_tag_any);
	if (s == dnnl_success) /* backward: `b` describes the forward weights of 3.x's hint */
		s = phase == NS_DNNL_INFER ? md_by_tag(&m->b, bd, 1, NS_F32, dnnl_a) : md_by_tag(&m->b, wd, 4, v->dtype, dnnl_format_tag_any);
	return s;
}

static int is_reference(const_dnnl_primitive_desc_t pd)
{
	const char *name = "";

	dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &name);
	return !strncmp(name, "ref", 3);
}

static enum ns_status conv_memories(struct ns_dnnl_conv *c, struct conv_mds *m, const_dnnl_primitive_desc_t pd)
{
	int backward_weights = c->phase == NS_DNNL_BACKWARD_WEIGHTS;
	struct md scratch = {0};
	enum ns_status status = NS_OK;
	dnnl_engine_t e = c->dnnl->engine;

	DNNL_GO(md_of(&c->w_md, pd, backward_weights ? dnnl_query_diff_weights_md : dnnl_query_weights_md));
	DNNL_GO(md_of(&scratch, pd, dnnl_query_scratchpad_md));
	c->scratch_bytes = dnnl_memory_desc_get_size(MD(&scratch));
	DNNL_GO(dnnl_memory_create(&c->x, MD(&m->x), e, DNNL_MEMORY_NONE));
	DNNL_GO(dnnl_memory_create(&c->w, MD(&c->w_md), e, DNNL_MEMORY_NONE));
	DNNL_GO(dnnl_memory_create(&c->y, MD(&m->y), e, DNNL_MEMORY_NONE));
	DNNL_GO(dnnl_memory_create(&c->scratch, MD(&scratch), e, DNNL_MEMORY_NONE));
	if (m->has_bias)
		DNNL_GO(dnnl_memory_create(&c->b, MD(&m->b), e, DNNL_MEMORY_NONE));
out:
	md_release(&scratch);
	return status;
}

enum ns_status ns_dnnl_conv_make(struct ns_dnnl_conv **made, struct ns_dnnl *dnnl, const struct ns_op_conv *conv, enum ns_dnnl_phase phase)
{
	struct ns_dnnl_conv *c = calloc(1, sizeof *c);
	dnnl_primitive_attr_t attr = NULL;
	dnnl_primitive_desc_t pd = NULL;
	struct conv_mds m = {0};
	enum ns_status status = NS_OK;

	if (!c)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	c->dnnl = dnnl;
	c->phase = phase;
	c->w_type = phase == NS_DNNL_BACKWARD_WEIGHTS ? NS_F32 : conv->dtype;
	omp_set_num_threads(1);
	DNNL_GO(conv_mds_init(&m, conv, phase));
	DNNL_GO(dnnl_primitive_attr_create(&attr));
	DNNL_GO(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user));
	if (phase == NS_DNNL_INFER)
		DNNL_GO(add_post_ops(attr, conv));
	DNNL_GO(conv_pd(&pd, dnnl, conv, phase, &m, attr));
	if (is_reference(pd)) {
		status = NS_DECLINED;
		goto out;
	}
	NS_GO(conv_memories(c, &m, pd));
	DNNL_GO(dnnl_primitive_create(&c->primitive, pd));
	*made = c;
out:
	if (pd)
		dnnl_primitive_desc_destroy(pd);
	if (attr)
		dnnl_primitive_attr_destroy(attr);
	md_release(&m.x);
	md_release(&m.w);
	md_release(&m.b);
	md_release(&m.y);
	if (status != NS_OK)
		ns_dnnl_conv_free(c);
	return status;
}

static void memory_free(dnnl_memory_t m)
{
	if (m)
		dnnl_memory_destroy(m);
}

void ns_dnnl_conv_free(struct ns_dnnl_conv *c)
{
	if (!c)
		return;
	if (c->primitive)
		dnnl_primitive_destroy(c->primitive);
	memory_free(c->x);
	memory_free(c->w);
	memory_free(c->b);
	memory_free(c->y);
	memory_free(c->scratch);
	md_release(&c->w_md);
	free(c);
}

size_t ns_dnnl_conv_scratch(const struct ns_dnnl_conv *c)
{
	return c->scratch_bytes;
}

struct ns_layout ns_dnnl_conv_layout(const struct ns_dnnl_conv *c)
{
	struct ns_layout l = {dnnl_memory_desc_get_size(MD(&c->w_md)), c->w_type, &c->w_md};

	return l;
}

/* oneDNN writes through the same handles that it reads from: the const ends here */
static void *writable(const void *p)
{
	void *q;

	memcpy(&q, &p, sizeof q);
	return q;
}

enum ns_status ns_dnnl_conv_run(const struct ns_dnnl_conv *c, const void *x, const void *w, const void *bias, const void *y, void *scratch)
{
	static const int arg_x[] = {DNNL_ARG_SRC, DNNL_ARG_SRC, DNNL_ARG_DIFF_SRC, DNNL_ARG_SRC};
	static const int arg_w[] = {DNNL_ARG_WEIGHTS, DNNL_ARG_WEIGHTS, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_WEIGHTS};
	static const int arg_y[] = {DNNL_ARG_DST, DNNL_ARG_DST, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_DST};
	dnnl_exec_arg_t args[] = {{arg_x[c->phase], c->x},
				  {arg_w[c->phase], c->w},
				  {arg_y[c->phase], c->y},
				  {DNNL_ARG_SCRATCHPAD, c->scratch},
				  {DNNL_ARG_BIAS, c->b}};
	enum ns_status status = NS_OK;

	omp_set_num_threads(1);
	DNNL_GO(dnnl_memory_set_data_handle(c->x, writable(x)));
	DNNL_GO(dnnl_memory_set_data_handle(c->w, writable(w)));
	DNNL_GO(dnnl_memory_set_data_handle(c->y, writable(y)));
	DNNL_GO(dnnl_memory_set_data_handle(c->scratch, scratch));
	if (c->b)
		DNNL_GO(dnnl_memory_set_data_handle(c->b, writable(bias)));
	DNNL_GO(dnnl_primitive_execute(c->primitive, c->dnnl->stream, c->b ? 5 : 4, args));
	DNNL_GO(dnnl_stream_wait(c->dnnl->stream));
out:
	return status;
}

/* --- reorder --- */

/* The memory descriptor of `layout` for weights of this shape: canonical is OHWI, dnnl's acdb. */
static dnnl_status_t layout_md(struct md *made, struct md **md, const struct ns_op_reorder *o, const struct ns_layout *layout)
{
	dnnl_dims_t dims = {o->k, o->c, o->r, o->s};

	if (layout->native) {
		*md = writable(layout->native);
		return dnnl_success;
	}
	*md = made;
	return md_by_tag(made, dims, 4, layout->dtype, dnnl_acdb);
}

enum ns_status ns_dnnl_reorder_make(struct ns_dnnl_reorder **made, struct ns_dnnl *dnnl, const struct ns_op_reorder *o)
{
	struct ns_dnnl_reorder *r = calloc(1, sizeof *r);
	struct md from_made = {0}, to_made = {0}, *from, *to;
	dnnl_primitive_desc_t pd = NULL;
	enum ns_status status = NS_OK;

	if (!r)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	r->dnnl = dnnl;
	omp_set_num_threads(1);
	DNNL_GO(layout_md(&from_made, &from, o, &o->from));
	DNNL_GO(layout_md(&to_made, &to, o, &o->to));
	DNNL_GO(dnnl_reorder_primitive_desc_create(&pd, MD(from), dnnl->engine, MD(to), dnnl->engine, NULL));
	DNNL_GO(dnnl_memory_create(&r->x, MD(from), dnnl->engine, DNNL_MEMORY_NONE));
	DNNL_GO(dnnl_memory_create(&r->y, MD(to), dnnl->engine, DNNL_MEMORY_NONE));
	DNNL_GO(dnnl_primitive_create(&r->primitive, pd));
	*made = r;
out:
	if (pd)
		dnnl_primitive_desc_destroy(pd);
	md_release(&from_made);
	md_release(&to_made);
	if (status != NS_OK)
		ns_dnnl_reorder_free(r);
	return status;
}

void ns_dnnl_reorder_free(struct ns_dnnl_reorder *r)
{
	if (!r)
		return;
	if (r->primitive)
		dnnl_primitive_destroy(r->primitive);
	memory_free(r->x);
	memory_free(r->y);
	free(r);
}

enum ns_status ns_dnnl_reorder_run(const struct ns_dnnl_reorder *r, const void *x, void *y)
{
	dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, r->x}, {DNNL_ARG_TO, r->y}};
	enum ns_status status = NS_OK;

	omp_set_num_threads(1);
	DNNL_GO(dnnl_memory_set_data_handle(r->x, writable(x)));
	DNNL_GO(dnnl_memory_set_data_handle(r->y, y));
	DNNL_GO(dnnl_primitive_execute(r->primitive, r->dnnl->stream, 2, args));
	DNNL_GO(dnnl_stream_wait(r->dnnl->stream));
out:
	return status;
}

int ns_dnnl_layout_equal(const struct ns_layout *a, const struct ns_layout *b)
{
	const struct md *x = a->native, *y = b->native;

	if (!x || !y)
		return !x && !y && a->dtype == b->dtype;
	return dnnl_memory_desc_equal(MD(x), MD(y));
}

enum ns_status ns_dnnl_sgemm(char ta, char tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb, float beta,
			     float *c, int64_t ldc)
{
	dnnl_status_t s;

	omp_set_num_threads(1); /* oneDNN's own threads would fight the workers for their cores */
	s = dnnl_sgemm(ta, tb, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
	return s == dnnl_success ? NS_OK : ns_fail(NS_INTERNAL, "oneDNN: status %d from sgemm", (int)s);
}
