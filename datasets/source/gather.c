/* datasets/source/gather.c - what files say of images, once all of both are known: which image each is of. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/objects/objects.h"
#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

struct gather {
	struct ns_tree *tree;
	const char **path; /* of what may be images, in the order of their last letters: what a path ends in is found by halving */
	size_t count;
	const struct ns_document *document;
	int64_t listed, missing;
	char first[256]; /* the first that is missing */
};

static enum ns_status no_memory(void)
{
	return ns_fail(NS_NO_MEMORY, "out of memory for what files say of images");
}

/* Compares from the last letter on, `most` of them at most. */
static int compare_ends(const char *a, const char *b, size_t most)
{
	size_t n = strlen(a), m = strlen(b);

	for (; most; most--, n--, m--) {
		if (!n || !m)
			return n ? 1 : m ? -1 : 0;
		if (a[n - 1] != b[m - 1])
			return (unsigned char)a[n - 1] < (unsigned char)b[m - 1] ? -1 : 1;
	}
	return 0;
}

static int by_end(const void *a, const void *b)
{
	return compare_ends(*(const char *const *)a, *(const char *const *)b, SIZE_MAX);
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* How many of the folders above a file are named in the document's name, as train2017 is in instances_train2017.json. */
static int named(const char *path, const char *document)
{
	char part[256];
	size_t n;
	int count = 0;

	for (; path[n = strcspn(path, "/")]; path += n + 1) {
		snprintf(part, sizeof part, "%.*s", (int)(n < 255 ? n : 255), path);
		count += n > 2 && n < 255 && strstr(base_of(document), part);
	}
	return count;
}

/* A document that is called by a split is of no image in a folder of another. */
static int contradicts(const char *path, const char *document)
{
	static const char *const words[] = {"train", "val", "test"};
	size_t n, i;
	int of = 0, in = 0;

	for (i = 0; i < 3; i++)
		of |= strcasestr(base_of(document), words[i]) ? 1 << i : 0;
	for (; path[n = strcspn(path, "/")]; path += n + 1)
		for (i = 0; i < 3; i++)
			in |= !strncasecmp(path, words[i], strlen(words[i])) ? 1 << i : 0;
	return of && in && !(of & in);
}

/* The files whose paths end in whole parts of a name: the best of them, beside the document or in folders that it is called by; NULL: none, or several. */
static const char *find_ending(const struct gather *g, const char *name, int *any)
{
	const char *document = g->document->path, *found = NULL;
	size_t low = 0, high = g->count, n = strlen(name), i, folder = (size_t)(base_of(document) - document);
	int best = -1, several = 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (compare_ends(g->path[middle], name, n) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (i = low; i < g->count && !compare_ends(g->path[i], name, n); i++) {
		const char *path = g->path[i];
		size_t m = strlen(path);
		int fits;

		if (m < n || (m > n && path[m - n - 1] != '/') || contradicts(path, document))
			continue;
		fits = named(path, document) + (m == folder + n && !strncmp(path, document, folder) ? 1000 : 0);
		several = fits == best ? 1 : fits > best ? 0 : several;
		found = fits > best ? path : found;
		best = fits > best ? fits : best;
	}
	*any = best >= 0;
	return several ? NULL : found;
}

/* The file that a document means. Folders that are not here, of whoever wrote it, are left out, but for the last. */
static const char *find(const struct gather *g, const char *name)
{
	const char *found, *slash;
	int any = 0;

	for (;;) {
		found = find_ending(g, name, &any);
		slash = strchr(name, '/');
		if (any || !slash || (!strchr(slash + 1, '/') && slash != name))
			return found;
		name = slash + 1;
	}
}

static enum ns_status take_listed(void *context, const char *file_name, const char *annotation)
{
	struct gather *g = context;
	char name[NS_PATH_MAX], *at;
	const char *path;
	json_t *list;

	snprintf(name, sizeof name, "%s", ns_tree_plain(file_name));
	path = find(g, name);
	for (at = path ? NULL : strchr(name, '\\'); at; at = strchr(at, '\\')) /* as another system has it */
		*at = '/';
	path = path ? path : find(g, name);
	g->listed++;
	if (!path) {
		if (!g->missing++)
			snprintf(g->first, sizeof g->first, "%.255s", name);
		return NS_OK;
	}
	if (!g->tree->listed)
		g->tree->listed = json_object();
	g->tree->annotated += (int64_t)strlen(annotation);
	if (ns_tree_annotations_cut(g->tree))
		return NS_OK;
	list = json_object_get(g->tree->listed, path);
	if (!list) {
		list = json_array();
		if (json_object_set_new_nocheck(g->tree->listed, path, list))
			return no_memory();
	}
	return json_array_append_new(list, json_string(annotation)) ? no_memory() : NS_OK;
}

static enum ns_status read_documents(struct gather *g, struct ns_source *s)
{
	char said[NS_PATH_MAX + 512];
	enum ns_status status;
	int i;

	for (i = 0; i < g->tree->document_count; i++) {
		g->document = &g->tree->documents[i];
		g->listed = g->missing = 0;
		status = ns_coco_each(g->document->text, g->document->bytes, take_listed, g);
		if (status == NS_BAD_DATA)
			return ns_fail_in(status, "%s: %s", s->path, g->document->path);
		NS_TRY(status);
		snprintf(said, sizeof said, "%s lists %lld images, of which %lld are not there, or may be several (the first: %s)", g->document->path,
			 (long long)g->listed, (long long)g->missing, g->first);
		if (g->missing)
			NS_TRY(ns_source_note(s, said));
		free(g->tree->documents[i].text);
		g->tree->documents[i].text = NULL;
	}
	return NS_OK;
}

/* The names of the categories for a file of labels: those of its folder, or the next above; or the only ones that there are. */
static const json_t *names_for(const struct ns_tree *tree, const char *path)
{
	char folder[NS_PATH_MAX], *slash;
	const json_t *found;

	snprintf(folder, sizeof folder, "%s", path);
	for (;;) {
		slash = strrchr(folder, '/');
		*(slash ? slash : folder) = 0;
		found = json_object_get(tree->names, folder);
		if (found || !*folder)
			break;
	}
	if (!found && json_object_size(tree->names) == 1)
		found = json_object_iter_value(json_object_iter(tree->names));
	return found;
}

/* One of YOLO's texts as an annotation, in its place; or, with what its categories are said to have, none. */
static enum ns_status read_text(struct ns_tree *tree, const char *key, json_t *files, const char *path, const json_t *text)
{
	json_t *none = json_object(), *json;
	const json_t *set = names_for(tree, path);
	enum ns_status status = ns_yolo_read(json_string_value(text), json_string_length(text), set ? set : none, &json);
	char *line = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

	json_decref(none);
	if (status == NS_OK && !json) {
		if (!tree->damaged)
			tree->damaged = json_object();
		json_object_set_new_nocheck(tree->damaged, key, json_string(path));
		json_object_del(files, path);
		return NS_OK;
	}
	json_decref(json);
	if (status == NS_OK && (!line || json_object_set_new_nocheck(files, path, json_string(line))))
		status = no_memory();
	free(line);
	return status;
}

static enum ns_status read_yolo(struct ns_tree *tree)
{
	const char *key, *path;
	json_t *files, *text;
	void *next;

	json_object_foreach(tree->boxes, key, files)
		json_object_foreach_safe(files, next, path, text) if (ns_ends_like(path, ".txt")) NS_TRY(read_text(tree, key, files, path, text));
	return NS_OK;
}

/* Notes what cannot be read, the first in the order of the paths of the files; texts beside images count where others are YOLO's. */
static enum ns_status tell_damage(const struct gather *g, struct ns_source *s)
{
	char said[NS_PATH_MAX + 512], key_of[NS_PATH_MAX];
	const char *key, *first = NULL, *path;
	json_t *seen = json_object(), *value;
	size_t i;
	int n;

	json_object_foreach(g->tree->damaged, key, value)
		json_object_set_nocheck(seen, json_string_value(value), value);
	for (i = 0; i < g->count && g->tree->boxes; i++) {
		ns_tree_key(key_of, g->path[i]);
		value = json_object_get(g->tree->other, key_of);
		if (value)
			json_object_set_nocheck(seen, json_string_value(value), value);
	}
	json_object_foreach(seen, path, value)
		first = !first || strcmp(path, first) < 0 ? path : first;
	n = snprintf(said, sizeof said, "%s cannot be read, so that it says nothing of images", first ? first : "");
	if (json_object_size(seen) > 1)
		snprintf(said + n, sizeof said - (size_t)n, "; it is the first of %zu", json_object_size(seen));
	json_decref(seen);
	return first ? ns_source_note(s, said) : NS_OK;
}

/* Are objects what the images are labelled by? */
static enum ns_status tell_objects(struct gather *g, struct ns_source *s)
{
	char said[256];
	int64_t lists = 0, objects = 0;
	size_t i;
	int some;

	for (i = 0; i < g->count; i++) {
		lists += ns_tree_lists(g->tree, g->path[i], &some);
		objects += some;
	}
	g->tree->boxed = objects && 2 * lists > (int64_t)g->count;
	snprintf(said, sizeof said, "%lld images come with objects (annotation), by which they are labelled: their folders are no classes",
		 (long long)lists);
	return g->tree->boxed ? ns_source_note(s, said) : NS_OK;
}

enum ns_status ns_tree_gather(struct ns_tree *tree, struct ns_source *s)
{
	struct gather g = {.tree = tree, .path = malloc(sizeof *g.path * ((size_t)tree->count + 1))};
	enum ns_status status;
	int64_t i;

	if (!g.path)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld names", s->path, (long long)tree->count);
	for (i = 0; i < tree->count; i++)
		if (tree->entries[i].type == NS_ENTRY_FILE && !ns_is_other_name(tree->entries[i].path) && !ns_why_not(tree->entries[i].path))
			g.path[g.count++] = ns_tree_plain(tree->entries[i].path);
	qsort(g.path, g.count, sizeof *g.path, by_end);
	status = read_yolo(tree);
	if (status == NS_OK)
		status = read_documents(&g, s);
	if (status == NS_OK)
		status = tell_damage(&g, s);
	if (status == NS_OK && (tree->boxes || tree->listed))
		status = tell_objects(&g, s);
	free(g.path);
	return status;
}
