/* datasets/objects/yolo.c - a line an object: "0 .5 .5 .2 .3". */
#define _POSIX_C_SOURCE 200809L
#include "datasets/objects/objects.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

#define NUMBERS_MAX  2000 /* of a line: polygons have many */
#define CATEGORY_MAX 1000000
#define BEYOND	     1e-3 /* shares that rounding has put beyond 0 or 1 */

/* The numbers of a line, which it consists of; -1: of something else. */
static int numbers_of(char *line, double *out)
{
	char *end;
	int n = 0;

	for (;; line = end) {
		line += strspn(line, " \t\r");
		if (!*line)
			return n;
		if (n == NUMBERS_MAX || !strchr("0123456789.-+", *line))
			return -1;
		out[n] = strtod(line, &end);
		if (end == line || (*end && !strchr(" \t\r", *end)) || !(out[n] >= -BEYOND) || out[n] > CATEGORY_MAX)
			return -1;
		n++;
	}
}

static int are_shares(const double *x, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (x[i] > 1 + BEYOND)
			return 0;
	return 1;
}

static json_t *list_of(const double *x, int n)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < n; i++)
		json_array_append_new(list, json_real(x[i]));
	return list;
}

/* The object of a line's numbers; NULL: they are none. */
static json_t *object_of(const double *x, int n, const json_t *set)
{
	const json_t *names = json_object_get(set, "names");
	int points = (int)json_integer_value(json_object_get(set, "keypoints")),
	    pose = set ? points && n == 5 + points : n > 10; /* without a set it is not known yet */
	int category = (int)x[0];
	double left = x[1] - x[3] / 2, top = x[2] - x[4] / 2;
	json_t *object;

	if (x[0] != category || category < 0 || n < 5 || (n > 6 && n % 2 == 0 && !pose) || !are_shares(x + 1, pose ? 4 : n - 1))
		return NULL;
	object = json_pack("{s:i}", "category_id", category);
	if (names && json_array_get(names, (size_t)category))
		json_object_set(object, "category", json_array_get(names, (size_t)category));
	if (n > 6 && !pose) {
		json_object_set_new(object, "polygon_normalized", list_of(x + 1, n - 1));
		return object;
	}
	json_object_set_new(object, "bbox_normalized", list_of((double[]){left, top, x[3], x[4]}, 4));
	if (pose)
		json_object_set_new(object, "keypoints_normalized", list_of(x + 5, points));
	else if (n == 6)
		json_object_set_new(object, "confidence", json_real(x[5]));
	return object;
}

enum ns_status ns_yolo_read(const char *text, size_t bytes, const json_t *set, json_t **out)
{
	size_t mark = bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : 0;
	char *copy = memchr(text, 0, bytes) ? NULL : strndup(text + mark, bytes - mark), *line, *rest;
	double *x = calloc(NUMBERS_MAX, sizeof *x);
	json_t *objects = json_array(), *object;
	int n;

	*out = NULL;
	for (line = copy ? strtok_r(copy, "\n", &rest) : NULL; line && x; line = strtok_r(NULL, "\n", &rest)) {
		n = numbers_of(line, x);
		if (!n)
			continue;
		object = n > 0 ? object_of(x, n, set) : NULL;
		if (!object) {
			json_decref(objects);
			objects = NULL;
			break;
		}
		json_array_append_new(objects, object);
	}
	if (copy && objects)
		*out = json_pack("{s:o}", "objects", objects);
	else
		json_decref(objects);
	free(copy);
	free(x);
	return x ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the objects of an image");
}

/* A name as text, whatever YAML took it for. */
static json_t *name_of(const json_t *value)
{
	char *text = json_is_string(value) || !value ? NULL : json_dumps(value, JSON_ENCODE_ANY);
	json_t *name = json_is_string(value) ? json_copy((json_t *)(uintptr_t)value) : text && !json_is_null(value) ? json_string(text) : json_null();

	free(text);
	return name;
}

enum ns_status ns_yolo_names(const char *text, size_t bytes, json_t **set)
{
	json_t *yaml = NULL, *found, *name, *names, *shape;
	const char *key;
	size_t i;

	*set = NULL;
	if (ns_yaml_parse(&yaml, text, bytes, "data.yaml") != NS_OK)
		return NS_OK; /* YAML of another kind, which says nothing here */
	found = json_object_get(yaml, "names");
	names = json_array();
	json_array_foreach(found, i, name)
		json_array_append_new(names, name_of(name));
	if (json_is_object(found))
		json_object_foreach(found, key, name) {
			long long at = atoll(key);

			while (at >= 0 && at < CATEGORY_MAX && (long long)json_array_size(names) <= at)
				json_array_append_new(names, json_null());
			json_array_set_new(names, (size_t)at, name_of(name));
		}
	shape = json_object_get(yaml, "kpt_shape");
	if (json_array_size(names))
		*set = json_pack("{s:O, s:I}", "names", names, "keypoints",
				 json_integer_value(json_array_get(shape, 0)) * json_integer_value(json_array_get(shape, 1)));
	json_decref(names);
	json_decref(yaml);
	return NS_OK;
}
