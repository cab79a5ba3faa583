#include "host/graph/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

/* Reads a whole number within bounds, or returns NS_CONFIG. */
static enum ns_status take(const json_t *value, const char *name, const char *where, int low, int high, int *out)
{
	int64_t x;

	if (ns_json_int(value, name, where, low, high, &x) != NS_OK)
		return NS_CONFIG;
	*out = (int)x;
	return NS_OK;
}

/* The classifier alone grows with the product of classes and features. */
static enum ns_status check_classifier(const struct ns_arch *a, const char *where)
{
	int64_t features = ((int64_t)a->width << (a->stages - 1)) * (a->bottleneck ? 4 : 1);

	if (a->classes <= NS_CLASSIFIER_MAX / features)
		return NS_OK;
	return ns_fail(
		NS_CONFIG,
		"%s: %d classes x %lld features are a classifier of more than 2^28 weights, 1 GiB, of which a training holds several; expected "
		"fewer classes, a smaller width or fewer stages",
		where, a->classes, (long long)features);
}

static enum ns_status take_input(struct ns_arch *a, const json_t *input, const char *where)
{
	if (json_array_size(input) != 3)
		return ns_fail(NS_CONFIG, "%s: input has %zu entries, expected [H, W, C]", where, json_array_size(input));
	NS_TRY(take(json_array_get(input, 0), "input[0]", where, 4, 4096, &a->h));
	NS_TRY(take(json_array_get(input, 1), "input[1]", where, 4, 4096, &a->w));
	NS_TRY(take(json_array_get(input, 2), "input[2]", where, 1, 3, &a->c));
	if (a->c == 2)
		return ns_fail(NS_CONFIG, "%s: input is %dx%dx%d, expected 1 or 3 channels", where, a->h, a->w, a->c);
	return NS_OK;
}

/* One of two words. */
static enum ns_status either(const json_t *json, const char *key, const char *no, const char *yes, const char *where, int *is)
{
	const char *word = ns_json_text(json, key);

	*is = !strcmp(word, yes);
	return *is || !strcmp(word, no) ? NS_OK : ns_fail(NS_CONFIG, "%s: %s is '%s', expected %s or %s", where, key, word, no, yes);
}

static const char *const tasks[] = {"classify", "tags", "detect", "segment", "regions", "read", "embed", "regress", "raw", NULL};

int ns_task_find(const char *name)
{
	return ns_word_find(tasks, name);
}

const char *ns_task_name(enum ns_task task)
{
	return tasks[task];
}

static enum ns_status foreign_from_json(struct ns_arch *a, const json_t *json, const char *where)
{
	const char *task = json_object_get(json, "task") ? ns_json_text(json, "task") : tasks[NS_TASK_CLASSIFY];
	int found = ns_task_find(task);

	a->onnx = 1;
	if (found < 0)
		return ns_fail(NS_CONFIG, "%s: task is '%s', which this version does not know", where, task);
	a->task = (enum ns_task)found;
	NS_TRY(take_input(a, json_object_get(json, "input"), where));
	if (json_object_get(json, "colours"))
		NS_TRY(either(json, "colours", "rgb", "bgr", where, &a->bgr));
	if (a->task != NS_TASK_CLASSIFY) {
		NS_TRY(take(json_object_get(json, "classes"), "classes", where, 0, NS_CLASSES_MAX, &a->classes));
		NS_TRY(either(json, "channels", "first", "last", where, &a->channels_last));
		return json_object_get(json, "normalisations") ? either(json, "normalisations", "file", "batch", where, &a->batch_norms) : NS_OK;
	}
	NS_TRY(take(json_object_get(json, "classes"), "classes", where, 2, NS_CLASSES_MAX, &a->classes));
	NS_TRY(take(json_object_get(json, "embedding"), "embedding", where, 1, NS_CLASSES_MAX, &a->embedding));
	NS_TRY(either(json, "channels", "first", "last", where, &a->channels_last));
	NS_TRY(either(json, "outputs", "logits", "probabilities", where, &a->probabilities));
	NS_TRY(either(json, "batch", "together", "alone", where, &a->alone));
	return json_object_get(json, "normalisations") ? either(json, "normalisations", "file", "batch", where, &a->batch_norms) : NS_OK;
}

enum ns_status ns_arch_from_json(struct ns_arch *a, const json_t *json, const char *where)
{
	const json_t *blocks = json_object_get(json, "blocks"), *input = json_object_get(json, "input");
	const char *block = ns_json_text(json, "block"), *stem = ns_json_text(json, "stem");
	char name[32];
	size_t i;

	double epsilon = (double)NS_BN_EPS;

	memset(a, 0, sizeof *a);
	if (json_object_get(json, "epsilon") && ns_json_get_real(json, "epsilon", where, &epsilon) != NS_OK)
		return NS_CONFIG;
	a->epsilon = (float)epsilon;
	if (!(epsilon >= 1e-12 && epsilon <= 1))
		return ns_fail(NS_CONFIG, "%s: epsilon is %g, expected 1e-12 to 1", where, epsilon);
	if (!strcmp(ns_json_text(json, "family"), "onnx"))
		return foreign_from_json(a, json, where);
	if (strcmp(ns_json_text(json, "family"), "resnet"))
		return ns_fail(NS_CONFIG, "%s: family is '%s', expected 'resnet'", where, ns_json_text(json, "family"));
	if (strcmp(block, "basic") && strcmp(block, "bottleneck"))
		return ns_fail(NS_CONFIG, "%s: block is '%s', expected basic or bottleneck", where, block);
	if (strcmp(stem, "small") && strcmp(stem, "imagenet"))
		return ns_fail(NS_CONFIG, "%s: stem is '%s', expected small or imagenet", where, stem);
	a->bottleneck = !strcmp(block, "bottleneck");
	a->imagenet_stem = !strcmp(stem, "imagenet");
	a->stages = (int)json_array_size(blocks);
	if (a->stages < 1 || a->stages > 8)
		return ns_fail(NS_CONFIG, "%s: blocks has %d entries, expected 1 to 8", where, a->stages);
	for (i = 0; i < json_array_size(blocks); i++) {
		snprintf(name, sizeof name, "blocks[%zu]", i);
		NS_TRY(take(json_array_get(blocks, i), name, where, 1, 100, &a->blocks[i]));
	}
	NS_TRY(take_input(a, input, where));
	NS_TRY(take(json_object_get(json, "width"), "width", where, 1, 4096, &a->width));
	NS_TRY(take(json_object_get(json, "classes"), "classes", where, 2, NS_CLASSES_MAX, &a->classes));
	return check_classifier(a, where);
}

static json_t *foreign_to_json(const struct ns_arch *a)
{
	json_t *json = json_pack("{s:s, s:[i,i,i], s:i, s:s}", "family", "onnx", "input", a->h, a->w, a->c, "classes", a->classes, "channels",
				 a->channels_last ? "last" : "first");

	if (a->bgr)
		json_object_set_new(json, "colours", json_string("bgr"));
	if (a->task != NS_TASK_CLASSIFY) {
		json_object_set_new(json, "task", json_string(tasks[a->task]));
		if (a->batch_norms)
			json_object_set_new(json, "normalisations", json_string("batch"));
		return json;
	}
	json_object_set_new(json, "embedding", json_integer(a->embedding));
	json_object_set_new(json, "outputs", json_string(a->probabilities ? "probabilities" : "logits"));
	json_object_set_new(json, "batch", json_string(a->alone ? "alone" : "together"));
	if (a->batch_norms)
		json_object_set_new(json, "normalisations", json_string("batch"));
	return json;
}

json_t *ns_arch_to_json(const struct ns_arch *a)
{
	json_t *blocks, *json;
	int i;

	if (a->onnx)
		return foreign_to_json(a);
	blocks = json_array();
	for (i = 0; i < a->stages; i++)
		json_array_append_new(blocks, json_integer(a->blocks[i]));
	json = json_pack("{s:s, s:s, s:o, s:i, s:s, s:[i,i,i], s:i}", "family", "resnet", "block", a->bottleneck ? "bottleneck" : "basic", "blocks",
			 blocks, "width", a->width, "stem", a->imagenet_stem ? "imagenet" : "small", "input", a->h, a->w, a->c, "classes",
			 a->classes);
	if (json && a->epsilon > 0 && (a->epsilon < NS_BN_EPS || a->epsilon > NS_BN_EPS))
		json_object_set_new(json, "epsilon", json_real((double)a->epsilon));
	return json;
}

/* --- building --- */

struct shape {
	int tensor, h, w, c;
};

static struct ns_layer *add_layer(struct ns_net *n, enum ns_layer_kind kind, struct shape in)
{
	struct ns_layer *l = &n->layers[n->layer_count++];

	*l = (struct ns_layer){kind, in.tensor, ++n->tensors, -1, in.h, in.w, in.c, 0, 0, 0, 0, 1, 0, 0, -1, -1, -1, -1, -1, -1};
	return l;
}

static int add_param(struct ns_net *n, const char *prefix, const char *name, enum ns_param_kind kind, int k, int r, int c)
{
	struct ns_param *p = &n->params[n->param_count];

	snprintf(p->name, sizeof p->name, "%s.%s", prefix, name);
	p->kind = kind;
	p->k = k;
	p->r = p->s = r;
	p->c = c;
	p->count = (int64_t)k * r * r * c;
	p->depth = n->param_count ? p[-1].depth + (kind == NS_PARAM_CONV || kind == NS_PARAM_MATRIX) : 0;
	return n->param_count++;
}

/* Adds the convolution `name` and its normalisation `norm`. */
static struct shape conv(struct ns_net *n, struct shape in, const char *name, const char *norm, int k, int r, int stride, int relu, int res)
{
	struct ns_layer *l = add_layer(n, NS_LAYER_CONV, in);

	l->r = r;
	l->stride = stride;
	l->pad = r / 2;
	l->k = k;
	l->p = (in.h + 2 * l->pad - r) / stride + 1;
	l->q = (in.w + 2 * l->pad - r) / stride + 1;
	l->relu = relu;
	l->res = res;
	l->weight = add_param(n, name, "weight", NS_PARAM_CONV, k, r, in.c);
	l->gamma = add_param(n, norm, "weight", NS_PARAM_VECTOR, k, 1, 1);
	l->beta = add_param(n, norm, "bias", NS_PARAM_VECTOR, k, 1, 1);
	l->mean = add_param(n, norm, "running_mean", NS_PARAM_STATISTIC, k, 1, 1);
	l->var = add_param(n, norm, "running_var", NS_PARAM_STATISTIC, k, 1, 1);
	return (struct shape){l->out, l->p, l->q, k};
}

static struct shape pool(struct ns_net *n, struct shape in, enum ns_layer_kind kind, int r, int stride, int pad)
{
	struct ns_layer *l = add_layer(n, kind, in);

	l->r = r;
	l->stride = stride;
	l->pad = pad;
	l->k = in.c;
	l->p = kind == NS_LAYER_AVGPOOL ? 1 : (in.h + 2 * pad - r) / stride + 1;
	l->q = kind == NS_LAYER_AVGPOOL ? 1 : (in.w + 2 * pad - r) / stride + 1;
	return (struct shape){l->out, l->p, l->q, in.c};
}

static struct shape block(struct ns_net *n, struct shape in, int stage, int index, int k, int stride)
{
	int out = n->arch.bottleneck ? 4 * k : k, deep = n->arch.bottleneck, res = in.tensor;
	char name[3][64], norm[3][64], down[2][64];
	struct shape t;
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(name[i], sizeof name[i], "layer%d.%d.conv%d", stage + 1, index, i + 1);
		snprintf(norm[i], sizeof norm[i], "layer%d.%d.bn%d", stage + 1, index, i + 1);
	}
	for (i = 0; i < 2; i++)
		snprintf(down[i], sizeof down[i], "layer%d.%d.downsample.%d", stage + 1, index, i);
	if (stride != 1 || in.c != out)
		res = conv(n, in, down[0], down[1], out, 1, stride, 0, -1).tensor;
	if (deep) { /* the stride is on the 3x3, as in torchvision */
		t = conv(n, in, name[0], norm[0], k, 1, 1, 1, -1);
		t = conv(n, t, name[1], norm[1], k, 3, stride, 1, -1);
		return conv(n, t, name[2], norm[2], out, 1, 1, 1, res);
	}
	t = conv(n, in, name[0], norm[0], k, 3, stride, 1, -1);
	return conv(n, t, name[1], norm[1], out, 3, 1, 1, res);
}

static void build_layers(struct ns_net *n)
{
	const struct ns_arch *a = &n->arch;
	struct shape t = {0, a->h, a->w, a->c};
	struct ns_layer *l;
	int stage, i, r = a->imagenet_stem ? 7 : 3;

	t = conv(n, t, "conv1", "bn1", a->width, r, a->imagenet_stem ? 2 : 1, 1, -1);
	if (a->imagenet_stem)
		t = pool(n, t, NS_LAYER_MAXPOOL, 3, 2, 1);
	for (stage = 0; stage < a->stages; stage++)
		for (i = 0; i < a->blocks[stage]; i++)
			t = block(n, t, stage, i, a->width << stage, stage > 0 && i == 0 ? 2 : 1);
	t = pool(n, t, NS_LAYER_AVGPOOL, 0, 1, 0);
	n->embedding_dim = t.c;
	l = add_layer(n, NS_LAYER_LINEAR, t);
	l->k = a->classes;
	l->p = l->q = 1;
	l->weight = add_param(n, "fc", "weight", NS_PARAM_MATRIX, a->classes, 1, t.c);
	l->bias = add_param(n, "fc", "bias", NS_PARAM_VECTOR, a->classes, 1, 1);
	n->tensors++;
}

/* Sorts parameters: weights, then vectors, then statistics; the layers' indices follow. */
static enum ns_status sort_params(struct ns_net *n)
{
	struct ns_param *sorted = calloc((size_t)n->param_count, sizeof *sorted);
	int *moved = calloc((size_t)n->param_count, sizeof *moved), pass, i, j = 0;
	int64_t at = 0;

	if (!sorted || !moved) {
		free(sorted);
		free(moved);
		return ns_fail(NS_NO_MEMORY, "out of memory for a network");
	}
	for (pass = 0; pass < 3; pass++) {
		for (i = 0; i < n->param_count; i++) {
			enum ns_param_kind kind = n->params[i].kind;
			int wanted = kind == NS_PARAM_STATISTIC ? 2 : kind == NS_PARAM_VECTOR ? 1 : 0;

			if (wanted != pass)
				continue;
			sorted[j] = n->params[i];
			sorted[j].at = at;
			at += sorted[j].count;
			moved[i] = j++;
		}
		if (pass == 0) {
			n->decaying = j;
			n->decay_floats = at;
		} else if (pass == 1) {
			n->trainable = j;
			n->train_floats = at;
		}
	}
	n->floats = at;
	for (i = 0; i < n->layer_count; i++) {
		struct ns_layer *l = &n->layers[i];
		int *refs[] = {&l->weight, &l->gamma, &l->beta, &l->bias, &l->mean, &l->var};

		for (j = 0; j < 6; j++)
			if (*refs[j] >= 0)
				*refs[j] = moved[*refs[j]];
	}
	free(n->params);
	free(moved);
	n->params = sorted;
	return NS_OK;
}

enum ns_status ns_net_build(struct ns_net *n, const struct ns_arch *arch)
{
	int i, blocks = 0;

	memset(n, 0, sizeof *n);
	n->arch = *arch;
	n->arch.epsilon = arch->epsilon > 0 ? arch->epsilon : NS_BN_EPS;
	if (arch->onnx) { /* its layers are its file's */
		n->embedding_dim = arch->embedding;
		return NS_OK;
	}
	for (i = 0; i < arch->stages; i++)
		blocks += arch->blocks[i];
	n->layers = calloc((size_t)(4 * blocks + 8), sizeof *n->layers);
	n->params = calloc((size_t)(5 * (4 * blocks + 8)), sizeof *n->params);
	if (!n->layers || !n->params) {
		ns_net_release(n);
		return ns_fail(NS_NO_MEMORY, "out of memory for a network");
	}
	build_layers(n);
	return sort_params(n);
}

void ns_net_release(struct ns_net *n)
{
	free(n->layers);
	free(n->params);
	memset(n, 0, sizeof *n);
}

int ns_net_param(const struct ns_net *n, const char *name)
{
	int i;

	for (i = 0; i < n->param_count; i++)
		if (!strcmp(n->params[i].name, name))
			return i;
	return -1;
}
