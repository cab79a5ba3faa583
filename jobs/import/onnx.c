/* jobs/import/onnx.c - a model from an ONNX file: a classifier of one image input. Its graph is made and run on two images before anything is written. */
#include "jobs/import/import_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/onnx/onnx.h"
#include "jobs/infer/infer.h"

static int is_colours(int64_t c)
{
	return c == 1 || c == 3;
}

/* Its only input, as (N, C, H, W) or (N, H, W, C). */
static enum ns_status read_input(const struct ns_onnx *o, struct ns_arch *a)
{
	const struct ns_onnx_value *x = NULL;
	int i, count = 0, at;

	for (i = 0; i < o->value_count; i++)
		if (o->values[i].input && o->values[i].tensor < 0) {
			x = &o->values[i];
			count++;
		}
	if (count != 1)
		return ns_fail(NS_BAD_DATA, "%s: has %d inputs, expected one, of images", o->path, count);
	if (x->type != NS_ONNX_FLOAT || x->rank != 4 || (!is_colours(x->dims[1].value) && !is_colours(x->dims[3].value)))
		return ns_fail(NS_BAD_DATA,
			       "%s: input '%.*s' is %s of %d axes, expected float32 images of 1 or 3 channels, (N, C, H, W) or (N, H, W, C)", o->path,
			       (int)x->name.bytes, x->name.at, ns_onnx_type_name(x->type), x->rank);
	a->channels_last = !is_colours(x->dims[1].value);
	at = a->channels_last ? 1 : 2;
	a->c = (int)x->dims[a->channels_last ? 3 : 1].value;
	for (i = 0; i < 2; i++)
		if (x->dims[at + i].value > 4096)
			return ns_fail(NS_BAD_DATA, "%s: its images have a side of %lld, expected at most 4096", o->path,
				       (long long)x->dims[at + i].value);
	a->h = x->dims[at].value < 4 ? 0 : (int)x->dims[at].value;
	a->w = x->dims[at + 1].value < 4 ? 0 : (int)x->dims[at + 1].value;
	return NS_OK;
}

/* Classes as many as the first output has numbers for an image, or where it does not say that, as names were given. */
static enum ns_status read_classes(const struct ns_onnx *o, const json_t *names, struct ns_arch *a)
{
	int i, d;

	for (i = 0; i < o->value_count; i++) {
		const struct ns_onnx_value *y = &o->values[i];
		int64_t k = 1;

		if (y->output != 1)
			continue;
		for (d = 1; d < y->rank; d++) {
			if (y->dims[d].value < 1 || k > NS_CLASSES_MAX / y->dims[d].value)
				k = -1;
			if (k < 0)
				break;
			k *= y->dims[d].value;
		}
		if ((y->rank < 2 || k < 2) && json_array_size(names) > 1)
			k = (int64_t)json_array_size(names);
		if (k < 2)
			return ns_fail(NS_BAD_DATA,
				       "%s: output '%.*s' does not say how many classes it has: expected (N, classes), or import.classes", o->path,
				       (int)y->name.bytes, y->name.at);
		a->classes = (int)k;
		return NS_OK;
	}
	return ns_fail(NS_BAD_DATA, "%s: has no output", o->path);
}

static enum ns_status make(struct ns_model *m, const struct ns_arch *arch, const struct ns_import_facts *f)
{
	size_t n = json_array_size(f->classes), i;
	const char **names = malloc(sizeof *names * (n + 1));
	enum ns_status status;

	for (i = 0; names && i < n; i++)
		names[i] = json_string_value(json_array_get(f->classes, i));
	status = names ? ns_model_make(m, arch, names, (int)n) : ns_fail(NS_NO_MEMORY, "out of memory for %zu classes", n);
	free(names);
	NS_TRY(status);
	return ns_import_pixels(m, f);
}

enum ns_status ns_import_onnx(const struct ns_job *job, const char *file, struct ns_model *m, struct ns_import_facts *f)
{
	struct ns_arch arch;
	struct ns_onnx *o;
	enum ns_status status;
	int i;

	memset(&arch, 0, sizeof arch);
	NS_TRY(ns_onnx_read(&o, file));
	for (i = 0; i < o->tensor_count; i++)
		if (o->tensors[i].location.bytes)
			NS_GO(ns_fail(NS_BAD_DATA, "%s: has weights in other files; a model here is one file: save it with its weights inside",
				      file));
	NS_GO(read_input(o, &arch));
	NS_GO(read_classes(o, ns_conf_node(job->conf, "import.classes"), &arch));
	NS_GO(ns_import_facts(f, job->conf, file, &arch));
	arch.h = f->h;
	arch.w = f->w;
	NS_GO(ns_foreign_probe(&arch, o));
	NS_GO(make(m, &arch, f));
	m->onnx = o;
	return NS_OK;
out:
	ns_onnx_free(o);
	return status;
}

void ns_import_tell_onnx(const struct ns_model *m, const char *file)
{
	const struct ns_arch *a = &m->net.arch;

	printf("%s: %d nodes of ONNX, images with channels %s, %s\n", file, m->onnx->node_count, a->channels_last ? "last" : "first",
	       a->probabilities ? "outputs that are probabilities: their logarithms are the logits" : "outputs that are taken as logits");
	printf("  the embedding is %s, %d numbers\n", a->embedding == a->classes ? "the logits" : "what its last weights read", a->embedding);
	printf("  two images together %s\n",
	       a->alone ? "do not give what each gives alone: images are run one by one" : "give what each gives alone");
}
