/* datasets/source/classes.c - the classes of a source, given or found. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source/source.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

struct named {
	const char *name;
	int32_t label;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static int by_name_and_label(const void *a, const void *b)
{
	const struct named *x = a, *y = b;
	int order = by_name(a, b);

	return order ? order : (x->label > y->label) - (x->label < y->label);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int is_number(const char *text)
{
	const char *digits = text + (*text == '-');

	return *digits && strspn(digits, "0123456789") == strlen(digits) && strlen(digits) < 18;
}

static int by_number(const void *a, const void *b)
{
	int64_t x = strtoll(*(const char *const *)a, NULL, 10), y = strtoll(*(const char *const *)b, NULL, 10);

	return x != y ? (x > y) - (x < y) : by_text(a, b);
}

/* Are all that are there whole numbers? */
static int are_numbers(const char *const *names, int64_t n)
{
	int64_t i;

	for (i = 0; i < n; i++)
		if (*names[i] && !is_number(names[i]))
			return 0;
	return 1;
}

int32_t ns_source_index(const struct ns_source *s, const char *text)
{
	char *end;
	long index = strtol(text, &end, 10);

	if (are_numbers((const char *const *)s->classes, s->class_count)) /* 2 is the class 2, or none, and never the third of 0, 1 and 7 */
		return NS_LABEL_UNKNOWN;
	return end == text || *end || index < 0 || index >= s->class_count ? NS_LABEL_UNKNOWN : (int32_t)index;
}

enum ns_status ns_source_found_classes(struct ns_source *s, const char *const *names, int64_t n, int numbers)
{
	const char **sorted;
	int64_t i;

	if (s->class_count || n == 0)
		return NS_OK; /* the configuration said which, or there is nothing to name */
	for (i = 0; i < n; i++) {
		json_t *text = json_string(names[i]); /* refuses what is not UTF-8 */

		json_decref(text);
		if (!text)
			return ns_fail(NS_BAD_DATA, "%s: the class '%s' has a name that is not UTF-8; rename it, or store the list as UTF-8", s->path,
				       names[i]);
	}
	sorted = malloc(sizeof *sorted * (size_t)(n + 1));
	s->classes = calloc((size_t)n + 1, sizeof *s->classes);
	if (!sorted || !s->classes) {
		free(sorted);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for class names", s->path);
	}
	memcpy(sorted, names, sizeof *sorted * (size_t)n);
	qsort(sorted, (size_t)n, sizeof *sorted, numbers ? by_number : by_text);
	for (i = 0; i < n; i++)
		if (*sorted[i] && !(numbers && !strcmp(sorted[i], "-1")) && (!s->class_count || strcmp(s->classes[s->class_count - 1], sorted[i])))
			s->classes[s->class_count++] = strdup(sorted[i]);
	free(sorted);
	return NS_OK;
}

/* The classes in the order of their names, and of equal names in their own; the caller frees it. NULL: out of memory. */
static struct named *sorted_classes(const struct ns_source *s)
{
	struct named *order = malloc(sizeof *order * ((size_t)s->class_count + 1));
	int k;

	for (k = 0; order && k < s->class_count; k++)
		order[k] = (struct named){s->classes[k], k};
	if (order)
		qsort(order, (size_t)s->class_count, sizeof *order, by_name_and_label);
	return order;
}

enum ns_status ns_source_check_given(const struct ns_source *s)
{
	struct named *order = sorted_classes(s);
	int k, first = 0, again = s->class_count;

	if (!order)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for class names", s->path);
	for (k = 1; k < s->class_count; k++) /* the earliest that repeats another */
		if (!strcmp(order[k].name, order[k - 1].name) && order[k].label < again) {
			first = order[k - 1].label;
			again = order[k].label;
		}
	free(order);
	return again == s->class_count ? NS_OK : ns_fail(NS_CONFIG, "ingest.classes: '%s' is entry %d and entry %d", s->classes[again], first, again);
}

enum ns_status ns_source_labels(struct ns_source *s, const char *const *names, int64_t n, int said, int32_t *labels)
{
	struct named *order;
	int64_t i, none = 0;
	int numbers = said && are_numbers(names, n);

	NS_TRY(ns_source_found_classes(s, names, n, numbers));
	s->numbers = numbers && s->class_count > 0;
	order = sorted_classes(s);
	if (!order)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for class names", s->path);
	for (i = 0; i < n; i++) {
		struct named key = {names[i], 0};
		const struct named *at = bsearch(&key, order, (size_t)s->class_count, sizeof *order, by_name);

		labels[i] = !*names[i] ? -1 : at ? at->label : NS_LABEL_UNKNOWN;
		if (labels[i] == NS_LABEL_UNKNOWN && numbers && !strcmp(names[i], "-1")) {
			labels[i] = -1;
			none++;
		}
	}
	free(order);
	return none ? ns_source_note(s, "the class -1 is taken for none: its images are unlabelled") : NS_OK;
}

int ns_source_split(struct ns_source *s, const char *name, size_t bytes)
{
	char **more;
	int i;

	for (i = 0; i < s->split_count; i++)
		if (strlen(s->splits[i]) == bytes && !strncmp(s->splits[i], name, bytes))
			return i;
	more = realloc(s->splits, sizeof *more * (size_t)(s->split_count + 1));
	if (!more)
		return -1;
	s->splits = more;
	more[s->split_count] = strndup(name, bytes);
	return s->split_count++;
}

enum ns_status ns_source_note(struct ns_source *s, const char *text)
{
	return json_array_append_new(s->notes, ns_json_string(text)) ? ns_fail(NS_NO_MEMORY, "out of memory for a note") : NS_OK;
}

enum ns_status ns_source_pass_over(struct ns_source *s, const char *path, const char *why)
{
	json_t *name = ns_json_string(path);
	json_t *line = name ? json_pack("{s:o, s:s}", "path", name, "reason", why) : NULL;

	return json_array_append_new(s->passed, line) ? ns_fail(NS_NO_MEMORY, "out of memory for what is passed over") : NS_OK;
}
