/*
 * host/graph/found.c - weights of a ResNet as others write them: torchvision's names, which timm has too, or Hugging Face's, below one common prefix. What
 * the network is can be read off their shapes, and what of a file nobody reads is said.
 */
#define _POSIX_C_SOURCE 200809L
#include "host/graph/graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME 256

/* --- names --- */

static int ends(const char *name, const char *end)
{
	size_t n = strlen(name), k = strlen(end);

	return n >= k && !strcmp(name + n - k, end);
}

/* How often a normalisation has seen a batch: no inference and no training of ours asks for it. */
static int is_counter(const char *name)
{
	return ends(name, ".num_batches_tracked");
}

/* Of one of Hugging Face's names torchvision's; the name itself where it is none of them. */
static void rename_one(const char *name, char out[NAME])
{
	static const char stem[] = "embedder.embedder.", head[] = "classifier.1.";
	const char *n = strncmp(name, "resnet.", 7) ? name : name + 7, *rest;
	int stage, block, layer, at = 0;

	snprintf(out, NAME, "%.255s", name);
	if (!strncmp(n, stem, sizeof stem - 1)) {
		n += sizeof stem - 1;
		if (!strncmp(n, "convolution.", 12))
			snprintf(out, NAME, "conv1.%.200s", n + 12);
		else if (!strncmp(n, "normalization.", 14))
			snprintf(out, NAME, "bn1.%.200s", n + 14);
	} else if (!strncmp(n, head, sizeof head - 1)) {
		snprintf(out, NAME, "fc.%.200s", n + sizeof head - 1);
	} else if (sscanf(n, "encoder.stages.%3d.layers.%3d.%n", &stage, &block, &at) == 2 && at) {
		rest = n + at;
		if (!strncmp(rest, "shortcut.convolution.", 21))
			snprintf(out, NAME, "layer%d.%d.downsample.0.%.180s", stage + 1, block, rest + 21);
		else if (!strncmp(rest, "shortcut.normalization.", 23))
			snprintf(out, NAME, "layer%d.%d.downsample.1.%.180s", stage + 1, block, rest + 23);
		else if (sscanf(rest, "layer.%1d.%n", &layer, &at) == 1 && !strncmp(rest + 8, "convolution.", 12))
			snprintf(out, NAME, "layer%d.%d.conv%d.%.180s", stage + 1, block, layer + 1, rest + 20);
		else if (sscanf(rest, "layer.%1d.%n", &layer, &at) == 1 && !strncmp(rest + 8, "normalization.", 14))
			snprintf(out, NAME, "layer%d.%d.bn%d.%.180s", stage + 1, block, layer + 1, rest + 22);
	}
}

/* The part up to a point that all names begin with, from `at` on: its length with the point; 0: there is none. */
static size_t common(const json_t *header, size_t at)
{
	const char *name, *first = NULL, *point;
	json_t *entry;
	size_t n = 0;

	json_object_foreach((json_t *)(uintptr_t)header, name, entry) {
		if (!strcmp(name, "__metadata__"))
			continue;
		if (!first) {
			point = strlen(name) > at ? strchr(name + at, '.') : NULL;
			n = point ? (size_t)(point - name) + 1 - at : 0;
			first = name;
		}
		if (!n || strncmp(name + at, first + at, n) != 0)
			return 0;
	}
	return n;
}

static enum ns_status take_names(struct ns_found *f)
{
	const char *name;
	char ours[NAME];
	json_t *entry;
	size_t prefix = 0, n;

	while ((n = common(f->t.header, prefix)) > 0)
		prefix += n;
	json_object_foreach(f->t.header, name, entry) {
		if (!strcmp(name, "__metadata__") || is_counter(name))
			continue;
		snprintf(f->prefix, sizeof f->prefix, "%.*s", prefix < sizeof f->prefix ? (int)prefix : 0, name);
		rename_one(name + prefix, ours);
		f->renamed |= strcmp(ours, name + prefix) != 0;
		if (json_object_get(f->names, ours))
			return ns_fail(NS_BAD_DATA, "%s: '%s' and '%s' are both %s", f->t.path, name, ns_json_text(f->names, ours), ours);
		if (json_object_set_new(f->names, ours, json_string(name)))
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for its names", f->t.path);
	}
	return NS_OK;
}

enum ns_status ns_found_read(struct ns_found *f, const char *path)
{
	enum ns_status status;

	memset(f, 0, sizeof *f);
	NS_TRY(ns_tensors_read(&f->t, path));
	f->names = json_object();
	status = f->names ? take_names(f) : ns_fail(NS_NO_MEMORY, "%s: out of memory for its names", path);
	if (status != NS_OK)
		ns_found_release(f);
	return status;
}

void ns_found_release(struct ns_found *f)
{
	json_decref(f->names);
	ns_tensors_release(&f->t);
	memset(f, 0, sizeof *f);
}

/* --- what the network is --- */

/* The shape of one of ours; 0 dimensions: the file has none. */
static int shape_of(const struct ns_found *f, const char *ours, int64_t dims[4])
{
	const char *name = ns_json_text(f->names, ours);
	const json_t *shape = json_object_get(json_object_get(f->t.header, name), "shape");
	size_t i;

	if (!*name || json_array_size(shape) > 4)
		return 0;
	for (i = 0; i < json_array_size(shape); i++)
		dims[i] = json_integer_value(json_array_get(shape, i));
	return (int)json_array_size(shape);
}

static int has(const struct ns_found *f, const char *format, int stage, int block)
{
	char name[NAME];
	int64_t dims[4];

	snprintf(name, sizeof name, format, stage, block);
	return shape_of(f, name, dims) > 0;
}

/* What is no ResNet, or one of another kind, is named by what it has. */
static enum ns_status no_resnet(const struct ns_found *f)
{
	const char *first = "";
	size_t n = 0;
	const char *ours;
	json_t *name;

	json_object_foreach(f->names, ours, name) {
		first = n++ ? first : json_string_value(name);
	}
	return ns_fail(
		NS_BAD_DATA,
		"%s: is no ResNet by torchvision's, timm's or Hugging Face's names: of its %zu tensors (%s, ...) none is conv1.weight of 4 dimensions",
		f->t.path, n, first);
}

static enum ns_status count_stages(const struct ns_found *f, struct ns_arch *a)
{
	for (a->stages = 0; a->stages < 8 && has(f, "layer%d.%d.conv1.weight", a->stages + 1, 0); a->stages++)
		for (a->blocks[a->stages] = 1; a->blocks[a->stages] < 100 && has(f, "layer%d.%d.conv1.weight", a->stages + 1, a->blocks[a->stages]);)
			a->blocks[a->stages]++;
	return a->stages ? NS_OK : ns_fail(NS_BAD_DATA, "%s: has conv1.weight, but no layer1.0.conv1.weight: it is no ResNet", f->t.path);
}

/* Other families of the same names: each is refused as what it is. */
static enum ns_status check_family(const struct ns_found *f, const struct ns_arch *a)
{
	int64_t first[4], second[4], wanted = a->width;

	if (shape_of(f, "layer1.0.conv1.weight", first) != 4 || shape_of(f, "layer1.0.conv2.weight", second) != 4)
		return ns_fail(NS_BAD_DATA, "%s: layer1.0.conv1.weight and conv2.weight are not both of 4 dimensions", f->t.path);
	if (second[1] != first[0])
		return ns_fail(NS_BAD_DATA,
			       "%s: layer1.0.conv2 works in groups of %lld of %lld channels (a ResNeXt), which this version does not compute",
			       f->t.path, (long long)second[1], (long long)first[0]);
	if (first[0] != wanted)
		return ns_fail(NS_BAD_DATA,
			       "%s: its blocks have %lld channels where its stem has %lld (a wide ResNet), which this version does not compute",
			       f->t.path, (long long)first[0], (long long)wanted);
	return NS_OK;
}

enum ns_status ns_found_arch(const struct ns_found *f, struct ns_arch *a)
{
	int64_t stem[4], head[4];

	if (shape_of(f, "conv1.weight", stem) != 4)
		return no_resnet(f);
	if (stem[2] != stem[3] || (stem[2] != 3 && stem[2] != 7))
		return ns_fail(NS_BAD_DATA, "%s: conv1.weight is %lldx%lld, expected 3x3 (small) or 7x7 (imagenet)", f->t.path, (long long)stem[2],
			       (long long)stem[3]);
	if (stem[0] < 1 || stem[0] > 4096 || (stem[1] != 1 && stem[1] != 3))
		return ns_fail(NS_BAD_DATA, "%s: conv1.weight makes %lld channels of %lld, expected 1 to 4096 of 1 or 3", f->t.path,
			       (long long)stem[0], (long long)stem[1]);
	a->imagenet_stem = stem[2] == 7;
	a->width = (int)stem[0];
	a->c = (int)stem[1];
	a->bottleneck = has(f, "layer%d.%d.conv3.weight", 1, 0);
	NS_TRY(count_stages(f, a));
	NS_TRY(check_family(f, a));
	a->classes = shape_of(f, "fc.weight", head) == 2 && head[0] >= 2 && head[0] <= NS_CLASSES_MAX ? (int)head[0] : 0;
	return NS_OK;
}

/* --- taking them --- */

/* What the network does not ask for: a file of a larger one would otherwise be taken for this. */
static enum ns_status check_left(const struct ns_found *f, const json_t *asked)
{
	const char *ours, *first = NULL;
	json_t *name;
	size_t n = 0;

	json_object_foreach(f->names, ours, name) {
		if (json_object_get(asked, ours))
			continue;
		first = n++ ? first : json_string_value(name);
	}
	return n ? ns_fail(NS_BAD_DATA, "%s: %zu tensors are none of this network's, the first is '%s'; --model.leftovers leaves them out", f->t.path,
			   n, first)
		 : NS_OK;
}

enum ns_status ns_found_get(const struct ns_found *f, const char *ours, int rank, const int64_t *dims, float *out)
{
	const char *name = ns_json_text(f->names, ours);

	return *name ? ns_tensors_get(&f->t, name, rank, dims, out)
		     : ns_fail(NS_BAD_DATA, "%s: has no tensor '%s' among its %zu", f->t.path, ours, json_object_size(f->names));
}

enum ns_status ns_found_check_left(const struct ns_found *f, const struct ns_net *net)
{
	json_t *asked = json_object();
	enum ns_status status;
	int p;

	for (p = 0; asked && p < net->param_count; p++)
		json_object_set_new(asked, net->params[p].name, json_true());
	status = asked ? check_left(f, asked) : ns_fail(NS_NO_MEMORY, "%s: out of memory for its names", f->t.path);
	json_decref(asked);
	return status;
}
