/* datasets/source/annotation.c - what was kept, for an image: one annotation of all that files say of it. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

/* What a map says of an image: beside it, or in the folder of labels beside the folder of images. */
static json_t *find_beside(const json_t *map, const char *path)
{
	char key[NS_PATH_MAX];
	json_t *found;

	ns_tree_key(key, path);
	found = json_object_get(map, key);
	if (found || !map || ns_tree_is_aside(path))
		return found;
	ns_tree_aside_key(key, path, ns_tree_image_folders);
	return json_object_get(map, key);
}

/* What is said of an image by a file of the same name but for its end, or for all its ends, as a webdataset has them. */
static json_t *find_sibling(const json_t *map, const char *path)
{
	char key[NS_PATH_MAX], *base, *dot;
	json_t *found = NULL;

	snprintf(key, sizeof key, "%s", ns_tree_plain(path));
	base = strrchr(key, '/');
	while (map && !found && (dot = strrchr(base ? base + 1 : key, '.'))) {
		*dot = 0;
		found = json_object_get(map, key);
	}
	return found;
}

/* --- what was kept, for an image --- */

const char *ns_tree_said(const struct ns_tree *tree, const char *path)
{
	return json_string_value(find_sibling(tree->said, path));
}

int ns_tree_lists(const struct ns_tree *tree, const char *path, int *some)
{
	const json_t *boxes = find_beside(tree->boxes, path), *listed = json_object_get(tree->listed, ns_tree_plain(path)), *text;
	const char *file;
	size_t i;
	int lists = 0;

	*some = 0;
	json_object_foreach((json_t *)(uintptr_t)boxes, file, text) {
		lists = 1;
		*some |= strstr(json_string_value(text), "\"objects\":[{") != NULL;
	}
	json_array_foreach(listed, i, text) {
		lists |= strstr(json_string_value(text), "\"objects\":[") != NULL;
		*some |= strstr(json_string_value(text), "\"objects\":[{") != NULL;
	}
	return lists;
}

/* One annotation of several; the caller frees it. */
struct joining {
	json_t *all, *ids[2]; /* ids: of objects and captions, with their places in the list */
};

static const char *const list_names[] = {"objects", "captions"};

/* Of one member both say the same, or one of them nothing. */
static int agrees(const json_t *a, const json_t *b, const char *member)
{
	const json_t *x = json_object_get(a, member), *y = json_object_get(b, member);

	return !x || !y || json_equal((json_t *)(uintptr_t)x, (json_t *)(uintptr_t)y);
}

/* Adds elements; of two that are the same, by their ids, the one with more members stays: key points are of objects that another file lists, too. */
static void join_list(json_t *list, json_t *ids, json_t *more)
{
	json_t *one, *there;
	const json_t *place;
	size_t i;

	json_array_foreach(more, i, one) {
		char *id = json_object_get(one, "id") ? json_dumps(json_object_get(one, "id"), JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

		place = id ? json_object_get(ids, id) : NULL;
		there = json_array_get(list, (size_t)json_integer_value(place));
		if (!place || !agrees(one, there, "bbox") || !agrees(one, there, "category") || !agrees(one, there, "caption"))
			json_array_append(list, one);
		else if (json_object_size(one) > json_object_size(there))
			json_array_set(list, (size_t)json_integer_value(place), one);
		if (id && !place)
			json_object_set_new_nocheck(ids, id, json_integer((json_int_t)json_array_size(list) - 1));
		free(id);
	}
}

static void join(struct joining *j, const char *text)
{
	json_t *json = json_loads(text, 0, NULL), *value, *there;
	const char *name;
	int i;

	if (!json_is_object(json)) { /* a list is kept under a name of its own */
		json_object_set_new(j->all, "annotation", json);
		return;
	}
	json_object_foreach(json, name, value) {
		there = json_object_get(j->all, name);
		for (i = 0; i < 2 && (strcmp(name, list_names[i]) != 0 || !json_is_array(value));)
			i++;
		if (i == 2 && !there)
			json_object_set(j->all, name, value);
		if (i == 2)
			continue;
		if (!json_is_array(there)) {
			there = json_array();
			json_object_set_new(j->all, name, there);
		}
		join_list(there, j->ids[i], value);
	}
	json_decref(json);
}

/* Fifteen digits, where they are all that the numbers have: .1 is not written with seventeen. */
char *ns_tree_line(const json_t *json)
{
	char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
	json_t *again = text ? json_loads(text, 0, NULL) : NULL;

	if (!json_equal((json_t *)(uintptr_t)json, again)) {
		free(text);
		text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	}
	json_decref(again);
	return text;
}

const char *ns_tree_annotation(struct ns_tree *tree, const char *path)
{
	const json_t *beside[3] = {find_sibling(tree->sidecars, path), find_beside(tree->boxes, path),
				   json_object_get(tree->listed, ns_tree_plain(path))};
	struct joining j;
	const json_t *text;
	const char *file, *alone = json_string_value(beside[0]);
	size_t count = (alone != NULL) + json_object_size(beside[1]) + json_array_size(beside[2]), i;

	if (count < 2 && json_object_size(beside[1]))
		alone = json_string_value(json_object_iter_value(json_object_iter((json_t *)(uintptr_t)beside[1])));
	if (count < 2)
		return json_array_size(beside[2]) ? json_string_value(json_array_get(beside[2], 0)) : alone;
	j = (struct joining){json_object(), {json_object(), json_object()}};
	if (alone)
		join(&j, alone);
	json_object_foreach((json_t *)(uintptr_t)beside[1], file, text)
		join(&j, json_string_value(text));
	json_array_foreach(beside[2], i, text)
		join(&j, json_string_value(text));
	free(tree->joined);
	tree->joined = ns_tree_line(j.all);
	json_decref(j.all);
	json_decref(j.ids[0]);
	json_decref(j.ids[1]);
	return tree->joined;
}
