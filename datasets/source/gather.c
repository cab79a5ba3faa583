/* datasets/source/gather.c - what files say of images, once all of both are known: which image each is of. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "datasets/objects/objects.h"
#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

struct known { /* a file, by its name without folders */
	const char *base, *path;
};

struct gather {
	struct ns_tree *tree;
	struct known *known;
	size_t count;
	const struct ns_document *document;
	int64_t listed, missing;
	char first[256]; /* the first that is missing */
};

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int by_base(const void *a, const void *b)
{
	const struct known *x = a, *y = b;
	int order = strcmp(x->base, y->base);

	return order ? order : strcmp(x->path, y->path);
}

/* Does a path end in whole parts of another? */
static int ends_in_path(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n >= m && !strcmp(path + n - m, end) && (n == m || path[n - m - 1] == '/');
}

/* Is a folder above the file named in the document's name, as train2017 is in instances_train2017.json? */
static int is_named(const char *path, const char *document)
{
	char part[256];
	size_t n;

	for (; path[n = strcspn(path, "/")]; path += n + 1) {
		snprintf(part, sizeof part, "%.*s", (int)(n < 255 ? n : 255), path);
		if (n > 2 && n < 255 && strstr(base_of(document), part))
			return 1;
	}
	return 0;
}

/* How well a file fits what a document lists: beside the document is best, then whole names, then a folder that the document is called by. */
static int fit(const struct gather *g, const char *path, const char *name)
{
	const char *document = g->document->path;
	size_t folder = (size_t)(base_of(document) - document);
	int beside = !strncmp(path, document, folder) && !strcmp(path + folder, name);

	return 4 * beside + 2 * ends_in_path(path, name) + is_named(path, document);
}

/* The file that a document means; NULL: it is not there, or several are as likely. */
static const char *find(const struct gather *g, const char *name)
{
	size_t low = 0, high = g->count, i;
	const char *found = NULL;
	int best = -1, several = 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(g->known[middle].base, base_of(name)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (i = low; i < g->count && !strcmp(g->known[i].base, base_of(name)); i++) {
		int fits = fit(g, g->known[i].path, name);

		several = fits == best ? 1 : fits > best ? 0 : several;
		found = fits > best ? g->known[i].path : found;
		best = fits > best ? fits : best;
	}
	return several ? NULL : found;
}

static enum ns_status take_listed(void *context, const char *name, const char *annotation)
{
	struct gather *g = context;
	const char *path = find(g, ns_tree_plain(name));
	char key[NS_PATH_MAX];

	g->listed++;
	if (!path) {
		if (!g->missing++)
			snprintf(g->first, sizeof g->first, "%.255s", name);
		return NS_OK;
	}
	ns_tree_drop_aside(key, path, 0);
	return ns_tree_annotate(g->tree, key, annotation, strstr(annotation, "\"objects\":[") != NULL);
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
	}
	return NS_OK;
}

static enum ns_status read_yolo(struct ns_tree *tree)
{
	const char *key;
	json_t *text, *json;
	char *line;

	json_object_foreach(tree->yolo, key, text) {
		NS_TRY(ns_yolo_read(json_string_value(text), json_string_length(text), tree->names, &json));
		line = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9));
		json_decref(json);
		NS_TRY(line ? ns_tree_annotate(tree, key, line, 1) : ns_fail(NS_NO_MEMORY, "out of memory for what files say of images"));
		free(line);
	}
	json_decref(tree->yolo);
	tree->yolo = NULL;
	return NS_OK;
}

/* Notes what cannot be read, the first in the order of the paths of the files. */
static enum ns_status tell_damage(const struct ns_tree *tree, struct ns_source *s)
{
	char said[NS_PATH_MAX + 512];
	const char *key, *first = NULL, *path;
	json_t *value;
	int n;

	json_object_foreach(tree->damaged, key, value) {
		path = json_string_value(value);
		if (path && (!first || strcmp(path, first) < 0))
			first = path;
	}
	n = snprintf(said, sizeof said, "%s cannot be read, so that it says nothing of images", first ? first : "a file whose name is not UTF-8");
	if (json_object_size(tree->damaged) > 1)
		snprintf(said + n, sizeof said - (size_t)n, "; it is the first of %zu", json_object_size(tree->damaged));
	if (!json_object_size(tree->damaged))
		return NS_OK;
	return ns_source_note(s, said);
}

/* Are objects what the images are labelled by? */
static enum ns_status tell_objects(struct gather *g, struct ns_source *s)
{
	char said[256];
	int64_t objects = 0;
	size_t i;

	for (i = 0; i < g->count; i++)
		objects += ns_tree_find(g->tree->objects, g->known[i].path) != NULL;
	g->tree->boxed = 2 * objects > (int64_t)g->count;
	snprintf(said, sizeof said, "%lld images come with objects (annotation), by which they are labelled: their folders are no classes",
		 (long long)objects);
	return g->tree->boxed ? ns_source_note(s, said) : NS_OK;
}

enum ns_status ns_tree_gather(struct ns_tree *tree, struct ns_source *s)
{
	struct gather g = {.tree = tree, .known = malloc(sizeof *g.known * ((size_t)tree->count + 1))};
	enum ns_status status;
	int64_t i;

	if (!g.known)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld names", s->path, (long long)tree->count);
	for (i = 0; i < tree->count; i++)
		if (tree->entries[i].type == NS_ENTRY_FILE && !ns_is_other_name(tree->entries[i].path))
			g.known[g.count++] = (struct known){base_of(tree->entries[i].path), ns_tree_plain(tree->entries[i].path)};
	qsort(g.known, g.count, sizeof *g.known, by_base);
	status = read_yolo(tree);
	if (status == NS_OK)
		status = read_documents(&g, s);
	if (status == NS_OK)
		status = tell_damage(tree, s);
	if (status == NS_OK && tree->objects)
		status = tell_objects(&g, s);
	free(g.known);
	return status;
}
