/* jobs/import/beside.c - classes, size and normalisation of images: from the command line, from files beside the weights, or a default. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/import/import_inner.h"

#include <stdlib.h>
#include <string.h>

void ns_import_facts_release(struct ns_import_facts *f)
{
	json_decref(f->classes);
	json_decref(f->mean);
	json_decref(f->std);
	memset(f, 0, sizeof *f);
}

/* A file of that name in the folder of another; *json is NULL where there is none. */
static enum ns_status read_beside(const char *file, const char *name, json_t **json)
{
	const char *slash = strrchr(file, '/');
	char path[NS_PATH_MAX];

	if (slash)
		NS_TRY(ns_path(path, "%.*s/%s", (int)(slash - file), file, name));
	else
		NS_TRY(ns_path(path, "%s", name));
	return ns_json_read_if_there(path, json, NULL);
}

/* Hugging Face's {"0": "tench", ...}; NULL where it is not whole. */
static json_t *by_number(const json_t *names)
{
	size_t n = json_object_size(names), i;
	json_t *list = json_array();
	char key[16];

	for (i = 0; i < n; i++) {
		snprintf(key, sizeof key, "%zu", i);
		if (!json_is_string(json_object_get(names, key))) {
			json_decref(list);
			return NULL;
		}
		json_array_append(list, json_object_get(names, key));
	}
	return list;
}

/* timm's are below pretrained_cfg, in newer files, or at the top. */
static const json_t *timm(const json_t *config, const char *key)
{
	const json_t *below = json_object_get(json_object_get(config, "pretrained_cfg"), key);

	return below ? below : json_object_get(config, key);
}

static enum ns_status take_classes(struct ns_import_facts *f, const struct ns_conf *conf, const json_t *config, const json_t *own, int wanted,
				   const char *file)
{
	const json_t *asked = ns_conf_node(conf, "import.classes"), *one;
	char number[16];
	size_t i;
	int k;

	f->classes_from = "the configuration";
	if (asked) {
		f->classes = json_deep_copy(asked);
	} else if (own) {
		f->classes = json_deep_copy(own);
		f->classes_from = "the file";
	} else if (json_object_get(config, "id2label")) {
		f->classes = by_number(json_object_get(config, "id2label"));
		f->classes_from = "config.json";
	} else if (json_is_array(timm(config, "label_names"))) {
		f->classes = json_deep_copy(timm(config, "label_names"));
		f->classes_from = "config.json";
	} else {
		f->classes = json_array();
		f->classes_from = "nobody: they are their numbers";
		for (k = 0; k < wanted; k++) {
			snprintf(number, sizeof number, "%d", k);
			json_array_append_new(f->classes, json_string(number));
		}
	}
	if (!f->classes || (int)json_array_size(f->classes) != wanted)
		return ns_fail(asked ? NS_CONFIG : NS_BAD_DATA, "%s: has %d classes, but %s names %zu", file, wanted, f->classes_from,
			       json_array_size(f->classes));
	json_array_foreach(f->classes, i, one)
		if (!json_is_string(one) || !*json_string_value(one))
			return ns_fail(asked ? NS_CONFIG : NS_BAD_DATA, "%s: class %zu of %s is no name", file, i, f->classes_from);
	return NS_OK;
}

/* A list of a number a channel. */
static enum ns_status check_list(const json_t *list, const char *what, const char *from, int channels)
{
	size_t i;
	double x;

	if ((int)json_array_size(list) != channels)
		return ns_fail(NS_CONFIG, "%s of %s has %zu numbers, expected one for each of %d channels", what, from, json_array_size(list),
			       channels);
	for (i = 0; i < json_array_size(list); i++)
		NS_TRY(ns_json_finite(json_array_get(list, i), what, from, &x));
	return NS_OK;
}

/* What was asked for is of pixels from 0 to `range`, in the network's order of channels; what is kept is of 0 to 1, in the order RGB. */
static json_t *asked_list(const json_t *list, double range, int bgr)
{
	size_t n = json_array_size(list), i;
	json_t *kept = json_array();

	for (i = 0; i < n; i++) {
		const json_t *x = json_array_get(list, bgr ? n - 1 - i : i);

		json_array_append_new(kept, json_is_number(x) ? json_real(json_number_value(x) / range) : json_incref((json_t *)(uintptr_t)x));
	}
	return kept;
}

static enum ns_status take_asked(struct ns_import_facts *f, const json_t *mean, const json_t *std, const struct ns_conf *conf,
				 const struct ns_arch *arch)
{
	int64_t range = ns_conf_int(conf, "import.range");

	f->pixels_from = "the configuration";
	f->mean = asked_list(mean, (double)range, arch->bgr);
	f->std = asked_list(std, (double)range, arch->bgr);
	NS_TRY(check_list(f->mean, "mean", f->pixels_from, arch->c));
	return check_list(f->std, "std", f->pixels_from, arch->c);
}

static enum ns_status take_pixels(struct ns_import_facts *f, const struct ns_conf *conf, const json_t *config, const json_t *processor,
				  const struct ns_arch *arch, const char *file)
{
	const json_t *mean = ns_conf_node(conf, "import.mean"), *std = ns_conf_node(conf, "import.std");
	int64_t range = ns_conf_int(conf, "import.range");

	if (!mean != !std)
		return ns_fail(NS_CONFIG, "import.mean and import.std: one was given without the other");
	if (range != 1 && range != 255)
		return ns_fail(NS_CONFIG, "import.range is %lld, expected 1 or 255", (long long)range);
	if (mean)
		return take_asked(f, mean, std, conf, arch);
	if (range != 1)
		return ns_fail(NS_CONFIG, "import.range is of import.mean and import.std, which are not given");
	if (json_object_get(processor, "image_mean") && json_object_get(processor, "image_std")) {
		mean = json_object_get(processor, "image_mean");
		std = json_object_get(processor, "image_std");
		f->pixels_from = "preprocessor_config.json";
	}
	if (!mean && timm(config, "mean") && timm(config, "std")) {
		mean = timm(config, "mean");
		std = timm(config, "std");
		f->pixels_from = "config.json";
	}
	if (!mean && arch->c == 3) {
		f->mean = json_pack("[f, f, f]", .485, .456, .406);
		f->std = json_pack("[f, f, f]", .229, .224, .225);
		f->pixels_from = "nobody: ImageNet's are taken";
		return f->mean && f->std ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a model");
	}
	if (!mean)
		return ns_fail(NS_CONFIG, "%s: import.mean and import.std are required: nothing says how its images are normalised", file);
	f->mean = json_deep_copy(mean);
	f->std = json_deep_copy(std);
	NS_TRY(check_list(f->mean, "mean", f->pixels_from, arch->c));
	return check_list(f->std, "std", f->pixels_from, arch->c);
}

/* [H, W] of the configuration, {"height", "width"} or {"shortest_edge"} or a number of Hugging Face, [C, H, W] of timm. */
static enum ns_status take_size(struct ns_import_facts *f, const struct ns_conf *conf, const json_t *config, const json_t *processor,
				const struct ns_arch *arch, const char *file)
{
	const json_t *asked = ns_conf_node(conf, "import.input"), *size = json_object_get(processor, "size"),
		     *crop = json_object_get(processor, "crop_size"), *input = timm(config, "input_size");
	int64_t side[2];

	size = json_is_object(crop) ? crop : size;
	f->size_from = "the configuration";
	if (asked) {
		if (json_array_size(asked) != 2)
			return ns_fail(NS_CONFIG, "import.input has %zu entries, expected [H, W]", json_array_size(asked));
		NS_TRY(ns_json_int(json_array_get(asked, 0), "import.input[0]", "configuration", 4, 4096, &side[0]));
		NS_TRY(ns_json_int(json_array_get(asked, 1), "import.input[1]", "configuration", 4, 4096, &side[1]));
	} else if (size) {
		int both = json_object_get(size, "height") && json_object_get(size, "width");
		const json_t *edge = json_is_object(size) ? json_object_get(size, "shortest_edge") : size;

		f->size_from = "preprocessor_config.json";
		NS_TRY(ns_json_int(both ? json_object_get(size, "height") : edge, "size", f->size_from, 4, 4096, &side[0]));
		NS_TRY(ns_json_int(both ? json_object_get(size, "width") : edge, "size", f->size_from, 4, 4096, &side[1]));
	} else if (json_array_size(input) == 3) {
		f->size_from = "config.json";
		NS_TRY(ns_json_int(json_array_get(input, 1), "input_size[1]", f->size_from, 4, 4096, &side[0]));
		NS_TRY(ns_json_int(json_array_get(input, 2), "input_size[2]", f->size_from, 4, 4096, &side[1]));
	} else if (arch->h && arch->w) {
		f->size_from = "the file";
		side[0] = arch->h;
		side[1] = arch->w;
	} else if (arch->imagenet_stem) {
		f->size_from = "nobody: ImageNet's 224x224 is taken";
		side[0] = side[1] = 224;
	} else {
		return ns_fail(NS_CONFIG, "%s: import.input: [H, W] is required: nothing says to which size its images are scaled", file);
	}
	f->h = (int)side[0];
	f->w = (int)side[1];
	return NS_OK;
}

enum ns_status ns_import_facts(struct ns_import_facts *f, const struct ns_conf *conf, const char *file, const struct ns_arch *arch)
{
	json_t *config = NULL, *processor = NULL;
	enum ns_status status;

	memset(f, 0, sizeof *f);
	NS_GO(read_beside(file, "config.json", &config));
	NS_GO(read_beside(file, "preprocessor_config.json", &processor));
	NS_GO(take_pixels(f, conf, config, processor, arch, file));
	NS_GO(take_size(f, conf, config, processor, arch, file));
out:
	json_decref(config);
	json_decref(processor);
	return status;
}

enum ns_status ns_import_names(struct ns_import_facts *f, const struct ns_conf *conf, const char *file, int wanted, const json_t *own)
{
	json_t *config = NULL;
	enum ns_status status;

	NS_GO(read_beside(file, "config.json", &config));
	status = take_classes(f, conf, config, own, wanted, file);
out:
	json_decref(config);
	return status;
}

static void numbers(const json_t *list, float *out)
{
	size_t i;

	for (i = 0; i < json_array_size(list) && i < 4; i++)
		out[i] = (float)json_number_value(json_array_get(list, i));
}

enum ns_status ns_import_make(struct ns_model *m, const struct ns_arch *arch, const struct ns_import_facts *f)
{
	size_t n = json_array_size(f->classes), k;
	const char **names = malloc(sizeof *names * (n + 1));
	enum ns_status status;
	int i;

	for (k = 0; names && k < n; k++)
		names[k] = json_string_value(json_array_get(f->classes, k));
	status = names ? ns_model_make(m, arch, names, (int)n) : ns_fail(NS_NO_MEMORY, "out of memory for %zu classes", n);
	free(names);
	NS_TRY(status);
	numbers(f->mean, m->mean);
	numbers(f->std, m->std);
	for (i = 0; i < m->net.arch.c; i++)
		if (!(m->std[i] > 0))
			return ns_fail(NS_CONFIG, "std[%d] of %s is %g, expected more than 0", i, f->pixels_from, (double)m->std[i]);
	return NS_OK;
}
