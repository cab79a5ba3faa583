/* datasets/source/tree.c - which of a tree's files are images, of which class, and in which split. */
#define _GNU_SOURCE
#include "datasets/source/tree_inner.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/base/base.h"

enum ns_status ns_tree_add(struct ns_tree *tree, const char *path, int64_t number, enum ns_entry_type type, const char *why)
{
	struct ns_entry *more;

	if (tree->count == tree->capacity) {
		int64_t capacity = tree->capacity ? 2 * tree->capacity : 1024;

		more = realloc(tree->entries, sizeof *more * (size_t)capacity);
		if (!more)
			return ns_fail(NS_NO_MEMORY, "out of memory for a list of %lld files", (long long)capacity);
		tree->entries = more;
		tree->capacity = capacity;
	}
	more = &tree->entries[tree->count];
	*more = (struct ns_entry){.path = strdup(path), .number = number, .type = type, .why = why, .label = -1, .split = -1};
	if (!more->path)
		return ns_fail(NS_NO_MEMORY, "out of memory for a file's name");
	tree->count++;
	return NS_OK;
}

void ns_tree_release(struct ns_tree *tree)
{
	int64_t i;

	for (i = 0; i < tree->count; i++) {
		free(tree->entries[i].path);
		free(tree->entries[i].unknown);
		free(tree->entries[i].meant);
	}
	free(tree->entries);
	for (i = 0; i < tree->document_count; i++) {
		free(tree->documents[i].path);
		free(tree->documents[i].text);
	}
	free(tree->documents);
	json_decref(tree->said);
	json_decref(tree->sidecars);
	json_decref(tree->boxes);
	json_decref(tree->listed);
	json_decref(tree->damaged);
	json_decref(tree->other);
	json_decref(tree->names);
	free(tree->joined);
	memset(tree, 0, sizeof *tree);
}

static int is_item(const struct ns_entry *e)
{
	return e->type == NS_ENTRY_FILE;
}

/* Length of the first folder's name of a path, and '/' behind it; 0: it has none. */
static size_t first_folder(const char *path)
{
	const char *slash = strchr(path, '/');

	return slash ? (size_t)(slash - path) + 1 : 0;
}

/*
 * Does the entry say how the tree is laid out? Images do, by their names; where no name is one of an image, all items. What lies about besides, a
 * list of checksums or a readme without an end, does not.
 */
static int votes(const struct ns_tree *t, const struct ns_entry *e)
{
	return is_item(e) && (!t->named || ns_is_image_name(e->path));
}

static const char *split_name(const char *path, size_t n)
{
	static const char *const names[] = {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"};
	size_t i;

	if (n > 5 && strspn(path + n - 5, "0123456789") == 4) /* train2017, as COCO's are called */
		n -= 4;
	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) + 1 == n && !strncasecmp(path, names[i], n - 1))
			return names[i];
	return NULL;
}

/* A path, as far as its folders mean something. */
static const char *meaning(const struct ns_entry *e)
{
	return e->meant ? e->meant : ns_tree_plain(e->path);
}

#define FEW(some, all) (20 * (some) < (all)) /* so few are strays */

/*
 * An archive often has one folder around all, that of which it was made: every item lies in it, but for few strays beside it, and most of them in
 * folders of its own. Returns the bytes of its name; *around is a path that begins with it. One that was made in the folder lists "./".
 */
static size_t wrapper(const struct ns_tree *t, const char **around)
{
	int64_t i, deeper = 0, items = 0, loose = 0;
	size_t n = 0;

	*around = "";
	for (i = 0; i < t->count && !t->bare; i++) {
		const struct ns_entry *e = &t->entries[i];
		const char *path = meaning(e);

		if (!votes(t, e))
			continue;
		items++;
		if (!first_folder(path)) {
			loose++;
			continue;
		}
		if (!n)
			n = first_folder(*around = path);
		if (strncmp(*around, path, n) || split_name(path, n)) /* a split is around nothing but its own */
			return 0;
		deeper += first_folder(path + n) != 0;
	}
	return n && 2 * loose < items && 2 * deeper > items - loose ? n : 0;
}

/* The part of a path that means something: below the wrapper, or "" beside it. */
static const char *below(const struct ns_entry *e, const char *around, size_t skip)
{
	const char *path = meaning(e);

	return strncmp(path, around, skip) ? "" : path + skip;
}

/* Are the first folders splits? All of them are called so, but for few strays; and there are two, or most of what they hold lies in folders. */
static int has_splits(const struct ns_tree *t, const char *around, size_t skip)
{
	const char *first = NULL;
	int64_t i, deeper = 0, items = 0, others = 0;
	int several = 0;

	for (i = 0; i < t->count; i++) {
		const char *path = below(&t->entries[i], around, skip);
		size_t n = first_folder(path);

		if (!votes(t, &t->entries[i]) || !n)
			continue; /* what lies beside splits is none of theirs */
		if (!split_name(path, n)) {
			others++;
			continue;
		}
		several |= first && strncmp(first, path, n);
		first = path;
		items++;
		deeper += first_folder(path + n) != 0;
	}
	return items && (!others || (several && FEW(others, items))) && (several || 2 * deeper > items || t->boxed);
}

/* Items come first, in the order in which they were added; the rest goes to the source's list. */
static enum ns_status sift(struct ns_tree *t, struct ns_source *s)
{
	enum ns_status status = NS_OK;
	int64_t i, k = 0;

	for (i = 0; i < t->count; i++) {
		struct ns_entry *e = &t->entries[i];
		const char *why = e->type == NS_ENTRY_PASSED ? e->why : ns_why_not(e->path);

		if (!why && e->type == NS_ENTRY_FILE && ns_is_other_name(e->path))
			why = e->why ? e->why : ns_is_class_name(e->path) ? "says the class of the image beside it" : "is no image by its name";
		if (why && status == NS_OK)
			status = ns_source_pass_over(s, e->path, why);
		if (why) {
			free(e->path);
			continue;
		}
		t->named |= is_item(e) && ns_is_image_name(e->path);
		t->entries[k++] = *e;
	}
	t->count = k;
	return status;
}

/* names[i]: class of entry i, "" where it has none; finds the classes, and the label of each */
static enum ns_status label_all(struct ns_tree *t, struct ns_source *s, char **names)
{
	int given = s->class_count > 0;
	int32_t *labels = malloc(sizeof *labels * ((size_t)t->count + 1));
	enum ns_status status = labels ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for labels", s->path);
	int64_t i;

	if (status == NS_OK)
		status = ns_source_labels(s, (const char *const *)names, t->count, t->said != NULL, labels);
	for (i = 0; i < t->count && status == NS_OK; i++) {
		int index = labels[i] == NS_LABEL_UNKNOWN && given && ns_tree_said(t, t->entries[i].path);

		t->entries[i].label = index ? ns_source_index(s, names[i]) : labels[i];
		if (t->entries[i].label == NS_LABEL_UNKNOWN && is_item(&t->entries[i])) {
			t->entries[i].unknown = strdup(names[i]);
			s->unknown++;
		}
	}
	free(labels);
	return status;
}

/* Empty folders named classes: they are no items, and go last. */
static enum ns_status drop_folders(struct ns_tree *t, struct ns_source *s)
{
	int64_t i, k = 0;

	for (i = 0; i < t->count; i++) {
		struct ns_entry *e = &t->entries[i];

		if (e->type == NS_ENTRY_FILE && (e->split >= 0 || !s->split_count)) {
			t->entries[k++] = *e;
			continue;
		}
		NS_TRY(ns_source_pass_over(
			s, e->path, e->type == NS_ENTRY_FILE ? "lies beside the splits" : "is an empty folder; at a class's place the class stays"));
		free(e->path);
		free(e->unknown);
		free(e->meant);
	}
	t->count = s->items = k;
	if (!s->split_count)
		return NS_OK;
	s->split_of = malloc(sizeof *s->split_of * (size_t)(k + 1));
	for (i = 0; s->split_of && i < k; i++)
		s->split_of[i] = t->entries[i].split;
	return s->split_of ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its splits", s->path);
}

/* The class that entry e has by its place, below its split of `split` bytes: the first folder; "" has none. Memory is the caller's. */
static char *class_of(const struct ns_tree *t, const struct ns_entry *e, const char *path, int splits, size_t split)
{
	size_t n = e->type == NS_ENTRY_EMPTY ? strcspn(path + split, "/") : first_folder(path + split);
	const char *said = is_item(e) ? ns_tree_said(t, e->path) : NULL;

	if (is_item(e) && t->boxed && !t->said)
		return strdup("");
	if (is_item(e) && t->said) /* one whose .cls is missing has no class, and not its folder's name */
		return strdup(said ? said : "");
	/* an empty folder is a class only where it lies at a class's place */
	if (e->type == NS_ENTRY_EMPTY && (path[split + n] || (splits && !split)))
		n = 0;
	return strndup(path + split, n && is_item(e) ? n - 1 : n);
}

/* Classes that are called as splits are: few mean that. */
static enum ns_status doubt(struct ns_source *s)
{
	char said[256];
	int i;

	for (i = 0; i < s->class_count; i++)
		if (split_name(s->classes[i], strlen(s->classes[i]) + 1)) {
			snprintf(said, sizeof said, "a class is called '%.60s', as splits are; first folders are splits where all are called so",
				 s->classes[i]);
			return ns_source_note(s, said);
		}
	return NS_OK;
}

/* Where images are labelled by their objects, a folder of nothing but images means nothing. */
static enum ns_status mean(struct ns_tree *t)
{
	char path[NS_PATH_MAX];
	int64_t i;

	for (i = 0; i < t->count && t->boxed; i++) {
		ns_tree_drop_aside(path, t->entries[i].path, ns_tree_image_folders);
		t->entries[i].meant = strdup(path);
		if (!t->entries[i].meant)
			return ns_fail(NS_NO_MEMORY, "out of memory for a file's name");
	}
	return NS_OK;
}

enum ns_status ns_tree_plan(struct ns_tree *t, struct ns_source *s)
{
	size_t skip, split;
	const char *around = "";
	char **names;
	int64_t i;
	enum ns_status status;
	int splits, given = s->class_count > 0;

	NS_TRY(ns_tree_gather(t, s));
	NS_TRY(sift(t, s));
	NS_TRY(mean(t));
	skip = t->archive ? wrapper(t, &around) : 0;
	splits = has_splits(t, around, skip);
	names = calloc((size_t)t->count + 1, sizeof *names);
	if (!names)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for class names", s->path);
	for (i = 0; i < t->count; i++) {
		struct ns_entry *e = &t->entries[i];
		const char *path = below(e, around, skip);

		split = splits ? first_folder(path) : 0;
		split = split && (e->type == NS_ENTRY_EMPTY || split_name(path, split)) ? split : 0;
		if (split && is_item(e))
			e->split = ns_source_split(s, path, split - 1);
		names[i] = splits && !split && is_item(e) ? strdup("") : class_of(t, e, path, splits, split);
	}
	status = label_all(t, s, names);
	for (i = 0; i < t->count; i++)
		free(names[i]);
	free(names);
	if (status == NS_OK && !given && !splits)
		status = doubt(s);
	if (status == NS_OK && ns_tree_annotations_cut(t))
		status = ns_source_note(s, "has more than 1 GiB of annotations; the later ones are left out");
	return status == NS_OK ? drop_folders(t, s) : status;
}
