/*
 * jobs/import/import.c - a model from a file of weights: what the network is, by their shapes; its classes and how images are prepared, by what lies beside
 * them or is asked for. All of it is said, so that nobody takes a default for knowledge.
 */
#include "jobs/import/import_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/onnx/onnx.h"
#include "jobs/infer/infer.h"

/* Of a forward pass of one image. */
static double flops(const struct ns_net *net)
{
	double sum = 0;
	int i;

	for (i = 0; i < net->layer_count; i++) {
		const struct ns_layer *l = &net->layers[i];

		if (l->kind == NS_LAYER_CONV)
			sum += 2. * l->r * l->r * l->c * l->k * l->p * l->q;
		else if (l->kind == NS_LAYER_LINEAR)
			sum += 2. * l->c * l->k;
	}
	return sum;
}

static enum ns_status make(struct ns_model *m, const struct ns_found *found, struct ns_arch *arch, const struct ns_import_facts *f)
{
	arch->h = f->h;
	arch->w = f->w;
	NS_TRY(ns_import_make(m, arch, f));
	return ns_model_take(m, found, 0);
}

static void tell_resnet(const char *file, const struct ns_found *found, const struct ns_model *m)
{
	const struct ns_arch *a = &m->net.arch;
	char blocks[64] = "";
	int i;

	for (i = 0; i < a->stages; i++)
		snprintf(blocks + strlen(blocks), sizeof blocks - strlen(blocks), "%s%d", i ? ", " : "", a->blocks[i]);
	printf("%s: a ResNet of %s blocks [%s], width %d, %s stem; %.1f M parameters, %.2f GFLOP an image\n", file,
	       a->bottleneck ? "bottleneck" : "basic", blocks, a->width, a->imagenet_stem ? "imagenet" : "small", (double)m->net.floats / 1e6,
	       flops(&m->net) / 1e9);
	printf("  names: %s%s%s%s\n", found->renamed ? "Hugging Face's" : "torchvision's", *found->prefix ? ", below " : "", found->prefix,
	       *found->prefix ? ", which is left out" : "");
	if (a->imagenet_stem == 0)
		printf("  a stem of 3x3 is taken to have stride 1 and no pooling: shapes do not say it\n");
}

static void tell(const struct ns_job *job, const char *file, const struct ns_found *found, const struct ns_model *m, const struct ns_import_facts *f)
{
	const struct ns_arch *a = &m->net.arch;
	json_t *json = ns_arch_to_json(a);

	ns_log_event(job->log, "imported",
		     json_pack("{s:s, s:o, s:i, s:s, s:b, s:I, s:f}", "file", file, "architecture", json ? json : json_null(), "tensors",
			       (int)json_object_size(found->names), "prefix", found->prefix, "renamed", found->renamed, "parameters",
			       (json_int_t)m->net.floats, "flops", flops(&m->net)));
	if (m->onnx)
		ns_import_tell_onnx(m, file);
	else
		tell_resnet(file, found, m);
	if (m->class_count)
		printf("  %d %s, named by %s\n", m->class_count, a->task == NS_TASK_READ ? "symbols" : "classes", f->classes_from);
	printf("  images of %dx%dx%d, the size by %s; mean and std by %s\n", a->h, a->w, a->c, f->size_from, f->pixels_from);
}

/* NS_CONFIG where something was asked for that ONNX files alone have. */
static enum ns_status check_keys(const struct ns_conf *conf, const char *file)
{
	static const char *const keys[] = {"import.task", "import.head",   "import.score",  "import.iou",      "import.blank", "import.colours",
					   "import.fit",  "import.filter", "import.resize", "import.multiple", "import.fill"};
	size_t i;

	for (i = 0; i < sizeof keys / sizeof *keys; i++)
		if (ns_conf_given(conf, keys[i]))
			return ns_fail(NS_CONFIG, "%s: %s is of models that come as ONNX; this is a ResNet that classifies", file, keys[i]);
	return NS_OK;
}

/* Reads the file, and what lies beside it. */
static enum ns_status read_all(const struct ns_job *job, const char *file, struct ns_found *found, struct ns_model *m, struct ns_import_facts *f)
{
	struct ns_arch arch;
	int is;

	memset(&arch, 0, sizeof arch);
	NS_TRY(ns_onnx_file(file, &is));
	if (is)
		return ns_import_onnx(job, file, m, f);
	NS_TRY(ns_weights_file(file, &is));
	if (!is)
		return ns_fail(NS_IO, "%s: no such file", file);
	NS_TRY(check_keys(job->conf, file));
	NS_TRY(ns_found_read(found, file));
	NS_TRY(ns_found_arch(found, &arch));
	if (!arch.classes)
		return ns_fail(NS_BAD_DATA, "%s: has no classifier (fc.weight of at least two classes); train --from starts with it, and makes one",
			       file);
	arch.epsilon = (float)ns_conf_real(job->conf, "model.epsilon");
	NS_TRY(ns_import_facts(f, job->conf, file, &arch));
	NS_TRY(ns_import_names(f, job->conf, file, arch.classes, NULL));
	NS_TRY(make(m, found, &arch, f));
	return ns_conf_bool(job->conf, "model.leftovers") ? NS_OK : ns_found_check_left(found, &m->net);
}

enum ns_status ns_job_import(struct ns_job *job, int argc, char **argv)
{
	struct ns_found found = {.names = NULL};
	struct ns_import_facts facts = {NULL, NULL, NULL, 0, 0, NULL, NULL, NULL};
	struct ns_model m = {0};
	char hex[NS_SHA256_HEX];
	enum ns_status status;

	if (argc != 1)
		return ns_fail(NS_USAGE, "import: expected one file of weights");
	NS_GO(ns_job_agree(job, read_all(job, argv[0], &found, &m, &facts)));
	NS_GO(ns_sha256_file(hex, argv[0]));
	NS_GO(ns_job_begin(job, 0));
	json_object_set_new(m.facts, "imported", NS_JSON_OBJECT({"file", ns_json_string(argv[0])}, {"sha256", json_string(hex)}));
	NS_GO(ns_model_publish(job, &m));
	if (job->comm->rank == 0)
		tell(job, argv[0], &found, &m, &facts);
	ns_job_input(job, "weights", argv[0], hex);
	ns_job_count(job, "parameters", m.onnx ? (int64_t)ns_json_number(json_object_get(m.facts, "trains"), "parameters", 0) : m.net.floats);
	status = ns_job_publish(job);
out:
	ns_import_facts_release(&facts);
	ns_found_release(&found);
	ns_model_release(&m);
	return status;
}
