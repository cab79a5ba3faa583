/* datasets/source/arrays_keys.c - which arrays of a file are images and which their labels, by their keys; and of which split. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source/arrays_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/base/base.h"

/* The first that is there is taken. */
static const char *const images_names[] = {"images", "image", "imgs", "img", "x", "data", NULL};
static const char *const labels_names[] = {"labels", "label", "y", "target", "targets", NULL};
static const char *const split_names[] = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", NULL};

struct part { /* of a key */
	enum ns_array_role role;
	int order;	   /* in the table of its role */
	const char *split; /* in the key, of `bytes`; NULL: none */
	int bytes;
	int folder; /* length of the group's name, where that is no split's */
};

static int find(const char *const *names, const char *text, size_t n)
{
	int i;

	for (i = 0; names[i]; i++)
		if (strlen(names[i]) == n && !strncasecmp(names[i], text, n))
			return i;
	return -1;
}

/* x_train, train_images, train_set_x (as in Andrew Ng's course), train/x; what else is in a key makes it another's. */
static struct part parse(const char *key)
{
	struct part p = {NS_ARRAY_NEITHER, -1, NULL, 0, 0};
	const char *slash = strrchr(key, '/'), *at = key;
	int words = 0;

	if (!strcmp(key, "arr_0") || !strcmp(key, "arr_1")) { /* numpy.savez(file, images, labels) */
		p.role = key[4] == '0' ? NS_ARRAY_IMAGES : NS_ARRAY_LABELS;
		p.order = 100;
		return p;
	}
	if (slash && find(split_names, key, (size_t)(slash - key)) < 0) {
		p.folder = (int)(slash - key);
		at = slash + 1;
	}
	while (*at) {
		size_t n = strcspn(at, "_-. /");
		int i;

		if (find(split_names, at, n) >= 0 && !p.split) {
			p.split = at;
			p.bytes = (int)n;
		} else if ((i = find(images_names, at, n)) >= 0) {
			p = (struct part){NS_ARRAY_IMAGES, i, p.split, p.bytes, p.folder};
			words++;
		} else if ((i = find(labels_names, at, n)) >= 0) {
			p = (struct part){NS_ARRAY_LABELS, i, p.split, p.bytes, p.folder};
			words++;
		} else if (n != 3 || strncasecmp(at, "set", 3)) {
			words = 2;
		}
		at += n + (at[n] != 0);
	}
	p.role = words == 1 ? p.role : NS_ARRAY_NEITHER;
	return p;
}

enum ns_array_role ns_arrays_role(const char *key)
{
	return parse(key).role;
}

/* The images and the labels of one split and one folder; the best of each, by the order of names. */
struct candidate {
	struct part part;
	int images, labels; /* indices of arrays; -1: none */
	int images_order, labels_order;
};

static int same(const struct part *a, const char *a_key, const struct part *b, const char *b_key)
{
	return a->bytes == b->bytes && !strncasecmp(a->split ? a->split : "", b->split ? b->split : "", (size_t)a->bytes) && a->folder == b->folder &&
	       !strncmp(a_key, b_key, (size_t)a->folder);
}

/* Sorts the arrays by split; returns how many candidates there are. They are in the order in which the file has their first array. */
static int gather(const struct ns_arrays *p, struct candidate *list)
{
	int n = 0, i, k;

	for (i = 0; i < p->count; i++) {
		const char *key = p->array[i].key;
		struct part part = parse(key);
		struct candidate *c;

		if (part.role == NS_ARRAY_NEITHER)
			continue;
		for (k = 0; k < n; k++) {
			const char *other = p->array[list[k].images >= 0 ? list[k].images : list[k].labels].key;

			if (same(&part, key, &list[k].part, other))
				break;
		}
		c = &list[k];
		if (k == n)
			list[n++] = (struct candidate){part, -1, -1, 0, 0};
		if (part.role == NS_ARRAY_IMAGES && (c->images < 0 || part.order < c->images_order)) {
			c->images = i;
			c->images_order = part.order;
		} else if (part.role == NS_ARRAY_LABELS && (c->labels < 0 || part.order < c->labels_order)) {
			c->labels = i;
			c->labels_order = part.order;
		}
	}
	return n;
}

/* uint8 of a shape that images have, whatever it is called */
static int looks_like_images(const struct ns_array *a)
{
	const int64_t *d = a->dims;

	return a->kind == 'u' && a->bytes == 1 && (a->rank == 3 || (a->rank == 4 && (d[1] == 1 || d[1] == 3 || d[3] == 1 || d[3] == 3)));
}

static enum ns_status nothing(const struct ns_source *s, const struct ns_arrays *p, const char *why)
{
	char found[600] = "nothing", said[NS_ARRAY_SAID];
	size_t at = 0;
	int i;

	for (i = 0; i < p->count && at < 400; i++) {
		snprintf(found + at, sizeof found - at, "%s%.64s: %.80s", i ? ", " : "", p->array[i].key, ns_array_said(&p->array[i], said));
		at += strlen(found + at);
	}
	return ns_fail(NS_BAD_DATA, "%s: %s; expected uint8 called images, x or data (x_train, test_images..), found %s%s", s->path, why, found,
		       i < p->count ? ", .." : "");
}

/* Where no key says that it is images, the only array that can be so is taken. */
static enum ns_status take_only(struct ns_source *s, struct ns_arrays *p, int labels, char *used)
{
	char note[256];
	int i, only = -1;

	for (i = 0; i < p->count; i++) {
		if (!looks_like_images(&p->array[i]) || i == labels)
			continue;
		if (only >= 0)
			return nothing(s, p, "several arrays could be its images");
		only = i;
	}
	if (only < 0)
		return nothing(s, p, "holds no images");
	used[only] = 1;
	if (labels >= 0)
		used[labels] = 1;
	snprintf(note, sizeof note, "the images are '%.64s', the only array that can be%s", p->array[only].key,
		 labels < 0 ? "; no array is called labels, label, y or target" : "");
	NS_TRY(ns_source_note(s, note));
	return ns_arrays_add_set(s, p, &p->array[only], labels < 0 ? NULL : &p->array[labels], -1);
}

/* A split's name as the file writes it. */
static enum ns_status add_split(struct ns_source *s, const struct part *part)
{
	char **more = realloc(s->splits, sizeof *more * (size_t)(s->split_count + 1));

	if (!more)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its splits", s->path);
	s->splits = more;
	more[s->split_count] = strndup(part->split, (size_t)part->bytes);
	if (!more[s->split_count])
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its splits", s->path);
	s->split_count++;
	return NS_OK;
}

/* Splits, where there are any; else the one set. Two sets that no split tells apart are nobody's guess. */
static enum ns_status add_sets(struct ns_source *s, struct ns_arrays *p, const struct candidate *list, int n, char *used)
{
	char first[NS_ARRAY_TEXT], second[NS_ARRAY_TEXT], note[256];
	int i, k, splits = 0;

	for (i = 0; i < n; i++)
		splits |= list[i].images >= 0 && list[i].part.split;
	for (i = 0; i < n; i++) {
		const struct candidate *c = &list[i];

		if (c->images < 0 || (splits && !c->part.split))
			continue;
		for (k = 0; k < i; k++)
			if (list[k].images >= 0 && list[k].part.bytes == c->part.bytes &&
			    !strncasecmp(list[k].part.split ? list[k].part.split : "", c->part.split ? c->part.split : "", (size_t)c->part.bytes)) {
				ns_arrays_where(s, p, &p->array[list[k].images], first);
				ns_arrays_where(s, p, &p->array[c->images], second);
				return ns_fail(NS_BAD_DATA, "%.400s and %.400s are both images, expected one array, or one of each split", first,
					       second);
			}
		if (c->part.split)
			NS_TRY(add_split(s, &c->part));
		used[c->images] = 1;
		if (c->labels >= 0)
			used[c->labels] = 1;
		NS_TRY(ns_arrays_add_set(s, p, &p->array[c->images], c->labels < 0 ? NULL : &p->array[c->labels], splits ? s->split_count - 1 : -1));
		if (c->labels < 0) {
			snprintf(note, sizeof note, "%.64s has no labels: no array beside it is called labels, label, y or target",
				 p->array[c->images].key);
			NS_TRY(ns_source_note(s, note));
		}
	}
	return NS_OK;
}

static enum ns_status finish(struct ns_source *s, const struct ns_arrays *p, const char *used)
{
	char where[NS_ARRAY_TEXT];
	int i;
	int64_t k;

	for (i = 0; i < p->count; i++) {
		ns_arrays_where(s, p, &p->array[i], where);
		if (!used[i])
			NS_TRY(ns_source_pass_over(s, where,
						   parse(p->array[i].key).role == NS_ARRAY_NEITHER ? "is neither images nor labels by its name"
												   : "others are the images and labels"));
	}
	if (!s->split_count)
		return NS_OK;
	s->split_of = malloc(sizeof *s->split_of * (size_t)s->items);
	for (i = 0; s->split_of && i < p->set_count; i++)
		for (k = 0; k < p->set[i].n; k++)
			s->split_of[p->set[i].first + k] = p->set[i].split;
	return s->split_of ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its splits", s->path);
}

enum ns_status ns_arrays_plan(struct ns_source *s, struct ns_arrays *p)
{
	struct candidate *list = calloc((size_t)p->count + 1, sizeof *list);
	char *used = calloc((size_t)p->count + 1, 1);
	enum ns_status status = list && used ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its %d arrays", s->path, p->count);
	int i, n, named = 0;

	NS_GO(status);
	n = gather(p, list);
	for (i = 0; i < n; i++)
		named |= list[i].images >= 0;
	NS_GO(named ? add_sets(s, p, list, n, used) : take_only(s, p, n == 1 ? list[0].labels : -1, used));
	status = finish(s, p, used);
out:
	free(list);
	free(used);
	return status;
}
