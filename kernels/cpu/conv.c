/* kernels/cpu/conv.c - convolutions by oneDNN; in training, norm.c surrounds them. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/norm.h"

#include <stdlib.h>
#include <string.h>

struct conv_plan {
	struct ns_plan base;
	struct ns_op_conv v;
	struct ns_dnnl_conv *forward, *data, *weights;
};

static void conv_free(struct ns_plan *plan)
{
	struct conv_plan *p = (struct conv_plan *)plan;

	ns_dnnl_conv_free(p->forward);
	ns_dnnl_conv_free(p->data);
	ns_dnnl_conv_free(p->weights);
	free(p);
}

static size_t round64(size_t bytes)
{
	return (bytes + 63) / 64 * 64;
}

static size_t sums_bytes(const struct ns_op_conv *v)
{
	return round64(4 * (size_t)v->k * sizeof(double));
}

static int64_t rows(const struct ns_op_conv *v)
{
	return (int64_t)v->n * ns_op_conv_p(v) * ns_op_conv_q(v);
}

static size_t y_bytes(const struct ns_op_conv *v)
{
	return (size_t)rows(v) * (size_t)v->k * ns_dtype_bytes(v->dtype);
}

static struct ns_norm norm_of(const struct ns_op_conv *v)
{
	struct ns_norm n = {rows(v), v->k, v->flags, v->eps, v->dtype};

	return n;
}

static enum ns_status infer_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct conv_plan *p = (const struct conv_plan *)plan;

	(void)queue;
	if (p->v.flags & NS_CONV_RESIDUAL) /* oneDNN adds to the contents of dst */
		memcpy(a->out[NS_CONV_Y], a->in[NS_CONV_RES], y_bytes(&p->v));
	return ns_dnnl_conv_run(p->forward, a->in[NS_CONV_X], a->in[NS_CONV_W], a->in[NS_CONV_B], a->out[NS_CONV_Y], a->workspace);
}

static enum ns_status train_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct conv_plan *p = (const struct conv_plan *)plan;
	struct ns_norm n = norm_of(&p->v);
	int norm = (p->v.flags & NS_CONV_NORM) != 0;
	void *y = a->out[NS_CONV_Y], *z = norm ? a->out[NS_CONV_Z] : y;
	double *sums = a->workspace;

	(void)queue;
	NS_TRY(ns_dnnl_conv_run(p->forward, a->in[NS_CONV_X], a->in[NS_CONV_W], NULL, z, (char *)a->workspace + sums_bytes(&p->v)));
	if (norm)
		ns_norm_moments(&n, z, a->out[NS_CONV_MEAN], a->out[NS_CONV_INVSTD], a->out[NS_CONV_SUM_MEAN], a->out[NS_CONV_SUM_VAR], sums);
	if (n.flags & (NS_CONV_NORM | NS_CONV_BIAS | NS_CONV_RESIDUAL | NS_CONV_RELU))
		ns_norm_apply(&n, y, z, a->in[NS_CONV_RES], a->out[NS_CONV_MEAN], a->out[NS_CONV_INVSTD], a->in[NS_CONV_GAMMA], a->in[NS_CONV_BETA],
			      a->in[NS_CONV_B]);
	return NS_OK;
}

static enum ns_status backward_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct conv_plan *p = (const struct conv_plan *)plan;
	struct ns_norm n = norm_of(&p->v);
	double *sums = a->workspace;
	char *dz = (char *)a->workspace + sums_bytes(&p->v), *scratch = dz + round64(y_bytes(&p->v));
	void *g = p->v.flags & NS_CONV_RESIDUAL ? a->out[NS_CONVB_DRES] : dz;
	int k;

	(void)queue;
	ns_norm_unmask(&n, g, a->in[NS_CONVB_DY], a->in[NS_CONVB_DY2], a->in[NS_CONVB_Y], a->in[NS_CONVB_Z], a->in[NS_CONVB_MEAN], sums);
	if (p->v.flags & NS_CONV_NORM)
		ns_norm_backward(&n, dz, g, a->in[NS_CONVB_Z], a->in[NS_CONVB_MEAN], a->in[NS_CONVB_INVSTD], a->in[NS_CONVB_GAMMA],
				 a->out[NS_CONVB_DGAMMA], a->out[NS_CONVB_DBETA], sums);
	else
		dz = g;
	for (k = 0; p->v.flags & NS_CONV_BIAS && k < p->v.k; k++)
		((float *)a->out[NS_CONVB_DB])[k] = (float)sums[k];
	if (p->data)
		NS_TRY(ns_dnnl_conv_run(p->data, a->out[NS_CONVB_DX], a->in[NS_CONVB_W], NULL, dz, scratch));
	return ns_dnnl_conv_run(p->weights, a->in[NS_CONVB_X], a->out[NS_CONVB_DW], NULL, dz, scratch);
}

static enum ns_status plan_alloc(struct conv_plan **p, const struct ns_op *op,
				 enum ns_status (*run)(const struct ns_plan *, const struct ns_args *, struct ns_queue *))
{
	enum ns_dtype t = op->u.conv.dtype;

	if (t != NS_F32 && t != NS_BF16)
		return NS_DECLINED;
	if (t == NS_BF16 && !ns_dnnl_has_bf16())
		return NS_DECLINED;
	*p = calloc(1, sizeof **p);
	if (!*p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	(*p)->v = op->u.conv;
	(*p)->base.run = run;
	(*p)->base.free = conv_free;
	return NS_OK;
}

static enum ns_status make_forward(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op, enum ns_dnnl_phase phase,
				   enum ns_status (*run)(const struct ns_plan *, const struct ns_args *, struct ns_queue *))
{
	struct conv_plan *p;
	enum ns_status status;

	NS_TRY(plan_alloc(&p, op, run));
	status = ns_dnnl_conv_make(&p->forward, ((struct ns_cpu *)dev)->dnnl, &p->v, phase);
	if (status != NS_OK) {
		conv_free(&p->base);
		return status;
	}
	p->base.w = ns_dnnl_conv_layout(p->forward);
	p->base.workspace_bytes = ns_dnnl_conv_scratch(p->forward) + sums_bytes(&p->v);
	*plan = &p->base;
	return NS_OK;
}

static enum ns_status make_infer(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	return make_forward(plan, dev, op, NS_DNNL_INFER, infer_run);
}

static enum ns_status make_train(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	return make_forward(plan, dev, op, NS_DNNL_FORWARD, train_run);
}

static enum ns_status make_backward(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	struct ns_dnnl *dnnl = ((struct ns_cpu *)dev)->dnnl;
	struct conv_plan *p;
	enum ns_status status;
	size_t scratch, more = 0;

	NS_TRY(plan_alloc(&p, op, backward_run));
	if (!(p->v.flags & NS_CONV_NO_DX)) {
		NS_GO(ns_dnnl_conv_make(&p->data, dnnl, &p->v, NS_DNNL_BACKWARD_DATA));
		p->base.w = ns_dnnl_conv_layout(p->data);
		more = ns_dnnl_conv_scratch(p->data);
	}
	NS_GO(ns_dnnl_conv_make(&p->weights, dnnl, &p->v, NS_DNNL_BACKWARD_WEIGHTS));
	p->base.dw = ns_dnnl_conv_layout(p->weights);
	scratch = ns_dnnl_conv_scratch(p->weights);
	p->base.workspace_bytes = (scratch > more ? scratch : more) + sums_bytes(&p->v) + round64(y_bytes(&p->v));
	*plan = &p->base;
	return NS_OK;
out:
	conv_free(&p->base);
	return status;
}

const struct ns_impl ns_cpu_conv = {"conv/dnnl", NS_OP_CONV, make_infer};
const struct ns_impl ns_cpu_conv_train = {"conv_train/dnnl", NS_OP_CONV_TRAIN, make_train};
const struct ns_impl ns_cpu_conv_backward = {"conv_backward/dnnl", NS_OP_CONV_BACKWARD, make_backward};

/* --- weights from one layout to another --- */

struct reorder_plan {
	struct ns_plan base;
	struct ns_dnnl_reorder *reorder;
	size_t same; /* bytes, where both layouts are the same */
};

static void reorder_free(struct ns_plan *plan)
{
	ns_dnnl_reorder_free(((struct reorder_plan *)plan)->reorder);
	free(plan);
}

static enum ns_status reorder_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct reorder_plan *p = (const struct reorder_plan *)plan;

	(void)queue;
	if (p->same) {
		memcpy(a->out[NS_REORDER_Y], a->in[NS_REORDER_X], p->same);
		return NS_OK;
	}
	return ns_dnnl_reorder_run(p->reorder, a->in[NS_REORDER_X], a->out[NS_REORDER_Y]);
}

static enum ns_status make_reorder(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_reorder *o = &op->u.reorder;
	struct reorder_plan *p;
	enum ns_status status;

	if ((o->from.dtype != NS_F32 && o->from.dtype != NS_BF16) || (o->to.dtype != NS_F32 && o->to.dtype != NS_BF16))
		return NS_DECLINED;
	p = calloc(1, sizeof *p);
	if (!p)
		return ns_fail(NS_NO_MEMORY, "out of memory for a plan");
	p->base.run = reorder_run;
	p->base.free = reorder_free;
	if (ns_dnnl_layout_equal(&o->from, &o->to))
		p->same = o->from.bytes;
	else
		NS_GO(ns_dnnl_reorder_make(&p->reorder, ((struct ns_cpu *)dev)->dnnl, o));
	*plan = &p->base;
	return NS_OK;
out:
	reorder_free(&p->base);
	return status;
}

const struct ns_impl ns_cpu_reorder = {"reorder/dnnl", NS_OP_REORDER, make_reorder};
