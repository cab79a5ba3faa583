/*
 * jobs/import/names.c - names of classes that an ONNX file brings along in its metadata: `names` as YOLO's exports have it (a Python dictionary of numbers and texts), `character` as PP-OCR's
 * readers have it (a symbol a line), `classes` and `labels` as JSON.
 */
#include "jobs/import/import_inner.h"

#include <stdlib.h>
#include <string.h>

#include "host/onnx/onnx.h"

/* A text of Python in either kind of quotes; *at goes behind it. NULL: it is none. */
static json_t *python_text(const char **at, const char *end)
{
	const char *from = *at;
	char quote, *text, *to;
	json_t *json;

	if (from == end || (*from != '\'' && *from != '"'))
		return NULL;
	quote = *from++;
	to = text = malloc((size_t)(end - from) + 1);
	while (text && from < end && *from != quote) {
		if (*from == '\\' && from + 1 < end)
			from++;
		*to++ = *from++;
	}
	if (!text || from == end) {
		free(text);
		return NULL;
	}
	*at = from + 1;
	json = json_stringn(text, (size_t)(to - text));
	free(text);
	return json;
}

static void blanks(const char **at, const char *end)
{
	while (*at < end && (**at == ' ' || **at == '\n' || **at == '\t' || **at == ','))
		++*at;
}

/* {0: 'person', 1: "dog's"}, in the order of its numbers, all of which are there. */
static json_t *python_names(struct ns_onnx_text t)
{
	const char *at = t.at, *end = t.at + t.bytes;
	json_t *list = json_array(), *name;
	size_t n = 0, number;

	if (at == end || *at++ != '{')
		n = SIZE_MAX;
	for (blanks(&at, end); n != SIZE_MAX && at < end && *at != '}'; blanks(&at, end)) {
		for (number = 0; at < end && *at >= '0' && *at <= '9' && number < NS_CLASSES_MAX; at++)
			number = 10 * number + (size_t)(*at - '0');
		name = NULL;
		if (at < end && *at == ':' && number == n) {
			at++;
			blanks(&at, end);
			name = python_text(&at, end);
		}
		n = name ? n + 1 : SIZE_MAX;
		if (name)
			json_array_append_new(list, name);
	}
	if (n != SIZE_MAX && n && at < end)
		return list;
	json_decref(list);
	return NULL;
}

/* A symbol a line; an empty last line is none. */
static json_t *lines(struct ns_onnx_text t)
{
	json_t *list = json_array(), *one;
	const char *at = t.at, *end = t.at + t.bytes, *stop;

	for (; at < end; at = stop + 1) {
		stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop ? stop : end;
		one = json_stringn(at, (size_t)(stop - at));
		if (!one) {
			json_decref(list);
			return NULL;
		}
		json_array_append_new(list, one);
	}
	return list;
}

static json_t *json_list(struct ns_onnx_text t)
{
	json_t *list = json_loadb(t.at, t.bytes, 0, NULL);

	if (json_is_array(list))
		return list;
	json_decref(list);
	return NULL;
}

json_t *ns_import_names_of_file(const struct ns_onnx *o)
{
	static const struct {
		const char *key;
		json_t *(*read)(struct ns_onnx_text);
	} kinds[] = {{"names", python_names}, {"character", lines}, {"classes", json_list}, {"labels", json_list}};
	struct ns_onnx_text value;
	json_t *list;
	size_t i;

	for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		list = ns_onnx_property(o, kinds[i].key, &value) ? kinds[i].read(value) : NULL;
		if (list)
			return list;
	}
	return NULL;
}
