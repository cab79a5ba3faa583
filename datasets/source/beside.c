/* datasets/source/beside.c - what files beside images say of them: a webdataset's .cls and .json. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

#define ANNOTATIONS_MAX ((int64_t)1 << 30) /* bytes of all of them, which are held in memory; beyond, they are left out, and that is told */

const char *ns_tree_plain(const char *path)
{
	while (!strncmp(path, "./", 2))
		path += 2;
	return path;
}

int ns_is_class_name(const char *path)
{
	return ns_ends_in(path, ".cls");
}

int ns_is_annotation_name(const char *path)
{
	return ns_ends_in(path, ".json");
}

/* What is said of an image: by a file of the same name but for its end, or for all its ends. NULL: nothing. */
static const char *said_of(const json_t *said, const char *path)
{
	char key[NS_PATH_MAX], *base, *dot;
	const char *text = NULL;

	if (!said)
		return NULL;
	snprintf(key, sizeof key, "%s", ns_tree_plain(path));
	base = strrchr(key, '/');
	while (!text && (dot = strrchr(base ? base + 1 : key, '.'))) {
		*dot = 0;
		text = json_string_value(json_object_get(said, key));
	}
	return text;
}

const char *ns_tree_said(const struct ns_tree *tree, const char *path)
{
	return said_of(tree->said, path);
}

const char *ns_tree_annotation(const struct ns_tree *tree, const char *path)
{
	return said_of(tree->annotations, path);
}

enum ns_status ns_tree_say(struct ns_tree *tree, const char *path, char *text, size_t bytes)
{
	char key[NS_PATH_MAX];
	json_t *value;

	if (bytes > NS_CLASS_TEXT || memchr(text, 0, bytes)) /* the beginning of it would be another class */
		return NS_OK;
	while (bytes && strchr("\n\r\t ", text[bytes - 1]))
		bytes--;
	text[bytes] = 0;
	text += strncmp(text, "\xef\xbb\xbf", 3) ? 0 : 3;
	text += strspn(text, "\n\r\t ");
	value = json_string(text);
	if (!tree->said)
		tree->said = json_object();
	if (!value) /* not UTF-8: no class, so the file is what its name says, and no more */
		return NS_OK;
	path = ns_tree_plain(path);
	snprintf(key, sizeof key, "%.*s", (int)(strlen(path) - strlen(".cls")), path);
	return json_object_set_new_nocheck(tree->said, key, value) ? ns_fail(NS_NO_MEMORY, "out of memory for what %s says", path) : NS_OK;
}

enum ns_status ns_tree_annotate(struct ns_tree *tree, const char *path, const char *text, size_t bytes)
{
	char key[NS_PATH_MAX], *line;
	json_t *json = tree->annotated <= ANNOTATIONS_MAX && bytes <= NS_ANNOTATION_MAX ? json_loadb(text, bytes, 0, NULL) : NULL;
	int failed;

	if (!json)
		return NS_OK;
	line = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(json);
	if (!tree->annotations)
		tree->annotations = json_object();
	path = ns_tree_plain(path);
	snprintf(key, sizeof key, "%.*s", (int)(strlen(path) - strlen(".json")), path);
	failed = !line || json_object_set_new_nocheck(tree->annotations, key, json_string(line));
	tree->annotated += line ? (int64_t)strlen(line) : 0;
	free(line);
	return failed ? ns_fail(NS_NO_MEMORY, "out of memory for an annotation") : NS_OK;
}

int ns_tree_annotations_cut(const struct ns_tree *tree)
{
	return tree->annotated > ANNOTATIONS_MAX;
}
