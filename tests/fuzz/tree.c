/*
 * tests/fuzz/tree.c - a text whose lines are files' names, as a folder, a tar and a zip: all three mean the same (docs/ingest.md). A name that
 * ends in '/' is an empty folder, in '@' a link to the folder it lies in; behind a tab comes what a file holds, in which \n, \r and \0 are those bytes.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/source/tree_inner.h"
#include "host/base/base.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sources.h"
#include "tests/fuzz/watch.h"

enum { FILES_MOST = 24, NAME_MOST = 99, HOLDS_MOST = 400, ARCHIVE_MOST = 1 << 16 };

struct file {
	char name[NAME_MOST + 1], holds[HOLDS_MOST];
	size_t bytes;
};

struct tree {
	struct file file[FILES_MOST];
	int count, links; /* links: there is one, so that an archive would mean something else */
};

/* A name without "", "." and "..", so that it stays below its folder; 0: nothing is left, or it is too long. */
static int clean(const char *from, size_t n, char name[NAME_MOST + 1])
{
	size_t at = 0, part;

	for (; n; from += part, n -= part) {
		const char *slash = memchr(from, '/', n);

		part = slash ? (size_t)(slash - from) + 1 : n;
		if (at + part > NAME_MOST)
			return 0;
		if (*from == '/' || (part == 2 && !memcmp(from, "./", 2)) || (part == 3 && !memcmp(from, "../", 3)) ||
		    (part == n && !slash && *from == '.' && (n == 1 || (n == 2 && from[1] == '.'))))
			continue;
		memcpy(name + at, from, part);
		at += part;
	}
	name[at] = 0;
	return at > 0 && strlen(name) == at;
}

static void take_line(struct tree *t, const char *line, size_t n)
{
	struct file *f = &t->file[t->count];
	const char *tab = memchr(line, '\t', n), *from = tab ? tab + 1 : line + n, *end = line + n;

	if (!clean(line, tab ? (size_t)(tab - line) : n, f->name))
		return;
	for (f->bytes = 0; from < end && f->bytes < HOLDS_MOST; from++) {
		const char *known = *from == '\\' && from + 1 < end ? strchr("nr0", from[1]) : NULL;

		f->holds[f->bytes++] = !known || !*known ? *from : *known == 'n' ? '\n' : *known == 'r' ? '\r' : 0;
		from += known && *known;
	}
	if (f->name[strlen(f->name) - 1] == '/') /* a folder holds no bytes */
		f->bytes = 0;
	t->count++;
}

/* Puts the file on disk; 0: it cannot be there beside those that are. */
static int put(const struct file *f)
{
	char path[NS_PATH_MAX], *slash;
	struct stat st;
	size_t n;
	FILE *out;

	if (ns_path(path, "%s", fuzz_path("x")) != NS_OK || ns_path(path, "%s/%s", fuzz_path("x"), f->name) != NS_OK)
		return 0;
	n = strlen(path);
	slash = strrchr(path, '/');
	if (path[n - 1] == '/')
		return ns_mkdirs(path) == NS_OK;
	*slash = 0;
	if (lstat(path, &st) && ns_mkdirs(path) != NS_OK)
		return 0;
	*slash = '/';
	if (!lstat(path, &st))
		return 0;
	if (path[n - 1] == '@')
		return !symlink(".", path);
	out = fopen(path, "wbx");
	if (!out || fwrite(f->holds, 1, f->bytes, out) != f->bytes)
		return out && fclose(out);
	return !fclose(out);
}

static void take_all(struct tree *t, const uint8_t *data, size_t size)
{
	int i, k = 0;

	for (t->count = t->links = 0; size && t->count < FILES_MOST;) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) : size;

		take_line(t, (const char *)data, n);
		n += end != NULL;
		data += n;
		size -= n;
	}
	for (i = 0; i < t->count; i++)
		if (put(&t->file[i])) {
			t->file[k++] = t->file[i];
			t->links |= t->file[i].name[strlen(t->file[i].name) - 1] == '@';
		}
	t->count = k;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

/* an item, as it is compared */
struct meaning {
	char name[512], text[1200]; /* text: its class and split, or why it is refused */
};

static int by_meaning(const void *a, const void *b)
{
	return strcmp(((const struct meaning *)a)->name, ((const struct meaning *)b)->name);
}

/* All items, by their names; those of an archive are read once, in their order. */
static void read_all(struct ns_source *s, struct meaning all[FILES_MOST])
{
	struct ns_item item;
	int64_t i;

	for (i = 0; i < s->items; i++) {
		enum ns_status status = ns_source_get(s, i, &item);
		const char *name = item.label < 0 || status != NS_OK ? "" : s->classes[item.label];

		snprintf(all[i].name, sizeof all[i].name, "%s", item.name);
		snprintf(all[i].text, sizeof all[i].text, "class '%s', split '%s': %s", name, s->split_of ? s->splits[s->split_of[i]] : "",
			 status != NS_OK ? ns_message() : "is taken");
	}
	qsort(all, (size_t)s->items, sizeof *all, by_meaning);
}

/* The same items, of the same classes and splits. */
static void compare(const struct ns_source *a, const struct meaning *of, const char *archive, const json_t *classes)
{
	static struct meaning other[FILES_MOST];
	struct ns_source b;
	int64_t i;
	int n;

	if (ns_source_open(&b, archive, classes) != NS_OK)
		fuzz_found("%s: is refused, and the folder was not", ns_message());
	if (a->items != b.items || a->class_count != b.class_count || a->split_count != b.split_count)
		fuzz_found("%s: %lld items, %d classes, %d splits, and in the folder %lld, %d, %d", archive, (long long)b.items, b.class_count,
			   b.split_count, (long long)a->items, a->class_count, a->split_count);
	for (n = 0; n < a->class_count; n++)
		if (strcmp(a->classes[n], b.classes[n]))
			fuzz_found("%s: class %d is '%s', and in the folder '%s'", archive, n, b.classes[n], a->classes[n]);
	read_all(&b, other);
	for (i = 0; i < a->items; i++)
		if (strcmp(of[i].name, other[i].name) || strcmp(of[i].text, other[i].text))
			fuzz_found("%s: %s is %s, and in the folder %s is %s", archive, other[i].name, other[i].text, of[i].name, of[i].text);
	ns_source_close(&b);
}

/*
 * Does a tar or a zip of these names mean something else? Links are not followed in them, names that are not UTF-8 each kind refuses in its own
 * way, and a zip of Windows has '\\' for '/'.
 */
static int differs(const struct tree *t)
{
	int i, other = t->links;

	for (i = 0; i < t->count && !other; i++) {
		json_t *text = json_string(t->file[i].name);

		other = !text || strchr(t->file[i].name, '\\');
		json_decref(text);
	}
	return other;
}

/*
 * Do all items that lie in a folder lie in one? In an archive it may be one around everything, where in a folder it is a class. Where some are called
 * as images are, those say so.
 */
static int is_wrapped(const struct meaning *all, int64_t n)
{
	const char *first = NULL;
	int named = 0;
	int64_t i;

	for (i = 0; i < n; i++)
		named |= ns_is_image_name(all[i].name);
	for (i = 0; i < n; i++) {
		const char *slash = strchr(all[i].name, '/');

		if (!slash || (named && !ns_is_image_name(all[i].name)))
			continue;
		if (first && strncmp(first, all[i].name, (size_t)(strchr(first, '/') - first) + 1))
			return 0;
		first = all[i].name;
	}
	return first != NULL;
}

/* Every name is an item, or passed over: none is lost, whatever it looks like. */
static void plan(const struct tree *t, int archive, const char *path)
{
	struct ns_tree tree = {.archive = archive};
	struct ns_source s = {.path = (char *)(uintptr_t)path, .passed = json_array()};
	int i;

	for (i = 0; i < t->count; i++)
		if (ns_tree_add(&tree, t->file[i].name, i,
				i % 5 == 4   ? NS_ENTRY_EMPTY
				: i % 7 == 6 ? NS_ENTRY_PASSED
					     : NS_ENTRY_FILE,
				i % 7 == 6 ? "x" : NULL) != NS_OK)
			fuzz_found("%s", ns_message());
	if (ns_tree_plan(&tree, &s) != NS_OK)
		fuzz_check_message(0);
	else if (s.items + (int64_t)json_array_size(s.passed) != t->count)
		fuzz_found("of %d names %lld are items and %zu are passed over", t->count, (long long)s.items, json_array_size(s.passed));
	ns_tree_release(&tree);
	s.path = NULL;
	ns_source_close(&s);
}

/* The same names as a tar and as a zip; 0: one has no room for them. */
static int pack(struct tree *t, struct fuzz_bytes *tar, struct fuzz_bytes *zip)
{
	int i;

	qsort(t->file, (size_t)t->count, sizeof *t->file, by_name);
	for (i = 0; i < t->count; i++) {
		const struct file *f = &t->file[i];

		if (!fuzz_add_tar(tar, f->name, f->holds, f->bytes) || !fuzz_add_zip(zip, f->name, f->holds, f->bytes))
			return 0;
	}
	return fuzz_replace(tar, tar->size, 0, NULL, 1024) && fuzz_end_zip(zip);
}

void fuzz_tree(const uint8_t *data, size_t size)
{
	static struct tree t;
	static struct meaning all[FILES_MOST];
	static uint8_t bytes[2][ARCHIVE_MOST];
	struct fuzz_bytes tar = {bytes[0], 0, ARCHIVE_MOST, 0}, zip = {bytes[1], 0, ARCHIVE_MOST, 0};
	json_t *classes = size % 2 ? json_pack("[s, s]", "a", "b") : NULL;
	struct ns_source s;

	fuzz_folder();
	if (ns_mkdirs(fuzz_path("x")) != NS_OK)
		return;
	take_all(&t, data, size);
	plan(&t, 0, "x");
	plan(&t, 1, "x");
	if (t.count && fuzz_source(fuzz_path("x"), classes) && !differs(&t) && pack(&t, &tar, &zip)) {
		if (ns_source_open(&s, fuzz_path("x"), classes) != NS_OK)
			fuzz_found("%s: was taken, and now is not", ns_message());
		read_all(&s, all);
		if (!is_wrapped(all, s.items)) {
			compare(&s, all, fuzz_file("x.tar", tar.data, tar.size), classes);
			compare(&s, all, fuzz_file("x.zip", zip.data, zip.size), classes);
		}
		ns_source_close(&s);
	}
	json_decref(classes);
}
