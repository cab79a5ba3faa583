/* datasets/source/several.c - several sources as one, and a folder of archives. */
#define _XOPEN_SOURCE 700
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

struct child {
	struct ns_source source;
	char *front;	 /* of its items' names */
	int64_t first;	 /* item of the whole that is its first */
	int32_t *labels; /* what its labels are in the whole; NULL: the same */
};

struct several {
	struct child *children;
	int count, last; /* last: the child that was read from, or -1 */
};

static void several_close(struct ns_source *s)
{
	struct several *all = s->state;
	int i;

	for (i = 0; i < all->count; i++) {
		ns_source_close(&all->children[i].source);
		free(all->children[i].front);
		free(all->children[i].labels);
	}
	free(all->children);
	free(all);
}

static void several_rest(struct ns_source *s)
{
	const struct several *all = s->state;
	struct ns_source *last = all->last < 0 ? NULL : &all->children[all->last].source;

	if (last && last->kind->rest)
		last->kind->rest(last);
}

static enum ns_status several_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct several *all = s->state;
	int low = 0, high = all->count;
	struct child *c;
	char name[sizeof out->name];
	enum ns_status status;

	while (high - low > 1) {
		int middle = (low + high) / 2;

		if (all->children[middle].first <= item)
			low = middle;
		else
			high = middle;
	}
	if (low != all->last)
		several_rest(s);
	all->last = low;
	c = &all->children[low];
	c->source.most = s->most;
	c->source.gives = s->gives;
	status = ns_source_fetch(&c->source, item - c->first, out);
	memcpy(name, out->name, sizeof name);
	snprintf(out->name, sizeof out->name, "%.1024s%.3000s", c->front, name);
	if (out->label >= 0 && c->labels)
		out->label = out->label < c->source.class_count ? c->labels[out->label] : NS_LABEL_UNKNOWN;
	return status;
}

static const struct ns_source_kind several = {"several", NULL, NULL, several_get, several_close, several_rest, 0, NULL};
static const struct ns_source_kind several_of_pixels = {"several", NULL, NULL, several_get, several_close, several_rest, 1, NULL};

/* What stands before a child's names: what its path ends in, or all of it where another one ends alike. */
static char *front_of(char *const *paths, int n, int i)
{
	const char *last[2];
	char *front = malloc(strlen(paths[i]) + 2);
	int k;

	last[0] = strrchr(paths[i], '/') ? strrchr(paths[i], '/') + 1 : paths[i];
	for (k = 0; k < n; k++) {
		last[1] = strrchr(paths[k], '/') ? strrchr(paths[k], '/') + 1 : paths[k];
		if (k != i && !strcmp(last[0], last[1]))
			last[0] = paths[i];
	}
	if (front)
		sprintf(front, "%s/", last[0]);
	return front;
}

/*
 * The names of all children's classes, one child after the other. Names that are numbers are the same class where the numbers are, however each
 * child has padded them: they are written with as many digits as the longest where a child has padded any, else with none to spare.
 */
static char **all_names(const struct several *all, int64_t n, int numbers)
{
	char **names = calloc((size_t)n + 1, sizeof *names);
	int64_t at = 0;
	int i, k, padded = 0, longest = 1;

	for (i = 0; names && i < all->count; i++)
		for (k = 0; k < all->children[i].source.class_count; k++) {
			const char *name = names[at++] = strdup(all->children[i].source.classes[k]);

			padded |= name && *name == '0' && name[1];
			longest = name && (int)strlen(name) > longest ? (int)strlen(name) : longest;
		}
	for (at = 0; names && numbers && at < n; at++) {
		char number[32];

		snprintf(number, sizeof number, "%0*lld", padded && longest < 20 ? longest : 1, names[at] ? strtoll(names[at], NULL, 10) : 0);
		free(names[at]);
		names[at] = strdup(number);
	}
	return names;
}

/* The classes of all, and what each child's labels are among them. */
static enum ns_status join_classes(struct ns_source *s, struct several *all)
{
	char **names;
	int64_t n = 0, at = 0, k;
	int i, numbers = 1;
	enum ns_status status = NS_OK;

	for (i = 0; i < all->count; i++) {
		n += all->children[i].source.class_count;
		numbers &= !all->children[i].source.class_count || all->children[i].source.numbers;
	}
	if (s->class_count || !n)
		return NS_OK; /* each has them as they were given */
	names = all_names(all, n, numbers);
	for (k = 0; names && k < n && names[k];)
		k++;
	if (!names || k < n)
		status = ns_fail(NS_NO_MEMORY, "out of memory for class names");
	if (status == NS_OK)
		status = ns_source_found_classes(s, (const char *const *)names, n, numbers);
	for (i = 0; i < all->count && status == NS_OK; at += all->children[i++].source.class_count) {
		struct child *c = &all->children[i];

		c->labels = malloc(sizeof *c->labels * ((size_t)c->source.class_count + 1));
		status = c->labels ? ns_source_labels(s, (const char *const *)names + at, c->source.class_count, 0, c->labels)
				   : ns_fail(NS_NO_MEMORY, "out of memory for labels");
	}
	for (k = 0; names && k < n; k++)
		free(names[k]);
	free(names);
	s->numbers = numbers;
	return status;
}

static enum ns_status join_splits(struct ns_source *s, const struct several *all)
{
	int i, with = 0, without = 0;
	int64_t k;

	for (i = 0; i < all->count; i++)
		*(all->children[i].source.split_count ? &with : &without) = i + 1;
	if (!with)
		return NS_OK;
	if (without)
		return ns_fail(NS_BAD_DATA, "%s has splits, but %s has none; ingest them one by one", all->children[with - 1].source.path,
			       all->children[without - 1].source.path);
	s->split_of = malloc(sizeof *s->split_of * (size_t)(s->items + 1));
	if (!s->split_of)
		return ns_fail(NS_NO_MEMORY, "out of memory for splits");
	for (i = 0; i < all->count; i++) {
		const struct child *c = &all->children[i];

		for (k = 0; k < c->source.items; k++) {
			const char *split = c->source.splits[c->source.split_of[k]];

			s->split_of[c->first + k] = ns_source_split(s, split, strlen(split));
		}
	}
	return NS_OK;
}

/* What children passed over, and noted, under their names. */
static enum ns_status join_words(struct ns_source *s, const struct child *c)
{
	char text[NS_PATH_MAX + 256];
	const json_t *one;
	size_t i;

	json_array_foreach(c->source.passed, i, one) {
		snprintf(text, sizeof text, "%s%s", c->front, ns_json_text(one, "path"));
		NS_TRY(ns_source_pass_over(s, text, ns_json_text(one, "reason")));
	}
	json_array_foreach(c->source.notes, i, one) {
		snprintf(text, sizeof text, "%s %s", c->front, json_string_value(one));
		NS_TRY(ns_source_note(s, text));
	}
	return NS_OK;
}

/* The next child; front: of its items' names. One that was taken before is none. */
static enum ns_status add_child(struct ns_source *s, struct several *all, const char *path, char *front, const json_t *classes,
				struct ns_follow *follow)
{
	struct child *c = &all->children[all->count];
	char name[NS_PATH_MAX];
	int is;

	c->front = front; /* from here on several_close() releases it */
	all->count++;
	snprintf(name, sizeof name, "%.*s", (int)strlen(front) - 1, front);
	NS_TRY(ns_source_is_new(path, name, follow, &is));
	if (!is) {
		c->front = NULL;
		all->count--;
		free(front);
		return NS_OK;
	}
	NS_TRY(ns_source_open(&c->source, path, classes));
	if (follow)
		NS_TRY(ns_source_add_whole(&c->source, path, name, follow));
	if (c->source.kind->rest) /* of a thousand one is open at a time */
		c->source.kind->rest(&c->source);
	if (follow)
		NS_TRY(ns_source_leave_out(&c->source, front, follow));
	c->first = s->items;
	s->items += c->source.items;
	if (c->source.kind->pixels != all->children[0].source.kind->pixels)
		return ns_fail(NS_BAD_DATA, "%s holds %s, but %s holds %s; ingest them one by one", all->children[0].source.path,
			       c->source.kind->pixels ? "files" : "pixels", path, c->source.kind->pixels ? "pixels" : "files");
	return join_words(s, c);
}

static enum ns_status join(struct ns_source *s, char *const *paths, int n, const json_t *classes, struct ns_follow *follow)
{
	struct several *all = s->state = calloc(1, sizeof *all);
	int i;

	s->kind = &several;
	if (!all || !(all->children = calloc((size_t)n, sizeof *all->children)))
		return ns_fail(NS_NO_MEMORY, "out of memory for %d sources", n);
	all->last = -1;
	for (i = 0; i < n; i++) {
		char *front = front_of(paths, n, i);

		NS_TRY(front ? add_child(s, all, paths[i], front, classes, follow) : ns_fail(NS_NO_MEMORY, "out of memory for a name"));
	}
	s->kind = all->count && all->children[0].source.kind->pixels ? &several_of_pixels : &several;
	NS_TRY(join_classes(s, all));
	return join_splits(s, all);
}

static int is_archive_in(const char *folder, const char *name)
{
	char full[NS_PATH_MAX];
	int is = 0;

	return *name != '.' && ns_path(full, "%s/%s", folder, name) == NS_OK && ns_is_archive(full, &is) == NS_OK && is;
}

/* Is it a folder, or what may be an image? What cannot be asked is left to whoever reads folders. */
static int may_be_images(const char *folder, const char *name)
{
	char full[NS_PATH_MAX];
	int is = 0;

	if (ns_path(full, "%s/%s", folder, name) != NS_OK || ns_is_dir(full, &is) != NS_OK)
		return 1;
	return is || !ns_is_other_name(name);
}

/*
 * A folder that holds archives, and beside them nothing but what is hidden, litter, or called as other files are: the archives go to the front of
 * the names, *archives of them.
 */
static enum ns_status archives_in(const char *path, struct ns_names *names, size_t *archives)
{
	size_t i;
	int is;

	*archives = 0;
	if (ns_is_dir(path, &is) != NS_OK || !is)
		return NS_OK; /* whoever opens it says why */
	NS_TRY(ns_list(path, names));
	for (i = 0; i < names->count; i++) {
		char *name = names->name[i];

		if (is_archive_in(path, name)) {
			names->name[i] = names->name[*archives];
			names->name[(*archives)++] = name;
		} else if (*name != '.' && !ns_is_litter(name) && may_be_images(path, name)) {
			*archives = 0;
			return NS_OK;
		}
	}
	return NS_OK;
}

/* Archives that are called as splits are become one set all the same. */
static enum ns_status doubt_splits(struct ns_source *s, const struct ns_names *names, size_t archives)
{
	static const char *const splits[] = {"train", "val", "test"};
	int found = 0;
	size_t i, k;

	for (k = 0; k < sizeof splits / sizeof *splits; k++)
		for (i = 0; i < archives; i++)
			if (!strncasecmp(names->name[i], splits[k], strlen(splits[k]))) {
				found++;
				break;
			}
	return found < 2 ? NS_OK
			 : ns_source_note(s, "archives are called as splits are, but all are one set; ingest those of each split by themselves");
}

static enum ns_status open_archives(struct ns_source *s, const char *path, const struct ns_names *names, size_t archives, const json_t *classes,
				    struct ns_follow *follow)
{
	char **paths = calloc(archives, sizeof *paths);
	enum ns_status status = paths ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %zu archives", archives);
	size_t i, n;

	for (i = 0; i < archives && status == NS_OK; i++) {
		n = strlen(path) + strlen(names->name[i]) + 2;
		paths[i] = malloc(n);
		if (paths[i])
			snprintf(paths[i], n, "%s/%s", path, names->name[i]);
		else
			status = ns_fail(NS_NO_MEMORY, "out of memory for a name");
	}
	if (status == NS_OK)
		status = join(s, paths, (int)archives, classes, follow);
	for (i = archives; i < names->count && status == NS_OK; i++)
		status = ns_source_pass_over(s, names->name[i], "lies beside archives");
	if (status == NS_OK)
		status = doubt_splits(s, names, archives);
	for (i = 0; paths && i < archives; i++)
		free(paths[i]);
	free(paths);
	return status;
}

/* One source, which is no folder of archives. */
static enum ns_status open_one(struct ns_source *s, const char *path, const json_t *classes, struct ns_follow *follow)
{
	const char *slash = strrchr(path, '/'), *name;
	enum ns_status status;
	int is;

	name = slash && slash[1] ? slash + 1 : path;
	NS_TRY(ns_source_is_new(path, name, follow, &is));
	status = is ? ns_source_open(s, path, classes) : ns_source_begin(s, path, classes);
	if (status == NS_OK && follow && s->kind)
		status = ns_source_add_whole(s, path, name, follow);
	return status == NS_OK && follow && s->kind ? ns_source_leave_out(s, "", follow) : status;
}

uint64_t ns_source_digest(struct ns_source *s)
{
	char path[NS_PATH_MAX];
	uint64_t sum = ns_xxh3(&s->items, sizeof s->items) + (uint64_t)s->class_count;
	const struct several *all = s->state;
	struct ns_item item;
	int64_t i;

	if (s->kind == &several || s->kind == &several_of_pixels) {
		for (i = 0; i < all->count; i++)
			sum = sum * 31 + ns_source_digest(&all->children[i].source);
		return sum;
	}
	for (i = 0; s->kind->place && i < s->items; i++) {
		(void)s->kind->place(s, s->kept ? s->kept[i] : i, &item, path);
		sum = sum * 31 + ns_xxh3(item.name, strlen(item.name)) + (uint64_t)(int64_t)item.label;
		if (item.annotation)
			sum = sum * 31 + ns_xxh3(item.annotation, strlen(item.annotation));
	}
	return sum;
}

enum ns_status ns_source_open_all(struct ns_source *s, char *const *paths, int n, const json_t *classes, struct ns_follow *follow)
{
	struct ns_names names = {0};
	enum ns_status status = NS_OK;
	size_t archives = 0;

	memset(s, 0, sizeof *s);
	if (n == 1)
		status = archives_in(paths[0], &names, &archives);
	if (status == NS_OK && n == 1 && !archives) {
		status = open_one(s, paths[0], classes, follow);
	} else if (status == NS_OK) {
		status = ns_source_begin(s, paths[0], classes);
		if (status == NS_OK)
			status = archives ? open_archives(s, paths[0], &names, archives, classes, follow) : join(s, paths, n, classes, follow);
	}
	ns_names_release(&names);
	if (status != NS_OK)
		ns_source_close(s);
	return status;
}
