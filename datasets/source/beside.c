/*
 * datasets/source/beside.c - what files beside images say of them: a webdataset's .cls and .json, and the objects that YOLO's .txt, Pascal VOC's
 * .xml and COCO's .json list. What belongs to which image is found once all files are known (gather.c).
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/objects/objects.h"
#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

#define ANNOTATIONS_MAX ((int64_t)1 << 30) /* bytes of all of them, which are held in memory; beyond, they are left out, and that is told */
#define SIDECAR_MAX	((size_t)1 << 20)  /* of what says something of one image, or names categories */
#define DOCUMENT_MAX	((size_t)1 << 31)  /* of COCO's */

const char *ns_tree_plain(const char *path)
{
	while (!strncmp(path, "./", 2))
		path += 2;
	return path;
}

/* Is a folder called as those that hold nothing but images, or nothing but what is said of them? */
static int is_aside(const char *name, size_t n, int images_alone)
{
	static const char *const names[] = {"images", "JPEGImages", "labels", "annotations"};
	size_t i;

	for (i = 0; i < (images_alone ? 2 : 4); i++)
		if (n == strlen(names[i]) && !strncasecmp(name, names[i], n))
			return 1;
	return 0;
}

void ns_tree_drop_aside(char *to, const char *path, int images_alone)
{
	size_t n;

	for (path = ns_tree_plain(path); *path; path += n) {
		n = strcspn(path, "/");
		if (path[n] && is_aside(path, n, images_alone)) {
			n++;
			continue;
		}
		n += path[n] == '/';
		memcpy(to, path, n);
		to += n;
	}
	*to = 0;
}

/* Is one of the folders above it called so, in any case? */
static int is_in(const char *path, const char *folder)
{
	size_t n, m = strlen(folder);

	for (; path[n = strcspn(path, "/")]; path += n + 1)
		if (n == m && !strncasecmp(path, folder, n))
			return 1;
	return 0;
}

const json_t *ns_tree_find(const json_t *said, const char *path)
{
	char key[NS_PATH_MAX], *base, *dot;
	const json_t *value;

	if (!said || strlen(path) >= sizeof key)
		return NULL;
	ns_tree_drop_aside(key, path, 0);
	base = strrchr(key, '/');
	while (!(value = json_object_get(said, key)) && (dot = strrchr(base ? base + 1 : key, '.')))
		*dot = 0;
	return value;
}

const char *ns_tree_said(const struct ns_tree *tree, const char *path)
{
	return json_string_value(ns_tree_find(tree->said, path));
}

const char *ns_tree_annotation(const struct ns_tree *tree, const char *path)
{
	return json_string_value(ns_tree_find(tree->annotations, path));
}

int ns_tree_annotations_cut(const struct ns_tree *tree)
{
	return tree->annotated > ANNOTATIONS_MAX;
}

/* --- what an image's own files say --- */

static enum ns_status no_memory(void)
{
	return ns_fail(NS_NO_MEMORY, "out of memory for what files say of images");
}

/* What a .cls file says: the class, or its index. */
static enum ns_status take_class(struct ns_tree *tree, const char *key, const char *text, size_t bytes)
{
	json_t *value;

	if (memchr(text, 0, bytes)) /* the beginning of it would be another class */
		return NS_OK;
	while (bytes && strchr("\n\r\t ", text[bytes - 1]))
		bytes--;
	if (bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3, bytes -= 3;
	while (bytes && strchr("\n\r\t ", *text))
		text++, bytes--;
	value = json_stringn(text, bytes);
	if (!tree->said)
		tree->said = json_object();
	if (!value) /* not UTF-8: no class, so the file is what its name says, and no more */
		return NS_OK;
	return json_object_set_new_nocheck(tree->said, key, value) ? no_memory() : NS_OK;
}

/* Adds the elements of `more`; of two with the same id the one with more members stays: key points are of objects that another file lists, too. */
static void join_lists(json_t *list, json_t *more)
{
	json_t *one, *there, *id;
	size_t i, k;

	json_array_foreach(more, i, one) {
		id = json_object_get(one, "id");
		json_array_foreach(list, k, there)
			if (id && json_equal(id, json_object_get(there, "id")))
				break;
		if (k == json_array_size(list))
			json_array_append(list, one);
		else if (json_object_size(one) > json_object_size(there))
			json_array_set(list, k, one);
	}
}

static void join(json_t *to, json_t *from)
{
	json_t *value, *there;
	const char *name;

	json_object_foreach(from, name, value) {
		there = json_object_get(to, name);
		if (!there)
			json_object_set(to, name, value);
		else if (json_is_array(there) && json_is_array(value) && (!strcmp(name, "objects") || !strcmp(name, "captions")))
			join_lists(there, value);
	}
}

/* Both texts as one; NULL: they cannot be joined, as one is a list. The caller frees it. */
static char *joined(const char *before, const char *now)
{
	json_t *to = json_loads(before, 0, NULL), *from = json_loads(now, 0, NULL);
	char *text = NULL;

	if (json_is_object(to) && json_is_object(from)) {
		join(to, from);
		text = json_dumps(to, JSON_COMPACT);
	}
	json_decref(to);
	json_decref(from);
	return text;
}

enum ns_status ns_tree_annotate(struct ns_tree *tree, const char *key, const char *line, int objects)
{
	const char *before = json_string_value(json_object_get(tree->annotations, key));
	char *both = before ? joined(before, line) : NULL;
	int failed = 0;

	if (!tree->annotations)
		tree->annotations = json_object();
	if (!tree->objects)
		tree->objects = json_object();
	if (ns_tree_annotations_cut(tree)) {
		free(both);
		return NS_OK;
	}
	if (objects)
		failed = json_object_set_new_nocheck(tree->objects, key, json_true());
	line = both ? both : line;
	failed |= json_object_set_new_nocheck(tree->annotations, key, json_string(line));
	tree->annotated += (int64_t)strlen(line);
	free(both);
	return failed ? no_memory() : NS_OK;
}

/* Lets go of json. */
static enum ns_status annotate(struct ns_tree *tree, const char *key, json_t *json)
{
	char *line = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	enum ns_status status = line ? ns_tree_annotate(tree, key, line, json_is_array(json_object_get(json, "objects"))) : no_memory();

	json_decref(json);
	free(line);
	return status;
}

/* A file whose name or place says that it says something of images, but not what. */
static enum ns_status take_damage(struct ns_tree *tree, const char *path, const char *key)
{
	json_t *name = json_string(path);

	if (!tree->damaged)
		tree->damaged = json_object();
	return json_object_set_new_nocheck(tree->damaged, key, name ? name : json_true()) ? no_memory() : NS_OK;
}

static enum ns_status take_document(struct ns_tree *tree, const char *path, const char *text, size_t bytes)
{
	struct ns_document *more = realloc(tree->documents, sizeof *more * ((size_t)tree->document_count + 1));

	if (!more)
		return no_memory();
	tree->documents = more;
	more += tree->document_count;
	*more = (struct ns_document){strdup(path), malloc(bytes + 1), bytes};
	tree->document_count++;
	if (!more->path || !more->text)
		return no_memory();
	memcpy(more->text, text, bytes);
	return NS_OK;
}

static enum ns_status take_json(struct ns_tree *tree, const char *path, const char *key, const char *text, size_t bytes, int *took)
{
	json_t *json;

	*took = ns_coco_is(text, bytes);
	if (*took)
		return take_document(tree, path, text, bytes);
	if (bytes > NS_ANNOTATION_MAX)
		return NS_OK;
	json = json_loadb(text, bytes, 0, NULL);
	return json ? annotate(tree, key, json) : take_damage(tree, path, key);
}

static enum ns_status take_voc(struct ns_tree *tree, const char *path, const char *key, const char *text, size_t bytes, int *took)
{
	json_t *json;

	NS_TRY(ns_voc_read(text, bytes, &json));
	*took = json != NULL;
	return json ? annotate(tree, key, json) : is_in(path, "annotations") ? take_damage(tree, path, key) : NS_OK;
}

/* A line a name: classes.txt and obj.names. */
static json_t *lines_of(const char *text, size_t bytes)
{
	json_t *names = json_array();
	const char *end = text + bytes, *next;

	for (; text < end; text = next) {
		size_t n = 0;

		while (text + n < end && text[n] != '\n' && text[n] != '\r')
			n++;
		next = text + n + 1;
		if (n)
			json_array_append_new(names, json_stringn(text, n));
	}
	return names;
}

static enum ns_status take_yolo(struct ns_tree *tree, const char *path, const char *key, const char *text, size_t bytes, int *took)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	json_t *json;

	if (!strcasecmp(base, "classes.txt") || ns_ends_in(base, ".names")) {
		if (!tree->names)
			tree->names = lines_of(text, bytes);
		return NS_OK;
	}
	NS_TRY(ns_yolo_read(text, bytes, NULL, &json));
	*took = json != NULL;
	json_decref(json);
	if (!*took)
		return is_in(path, "labels") ? take_damage(tree, path, key) : NS_OK;
	if (!tree->yolo)
		tree->yolo = json_object();
	tree->annotated += (int64_t)bytes;
	return ns_tree_annotations_cut(tree) || !json_object_set_new_nocheck(tree->yolo, key, json_stringn(text, bytes)) ? NS_OK : no_memory();
}

static enum ns_status take_yaml(struct ns_tree *tree, const char *text, size_t bytes)
{
	json_t *names;

	NS_TRY(ns_yolo_names(text, bytes, &names));
	if (names) {
		json_decref(tree->names);
		tree->names = names;
	}
	return NS_OK;
}

size_t ns_tree_words_most(const char *path)
{
	static const char *const sidecars[] = {".txt", ".xml", ".yaml", ".yml", ".names"};
	size_t i;

	if (ns_is_class_name(path))
		return NS_CLASS_TEXT;
	if (ns_ends_in(path, ".json"))
		return DOCUMENT_MAX;
	for (i = 0; i < sizeof sidecars / sizeof *sidecars; i++)
		if (ns_ends_in(path, sidecars[i]))
			return SIDECAR_MAX;
	return 0;
}

int ns_is_class_name(const char *path)
{
	return ns_ends_in(path, ".cls");
}

enum ns_status ns_tree_words(struct ns_tree *tree, const char *path, const char *text, size_t bytes)
{
	char key[NS_PATH_MAX];
	int took = 0;

	path = ns_tree_plain(path);
	ns_tree_drop_aside(key, path, 0);
	*strrchr(key, '.') = 0;
	if (!text)
		return take_damage(tree, path, key);
	if (ns_is_class_name(path))
		return take_class(tree, key, text, bytes);
	if (ns_ends_in(path, ".json"))
		NS_TRY(take_json(tree, path, key, text, bytes, &took));
	else if (ns_ends_in(path, ".xml"))
		NS_TRY(take_voc(tree, path, key, text, bytes, &took));
	else if (ns_ends_in(path, ".txt") || ns_ends_in(path, ".names"))
		NS_TRY(take_yolo(tree, path, key, text, bytes, &took));
	else
		NS_TRY(take_yaml(tree, text, bytes));
	if (took)
		tree->entries[tree->count - 1].why = "says what is in images";
	return NS_OK;
}
