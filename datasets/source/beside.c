/*
 * datasets/source/beside.c - what files beside images say of them: a webdataset's .cls and .json, and the objects that YOLO's .txt, Pascal VOC's
 * .xml and COCO's .json list. It is kept by the names of files; which image it is of is found once all files are known (gather.c).
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/objects/objects.h"
#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

#define SIDECAR_MAX  ((size_t)1 << 20) /* of what says something of one image, or names categories */
#define DOCUMENT_MAX ((size_t)1 << 30) /* of COCO's */

static enum ns_status no_memory(void)
{
	return ns_fail(NS_NO_MEMORY, "out of memory for what files say of images");
}

/* --- what a file says, as it comes --- */

/* Sets map[key] to a text, which is counted. */
static enum ns_status put(struct ns_tree *tree, json_t **map, const char *key, const char *text, size_t bytes)
{
	json_t *value = json_stringn(text, bytes), *before;

	if (!*map)
		*map = json_object();
	if (!value || ns_tree_annotations_cut(tree)) { /* not UTF-8 says nothing */
		json_decref(value);
		return NS_OK;
	}
	before = json_object_get(*map, key);
	tree->annotated += (int64_t)bytes - (int64_t)json_string_length(before);
	return json_object_set_new_nocheck(*map, key, value) ? no_memory() : NS_OK;
}

/* What a .cls file says: the class, or its index. */
static enum ns_status take_class(struct ns_tree *tree, const char *path, const char *text, size_t bytes)
{
	char key[NS_PATH_MAX];

	if (memchr(text, 0, bytes)) /* the beginning of it would be another class */
		return NS_OK;
	while (bytes && strchr("\n\r\t ", text[bytes - 1]))
		bytes--;
	if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3, bytes -= 3;
	while (bytes && strchr("\n\r\t ", *text))
		text++, bytes--;
	ns_tree_key(key, path);
	return put(tree, &tree->said, key, text, bytes);
}

/* The keys of what a file says: of images beside it, and, in a folder of labels, of those in the folder of images. Returns how many. */
static int keys_of(char key[2][NS_PATH_MAX], const char *path)
{
	ns_tree_key(key[0], path);
	ns_tree_aside_key(key[1], path, ns_tree_word_folders);
	return 1 + ns_tree_is_aside(path);
}

/* Sets map[key][path] for each of its keys. */
static enum ns_status put_beside(struct ns_tree *tree, json_t **map, const char *path, const char *text, size_t bytes)
{
	char key[2][NS_PATH_MAX];
	int i, n = keys_of(key, path);

	if (!*map)
		*map = json_object();
	for (i = 0; i < n; i++) {
		json_t *files = json_object_get(*map, key[i]);

		if (!files) {
			files = json_object();
			if (json_object_set_new_nocheck(*map, key[i], files))
				return no_memory();
		}
		NS_TRY(put(tree, &files, path, text, bytes));
	}
	return NS_OK;
}

/* A file whose name or place says that it says something of images, but not what. */
static enum ns_status take_damage(json_t **map, const char *path)
{
	char key[2][NS_PATH_MAX];
	int i, n = keys_of(key, path);
	json_t *name;

	if (!*map)
		*map = json_object();
	for (i = 0; i < n; i++) {
		name = json_string(path);
		if (json_object_set_new_nocheck(*map, key[i], name ? name : json_string("a file whose name is not UTF-8")))
			return no_memory();
	}
	return NS_OK;
}

/* Of two of the same name, in an archive, the last counts. */
static enum ns_status take_document(struct ns_tree *tree, const char *path, const char *text, size_t bytes)
{
	struct ns_document *more;
	int i;

	for (i = 0; i < tree->document_count && strcmp(tree->documents[i].path, path) != 0;)
		i++;
	if (i == tree->document_count) {
		more = realloc(tree->documents, sizeof *more * ((size_t)i + 1));
		if (!more)
			return no_memory();
		tree->documents = more;
		more[i] = (struct ns_document){strdup(path), NULL, 0};
		tree->document_count++;
	}
	more = &tree->documents[i];
	free(more->text);
	*more = (struct ns_document){more->path, malloc(bytes + 1), bytes};
	if (!more->path || !more->text)
		return no_memory();
	memcpy(more->text, text, bytes);
	return NS_OK;
}

static enum ns_status take_json(struct ns_tree *tree, const char *path, const char *text, size_t bytes, int *took)
{
	char key[NS_PATH_MAX], *line;
	json_t *json;
	enum ns_status status;

	*took = ns_coco_is(text, bytes);
	if (*took)
		return take_document(tree, path, text, bytes);
	if (bytes > NS_ANNOTATION_MAX)
		return NS_OK;
	json = json_loadb(text, bytes, 0, NULL);
	line = json ? ns_tree_line(json) : NULL;
	json_decref(json);
	ns_tree_key(key, path);
	status = line ? put(tree, &tree->sidecars, key, line, strlen(line)) : take_damage(&tree->damaged, path);
	free(line);
	return status;
}

static enum ns_status take_voc(struct ns_tree *tree, const char *path, const char *text, size_t bytes, int *took)
{
	json_t *json;
	char *line;
	enum ns_status status;

	NS_TRY(ns_voc_read(text, bytes, &json));
	*took = json != NULL;
	if (!json)
		return ns_tree_is_aside(path) ? take_damage(&tree->damaged, path) : NS_OK;
	line = ns_tree_line(json);
	json_decref(json);
	status = line ? put_beside(tree, &tree->boxes, path, line, strlen(line)) : no_memory();
	free(line);
	return status;
}

/* A line a name, also where it is blank, as its number counts: classes.txt and obj.names. */
static json_t *lines_of(const char *text, size_t bytes)
{
	json_t *names = json_array();
	const char *end;
	char line[512];

	if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3, bytes -= 3;
	while (bytes && strchr(" \t\r\n", text[bytes - 1]))
		bytes--;
	for (end = text + bytes; text < end;) {
		const char *next = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((next ? next : end) - text);

		while (n && strchr(" \t\r", text[n - 1]))
			n--;
		snprintf(line, sizeof line, "%.*s", (int)(n < 511 ? n : 511), text);
		json_array_append_new(names, *line ? ns_json_string(line) : json_null());
		text = next ? next + 1 : end;
	}
	return names;
}

/* Names of categories hold in their folder, and below it; data.yaml says them before classes.txt does. */
static enum ns_status take_names(struct ns_tree *tree, const char *path, json_t *set, int yaml)
{
	char folder[NS_PATH_MAX];
	char *slash;

	if (!tree->names)
		tree->names = json_object();
	snprintf(folder, sizeof folder, "%s", path);
	slash = strrchr(folder, '/');
	*(slash ? slash : folder) = 0;
	if (!yaml && json_object_get(tree->names, folder)) {
		json_decref(set);
		return NS_OK;
	}
	return json_object_set_new_nocheck(tree->names, folder, set) ? no_memory() : NS_OK;
}

static enum ns_status take_yolo(struct ns_tree *tree, const char *path, const char *text, size_t bytes, int *took)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	json_t *json;

	if (!strcasecmp(base, "classes.txt") || ns_ends_like(base, ".names"))
		return take_names(tree, path, json_pack("{s:o}", "names", lines_of(text, bytes)), 0);
	NS_TRY(ns_yolo_read(text, bytes, NULL, &json));
	*took = json != NULL;
	json_decref(json);
	if (*took)
		return put_beside(tree, &tree->boxes, path, text, bytes);
	return take_damage(ns_tree_is_aside(path) ? &tree->damaged : &tree->other, path);
}

size_t ns_tree_words_most(const char *path)
{
	static const char *const sidecars[] = {".txt", ".xml", ".yaml", ".yml", ".names"};
	size_t i;

	if (ns_is_class_name(path))
		return NS_CLASS_TEXT;
	if (ns_ends_like(path, ".json"))
		return DOCUMENT_MAX;
	for (i = 0; i < sizeof sidecars / sizeof *sidecars; i++)
		if (ns_ends_like(path, sidecars[i]))
			return SIDECAR_MAX;
	return 0;
}

int ns_is_class_name(const char *path)
{
	return ns_ends_like(path, ".cls");
}

enum ns_status ns_tree_words(struct ns_tree *tree, const char *path, const char *text, size_t bytes)
{
	json_t *set = NULL;
	int took = 0;

	path = ns_tree_plain(path);
	if (ns_why_not(path) || strlen(path) >= NS_PATH_MAX) /* what systems leave behind says nothing */
		return NS_OK;
	if (!text)
		return ns_ends_like(path, ".json") || ns_tree_is_aside(path) ? take_damage(&tree->damaged, path) : NS_OK;
	if (ns_is_class_name(path))
		return take_class(tree, path, text, bytes);
	if (ns_ends_like(path, ".json"))
		NS_TRY(take_json(tree, path, text, bytes, &took));
	else if (ns_ends_like(path, ".xml"))
		NS_TRY(take_voc(tree, path, text, bytes, &took));
	else if (ns_ends_like(path, ".txt") || ns_ends_like(path, ".names"))
		NS_TRY(take_yolo(tree, path, text, bytes, &took));
	else
		NS_TRY(ns_yolo_names(text, bytes, &set));
	if (set)
		NS_TRY(take_names(tree, path, set, 1));
	if (took)
		tree->entries[tree->count - 1].why = "says what is in images";
	return NS_OK;
}
