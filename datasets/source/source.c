#define _POSIX_C_SOURCE 200809L
#include "datasets/source/source.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

static const struct ns_source_kind *const kinds[] = {&ns_source_idx, &ns_source_tar,  &ns_source_list,	  &ns_source_npy,
						     &ns_source_npz, &ns_source_hdf5, &ns_source_foreign, &ns_source_folder};

static enum ns_status take_classes(struct ns_source *s, const json_t *classes)
{
	size_t i;

	if (!classes)
		return NS_OK;
	if (!json_is_array(classes) || !json_array_size(classes))
		return ns_fail(NS_CONFIG, "ingest.classes: expected a list of names");
	s->classes = calloc(json_array_size(classes) + 1, sizeof *s->classes);
	for (i = 0; s->classes && i < json_array_size(classes); i++) {
		const json_t *entry = json_array_get(classes, i);
		char digits[32];

		snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(entry));
		if (!json_is_string(entry) && !json_is_integer(entry)) /* a class may be called 7 */
			return ns_fail(NS_CONFIG, "ingest.classes: entry %zu is not text, expected a name", i);
		s->classes[s->class_count++] = strdup(json_is_string(entry) ? json_string_value(entry) : digits);
		if (!*s->classes[i])
			return ns_fail(NS_CONFIG, "ingest.classes: entry %zu is empty, expected a name", i);
	}
	return s->classes ? ns_source_check_given(s) : ns_fail(NS_NO_MEMORY, "out of memory for class names");
}

enum ns_status ns_source_begin(struct ns_source *s, const char *path, const json_t *classes)
{
	int is;

	memset(s, 0, sizeof *s);
	NS_TRY(ns_exists(path, &is));
	if (!is)
		return ns_fail(NS_IO, "%s: no such file or folder", path);
	s->path = strdup(path);
	s->passed = json_array();
	s->notes = json_array();
	return take_classes(s, classes);
}

enum ns_status ns_source_kind_of(const char *path, const struct ns_source_kind **kind)
{
	size_t i;
	int is = 0;

	*kind = NULL;
	for (i = 0; !is && i < sizeof kinds / sizeof *kinds; i++) {
		NS_TRY(kinds[i]->takes(path, &is));
		*kind = is ? kinds[i] : NULL;
	}
	return NS_OK;
}

enum ns_status ns_source_open(struct ns_source *s, const char *path, const json_t *classes)
{
	enum ns_status status = ns_source_begin(s, path, classes);

	if (status == NS_OK)
		status = ns_source_kind_of(path, &s->kind);
	if (status == NS_OK && !s->kind)
		status = ns_fail(
			NS_BAD_DATA,
			"%s: expected a folder, an archive (.tar, .tar.gz, .tar.bz2, .tar.xz, .tar.zst, .zip), an IDX file (images-idx3...), arrays (.npy, .npz, .h5) or a list (.txt, .csv, .tsv, .jsonl, .json)",
			path);
	if (status == NS_OK)
		status = s->kind->open(s);
	if (status == NS_OK && s->items == 0)
		status = ns_fail(NS_BAD_DATA, "%s: holds no images; %zu files were passed over%s%s%s", path, json_array_size(s->passed),
				 json_array_size(s->passed) ? " (the first: " : "",
				 json_array_size(s->passed) ? ns_json_text(json_array_get(s->passed, 0), "path") : "",
				 json_array_size(s->passed) ? ")" : "");
	if (status != NS_OK)
		ns_source_close(s);
	return status;
}

void ns_source_close(struct ns_source *s)
{
	int i;

	if (s->kind && s->state)
		s->kind->close(s);
	for (i = 0; i < s->class_count; i++)
		free(s->classes[i]);
	free(s->classes);
	for (i = 0; i < s->split_count; i++)
		free(s->splits[i]);
	free(s->splits);
	free(s->split_of);
	free(s->kept);
	json_decref(s->passed);
	json_decref(s->notes);
	free(s->path);
	memset(s, 0, sizeof *s);
}

enum ns_status ns_source_fetch(struct ns_source *s, int64_t item, struct ns_item *out)
{
	return s->kind->get(s, s->kept ? s->kept[item] : item, out);
}

static enum ns_status check_label(const struct ns_source *s, const struct ns_item *out)
{
	if (out->label == NS_LABEL_UNKNOWN)
		return ns_fail(NS_BAD_DATA, "class '%s' is not in ingest.classes", out->class_name);
	if (out->label >= s->class_count)
		return ns_fail(NS_BAD_DATA, "label %d, but there are %d classes", out->label, s->class_count);
	return NS_OK;
}

enum ns_status ns_source_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	enum ns_status status;

	memset(out, 0, sizeof *out);
	NS_TRY(ns_source_fetch(s, item, out));
	status = check_label(s, out);
	if (status != NS_OK) {
		free(out->given);
		out->given = NULL;
	}
	return status;
}
