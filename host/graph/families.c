/*
 * host/graph/families.c - families of networks beside ResNets, each a row: built as ONNX files, which are run and trained as those that came. vit: Dosovitskiy et al. 2021, of the mean of tokens, without
 * a class token (Beyer et al. 2022); convnext: Liu et al. 2022; mobilenet: Sandler et al. 2018, version 2; resnext: Xie et al. 2017, with groups; unet: Ronneberger et al. 2015, with
 * pixels dealt out (Shi et al. 2016) on the way up; crnn: Shi et al. 2015.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/graph/builder_inner.h"

/* --- vit --- */

/* (n, tokens, width) to heads: (n, heads, tokens, width / heads), or its transpose of the last two. */
static const char *heads_of(struct ns_builder *b, const char *x, const struct ns_design *d, int64_t tokens, int turned)
{
	const int64_t shape[4] = {0, tokens, d->heads, d->width / d->heads}, order[4] = {0, 2, 1, 3}, other[4] = {0, 2, 3, 1};
	const char *y = ns_build(b, "Reshape", ns_build_dense(b, x, d->width, d->width), ns_build_wholes(b, shape, 4), NULL);

	return ns_build_list(b, "Transpose", y, "perm", turned ? other : order, 4);
}

static const char *attention(struct ns_builder *b, const char *x, const struct ns_design *d, int64_t tokens)
{
	const int64_t order[4] = {0, 2, 1, 3}, shape[3] = {0, tokens, d->width};
	const char *q = heads_of(b, x, d, tokens, 0), *k = heads_of(b, x, d, tokens, 1), *v = heads_of(b, x, d, tokens, 0), *s;

	s = ns_build(b, "Mul", ns_build(b, "MatMul", q, k, NULL), ns_build_number(b, (float)(1 / sqrt((double)d->width / d->heads))), NULL);
	s = ns_build_with(b, "Softmax", s, NULL, NULL, "axis", -1);
	s = ns_build_list(b, "Transpose", ns_build(b, "MatMul", s, v, NULL), "perm", order, 4);
	return ns_build_dense(b, ns_build(b, "Reshape", s, ns_build_wholes(b, shape, 3), NULL), d->width, d->width);
}

static void build_vit(struct ns_builder *b, const struct ns_design *d)
{
	int64_t rows = d->h / d->patch, columns = d->w / d->patch, tokens = rows * columns, width = d->width, axis = 1;
	const int64_t flat[3] = {0, width, tokens}, turned[3] = {0, 2, 1};
	const char *x = ns_build_conv(b, "x", d->c, width, d->patch, d->patch, 0, 1, 1), *t;
	int i;

	x = ns_build(b, "Reshape", x, ns_build_wholes(b, flat, 3), NULL);
	x = ns_build_list(b, "Transpose", x, "perm", turned, 3);
	x = ns_build(b, "Add", x, ns_build_weight(b, (const int64_t[]){1, tokens, width}, 3, 0, 0.02), NULL);
	for (i = 0; i < d->blocks[0]; i++) {
		x = ns_build(b, "Add", x, attention(b, ns_build_layer_norm(b, x, width), d, tokens), NULL);
		t = ns_build_gelu(b, ns_build_dense(b, ns_build_layer_norm(b, x, width), width, 4 * width));
		x = ns_build(b, "Add", x, ns_build_dense(b, t, 4 * width, width), NULL);
	}
	x = ns_build_list(b, "ReduceMean", ns_build_layer_norm(b, x, width), "axes", &axis, 1);
	ns_build_head(b, ns_build_with(b, "Flatten", x, NULL, NULL, "axis", 1), width, d->classes);
}

/* --- convnext --- */

static const char *last(struct ns_builder *b, const char *x)
{
	return ns_build_list(b, "Transpose", x, "perm", (const int64_t[]){0, 2, 3, 1}, 4);
}

static const char *first(struct ns_builder *b, const char *x)
{
	return ns_build_list(b, "Transpose", x, "perm", (const int64_t[]){0, 3, 1, 2}, 4);
}

/* 7 x 7 of each channel, then two products over channels. */
static const char *convnext_block(struct ns_builder *b, const char *x, int64_t width)
{
	const char *t = last(b, ns_build_conv(b, x, width, width, 7, 1, 3, width, 1));

	t = ns_build_gelu(b, ns_build_dense(b, ns_build_layer_norm(b, t, width), width, 4 * width));
	t = ns_build(b, "Mul", ns_build_dense(b, t, 4 * width, width), ns_build_weight(b, &width, 1, 0.1, 0), NULL);
	return ns_build(b, "Add", x, first(b, t), NULL);
}

static void build_convnext(struct ns_builder *b, const struct ns_design *d)
{
	const char *x = ns_build_conv(b, "x", d->c, d->width, d->patch, d->patch, 0, 1, 1);
	int64_t width = d->width;
	int stage, i;

	x = first(b, ns_build_layer_norm(b, last(b, x), width));
	for (stage = 0; stage < d->stages; stage++) {
		if (stage) {
			x = first(b, ns_build_layer_norm(b, last(b, x), width));
			x = ns_build_conv(b, x, width, 2 * width, 2, 2, 0, 1, 1);
			width *= 2;
		}
		for (i = 0; i < d->blocks[stage]; i++)
			x = convnext_block(b, x, width);
	}
	x = ns_build_with(b, "Flatten", ns_build(b, "GlobalAveragePool", x, NULL, NULL), NULL, NULL, "axis", 1);
	ns_build_head(b, ns_build_layer_norm(b, x, width), width, d->classes);
}

/* --- mobilenet --- */

static const char *relu6(struct ns_builder *b, const char *x)
{
	return ns_build(b, "Clip", x, ns_build_number(b, 0), ns_build_number(b, 6));
}

static const char *conv_norm(struct ns_builder *b, const char *x, int64_t in, int64_t out, int64_t k, int64_t stride, int64_t groups)
{
	return ns_build_batch_norm(b, ns_build_conv(b, x, in, out, k, stride, k / 2, groups, 0), out);
}

/* Wider by 6, each channel by itself, and back. */
static const char *inverted(struct ns_builder *b, const char *x, int64_t in, int64_t out, int64_t stride)
{
	const char *t = relu6(b, conv_norm(b, x, in, 6 * in, 1, 1, 1));

	t = relu6(b, conv_norm(b, t, 6 * in, 6 * in, 3, stride, 6 * in));
	t = conv_norm(b, t, 6 * in, out, 1, 1, 1);
	return stride == 1 && in == out ? ns_build(b, "Add", x, t, NULL) : t;
}

static void build_mobilenet(struct ns_builder *b, const struct ns_design *d)
{
	const char *x = relu6(b, conv_norm(b, "x", d->c, d->width, 3, d->patch, 1));
	int64_t width = d->width, in = width;
	int stage, i;

	for (stage = 0; stage < d->stages; stage++, width *= 2)
		for (i = 0; i < d->blocks[stage]; i++, in = width)
			x = inverted(b, x, in, width, stage && !i ? 2 : 1);
	x = relu6(b, conv_norm(b, x, in, 4 * in, 1, 1, 1));
	x = ns_build_with(b, "Flatten", ns_build(b, "GlobalAveragePool", x, NULL, NULL), NULL, NULL, "axis", 1);
	ns_build_head(b, x, 4 * in, d->classes);
}

/* --- resnext --- */

static const char *relu(struct ns_builder *b, const char *x)
{
	return ns_build(b, "Relu", x, NULL, NULL);
}

static const char *grouped(struct ns_builder *b, const char *x, int64_t in, int64_t out, int64_t stride, int64_t groups)
{
	const char *t = relu(b, conv_norm(b, x, in, out / 2, 1, 1, 1));

	t = relu(b, conv_norm(b, t, out / 2, out / 2, 3, stride, groups));
	t = conv_norm(b, t, out / 2, out, 1, 1, 1);
	return relu(b, ns_build(b, "Add", in == out && stride == 1 ? x : conv_norm(b, x, in, out, 1, stride, 1), t, NULL));
}

static void build_resnext(struct ns_builder *b, const struct ns_design *d)
{
	const char *x = relu(b, conv_norm(b, "x", d->c, d->width, 3, d->patch, 1));
	int64_t in = d->width, out = 2 * d->width;
	int stage, i;

	for (stage = 0; stage < d->stages; stage++, out *= 2)
		for (i = 0; i < d->blocks[stage]; i++, in = out)
			x = grouped(b, x, in, out, stage && !i ? 2 : 1, d->groups);
	x = ns_build_with(b, "Flatten", ns_build(b, "GlobalAveragePool", x, NULL, NULL), NULL, NULL, "axis", 1);
	ns_build_head(b, x, in, d->classes);
}

/* --- unet --- */

/* Of 3 x 3, the first of them with a stride. */
static const char *convolutions(struct ns_builder *b, const char *x, int many, int64_t in, int64_t out, int64_t stride)
{
	int i;

	for (i = 0; i < many; i++, in = out, stride = 1)
		x = relu(b, conv_norm(b, x, in, out, 3, stride, 1));
	return x;
}

static void build_unet(struct ns_builder *b, const struct ns_design *d)
{
	const int64_t map[3] = {d->classes, d->h / d->patch, d->w / d->patch};
	const char *x = "x", *held[8];
	int64_t width = d->width, in = d->c;
	int stage;

	for (stage = 0; stage < d->stages; stage++, in = width, width *= 2)
		x = held[stage] = convolutions(b, x, d->blocks[stage], in, width, stage ? 2 : d->patch);
	for (width = in, stage = d->stages - 2; stage >= 0; stage--, width /= 2) {
		x = ns_build_conv(b, x, width, 2 * width, 1, 1, 0, 1, 1); /* four pixels of half the channels each */
		x = ns_build_with(b, "DepthToSpace", x, NULL, NULL, "blocksize", 2);
		x = ns_build_with(b, "Concat", x, held[stage], NULL, "axis", 1);
		x = convolutions(b, x, d->blocks[stage], width, width / 2, 1);
	}
	x = ns_build_conv(b, x, width, d->classes, 1, 1, 0, 1, 1);
	ns_onnx_put_value(&b->graph, 12, x, NS_ONNX_FLOAT, "n", map, 3);
}

/* --- crnn --- */

static void build_crnn(struct ns_builder *b, const struct ns_design *d)
{
	const int64_t axis = 2;
	int64_t width = d->width, in = d->c, steps = d->w;
	const char *x = "x";
	int stage;

	for (stage = 0; stage < d->stages; stage++, in = width, width *= 2) {
		x = convolutions(b, x, d->blocks[stage], in, width, 1);
		x = ns_build_max_pool(b, x, 2, stage < 2 ? 2 : 1); /* letters are narrower than they are high */
		steps /= stage < 2 ? 2 : 1;
	}
	x = ns_build_list(b, "ReduceMean", x, "axes", &axis, 1);
	x = ns_build(b, "Reshape", x, ns_build_wholes(b, (const int64_t[]){0, in, -1}, 3), NULL);
	x = ns_build_lstm(b, ns_build_list(b, "Transpose", x, "perm", (const int64_t[]){2, 0, 1}, 3), in, in);
	x = ns_build_list(b, "Transpose", ns_build_dense(b, x, 2 * in, d->classes), "perm", (const int64_t[]){1, 0, 2}, 3);
	ns_onnx_put_value(&b->graph, 12, x, NS_ONNX_FLOAT, "n", (const int64_t[]){steps, d->classes}, 2);
}

/* --- the table --- */

#define OF_IMAGES (1u << NS_TASK_CLASSIFY | 1u << NS_TASK_TAGS | 1u << NS_TASK_REGRESS)

static const struct family {
	const char *name;
	void (*build)(struct ns_builder *b, const struct ns_design *d);
	int patch;		  /* of an image of 128 pixels and more; smaller ones have a quarter, at least 1 */
	int batch_norms, divides; /* divides: images have to be multiples of the patch, and for each further stage of 2 */
	unsigned tasks;		  /* bits */
} families[] = {
	{"vit", build_vit, 16, 0, 1, OF_IMAGES},
	{"convnext", build_convnext, 4, 0, 1, OF_IMAGES},
	{"mobilenet", build_mobilenet, 2, 1, 0, OF_IMAGES},
	{"resnext", build_resnext, 2, 1, 0, OF_IMAGES},
	{"unet", build_unet, 2, 1, 1, 1u << NS_TASK_SEGMENT},
	{"crnn", build_crnn, 1, 1, 0, 1u << NS_TASK_READ},
};

static const struct family *find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof families / sizeof *families; i++)
		if (!strcmp(families[i].name, name))
			return &families[i];
	return NULL;
}

int ns_family_is_built(const char *name)
{
	return find(name) != NULL;
}

static enum ns_status check(const struct family *f, const struct ns_design *d)
{
	int unit = d->patch << (strcmp(f->name, "vit") ? d->stages - 1 : 0);

	if (!(f->tasks >> d->task & 1))
		return ns_fail(NS_CONFIG, "model.family = '%s': makes no models of the task %s", f->name, ns_task_name(d->task));
	if (d->task == NS_TASK_READ && (d->h >> d->stages < 1 || d->w < 8))
		return ns_fail(NS_CONFIG, "model: crnn of %d stages: expected images of at least %d x 8, found %d x %d", d->stages, 1 << d->stages,
			       d->h, d->w);

	if (f->divides && (d->h % unit || d->w % unit || d->h < unit || d->w < unit))
		return ns_fail(NS_CONFIG, "model: %s of images of %d x %d: expected multiples of %d (model.patch%s)", f->name, d->h, d->w, unit,
			       d->stages > 1 && unit != d->patch ? ", and 2 for each further stage" : "");
	if (!strcmp(f->name, "vit") && (d->stages != 1 || d->width % d->heads))
		return ns_fail(NS_CONFIG, "model: vit: expected one number of blocks and a width that %d heads divide, found %d stages and %d",
			       d->heads, d->stages, d->width);
	if (!strcmp(f->name, "resnext") && d->width % d->groups)
		return ns_fail(NS_CONFIG, "model: resnext: expected a width that %d groups divide, found %d", d->groups, d->width);
	return NS_OK;
}

enum ns_status ns_model_build(struct ns_model *m, const struct ns_design *design, const char *const *classes, uint64_t seed)
{
	const struct family *f = find(design->family);
	struct ns_design d = *design;
	struct ns_arch arch;
	struct ns_builder b = {.names = NULL};
	struct ns_onnx *onnx = NULL;
	enum ns_status status;
	char *bytes;
	size_t n;

	memset(&arch, 0, sizeof arch);
	if (!d.patch)
		d.patch = d.h >= 128 && d.w >= 128 ? f->patch : f->patch / 4 ? f->patch / 4 : 1;
	NS_TRY(check(f, &d));
	NS_GO(ns_builder_begin(&b, seed));
	b.logistic = d.task == NS_TASK_TAGS;
	d.classes += d.task == NS_TASK_READ; /* a blank */
	ns_onnx_put_value(&b.graph, 11, "x", NS_ONNX_FLOAT, "n", (const int64_t[]){d.c, d.h, d.w}, 3);
	f->build(&b, &d);
	NS_GO(ns_builder_end(&b, &bytes, &n));
	NS_GO(ns_onnx_read_bytes(&onnx, bytes, n, f->name));
	arch.h = d.h;
	arch.w = d.w;
	arch.c = d.c;
	arch.classes = design->classes;
	arch.task = d.task;
	arch.onnx = 1;
	if (d.task == NS_TASK_CLASSIFY)
		NS_GO(ns_foreign_probe(&arch, onnx));
	arch.batch_norms = f->batch_norms;
	NS_GO(ns_model_make(m, &arch, classes, design->classes));
	m->onnx = onnx;
	onnx = NULL;
out:
	ns_onnx_free(onnx);
	ns_builder_release(&b);
	return status;
}
