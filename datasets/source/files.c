/*
 * datasets/source/files.c - image files on disk: a folder, with all that lies below it, or a list (.txt: a path a line, and after a tab its
 * class). Paths in a list are relative to it. Order: sorted by path, or as listed.
 */
#define _XOPEN_SOURCE 700
#include "datasets/source/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

#define NS_DEPTH_MAX 64 /* folders within folders */

struct files {
	struct ns_tree tree; /* paths relative to base */
	char **classes;	     /* of a list: class name of each, "" where there is none */
	char base[NS_PATH_MAX];
	char *data;
	dev_t device[NS_DEPTH_MAX]; /* of the folders above the one that is scanned: a link to one of them is a circle */
	ino_t inode[NS_DEPTH_MAX];
};

static enum ns_status scan(struct files *f, const char *folder, int depth);

/* A file, or a folder; a dangling link is kept as a file that cannot be read. */
static enum ns_status scan_one(struct files *f, const char *folder, const char *name, int depth)
{
	char relative[NS_PATH_MAX], full[NS_PATH_MAX];
	struct stat st;
	int bad, i;

	NS_TRY(ns_path(relative, "%s%s%s", folder, *folder ? "/" : "", name));
	NS_TRY(ns_path(full, "%s/%s", f->base, relative));
	bad = stat(full, &st);
	if (bad && errno != EACCES && !ns_errno_is_data(errno)) /* it may be a folder of a thousand images, which must not be dropped */
		return ns_io_error(full, "cannot stat");
	if (bad || !S_ISDIR(st.st_mode))
		return ns_tree_add(&f->tree, relative, f->tree.count, NS_ENTRY_FILE, NULL);
	if (*name == '.' || ns_is_litter(name))
		return ns_tree_add(&f->tree, relative, f->tree.count, NS_ENTRY_PASSED, "is a folder that is hidden, or that a system leaves behind");
	for (i = 0; i < depth; i++)
		if (f->device[i] == st.st_dev && f->inode[i] == st.st_ino)
			return ns_tree_add(&f->tree, relative, f->tree.count, NS_ENTRY_PASSED, "is a link to a folder above it");
	if (depth == NS_DEPTH_MAX)
		return ns_tree_add(&f->tree, relative, f->tree.count, NS_ENTRY_PASSED, "lies too deep");
	f->device[depth] = st.st_dev;
	f->inode[depth] = st.st_ino;
	return scan(f, relative, depth + 1);
}

/* everything in base/folder, and below it */
static enum ns_status scan(struct files *f, const char *folder, int depth)
{
	char path[NS_PATH_MAX];
	struct ns_names names;
	enum ns_status status;
	size_t i;

	NS_TRY(ns_path(path, "%s%s%s", f->base, *folder ? "/" : "", folder));
	NS_TRY(ns_list(path, &names));
	status = names.count || !*folder ? NS_OK : ns_tree_add(&f->tree, folder, f->tree.count, NS_ENTRY_EMPTY, NULL);
	for (i = 0; i < names.count && status == NS_OK; i++)
		status = scan_one(f, folder, names.name[i], depth);
	ns_names_release(&names);
	return status;
}

static void files_close(struct ns_source *s)
{
	struct files *f = s->state;
	int64_t i;

	for (i = 0; f->classes && i < f->tree.count; i++)
		free(f->classes[i]);
	free(f->classes);
	ns_tree_release(&f->tree);
	free(f->data);
	free(f);
}

static enum ns_status folder_takes(const char *path, int *takes)
{
	return ns_is_dir(path, takes);
}

static enum ns_status folder_open(struct ns_source *s)
{
	struct files *f = s->state = calloc(1, sizeof *f);
	struct stat st;

	if (!f)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	NS_TRY(ns_path(f->base, "%s", s->path));
	if (stat(f->base, &st))
		return ns_io_error(f->base, "cannot stat");
	f->device[0] = st.st_dev;
	f->inode[0] = st.st_ino;
	NS_TRY(scan(f, "", 1));
	return ns_tree_plan(&f->tree, s);
}

static enum ns_status list_takes(const char *path, int *takes)
{
	size_t n = strlen(path);

	NS_TRY(ns_is_dir(path, takes));
	*takes = !*takes && n > 4 && !strcmp(path + n - 4, ".txt");
	return NS_OK;
}

static enum ns_status list_add(struct files *f, const char *path, const char *class_name, int64_t *capacity)
{
	if (f->tree.count == *capacity) {
		int64_t more = *capacity ? 2 * *capacity : 1024;
		char **classes = realloc(f->classes, sizeof *classes * (size_t)more);

		if (!classes)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for its list of files", f->base);
		f->classes = classes;
		*capacity = more;
	}
	f->classes[f->tree.count] = strdup(class_name);
	return ns_tree_add(&f->tree, path, f->tree.count, NS_ENTRY_FILE, NULL);
}

/* A list says itself what is an item, and of which class. */
static enum ns_status list_label(struct ns_source *s, struct files *f)
{
	int64_t i;

	s->items = f->tree.items = f->tree.count;
	NS_TRY(ns_source_found_classes(s, (const char *const *)f->classes, f->tree.count));
	for (i = 0; i < f->tree.count; i++)
		f->tree.entries[i].label = ns_source_label(s, f->classes[i]);
	return NS_OK;
}

static enum ns_status list_open(struct ns_source *s)
{
	struct files *f = s->state = calloc(1, sizeof *f);
	enum ns_status status = NS_OK;
	char *text, *line, *next, *slash;
	int64_t capacity = 0;
	size_t bytes;

	if (!f)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	NS_TRY(ns_path(f->base, "%s", s->path));
	slash = strrchr(f->base, '/');
	if (slash)
		*slash = 0;
	else
		strcpy(f->base, ".");
	NS_TRY(ns_read_file(s->path, &text, &bytes));
	if (memchr(text, 0, bytes))
		status = ns_fail(NS_BAD_DATA, "%s: byte %td is a zero, so it is not a list (or it is damaged)", s->path,
				 (char *)memchr(text, 0, bytes) - text);
	/* some editors begin a file with a byte order mark */
	for (line = bytes > 2 && !memcmp(text, "\xef\xbb\xbf", 3) ? text + 3 : text; line && *line && status == NS_OK; line = next) {
		char *tab;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		line[strcspn(line, "\r")] = 0;
		tab = strchr(line, '\t');
		if (tab)
			*tab++ = 0;
		if (*line)
			status = list_add(f, line, tab ? tab : "", &capacity);
	}
	free(text);
	return status == NS_OK ? list_label(s, f) : status;
}

static enum ns_status files_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct files *f = s->state;
	const struct ns_entry *e = &f->tree.entries[item];
	char path[NS_PATH_MAX];
	enum ns_status status;

	snprintf(out->name, sizeof out->name, "%.511s", e->path);
	out->label = e->label;
	snprintf(out->class_name, sizeof out->class_name, "%.127s", f->classes ? f->classes[item] : e->path);
	if (*e->path == '/')
		status = ns_path(path, "%s", e->path);
	else
		status = ns_path(path, "%s/%s", f->base, e->path);
	free(f->data);
	f->data = NULL;
	if (status == NS_OK) /* a file that is missing, or is not a regular file, is one bad item; a failing disk ends the job */
		status = ns_read_item(path, &f->data, &out->bytes, &out->time);
	out->data = (const uint8_t *)f->data;
	return status == NS_INVALID ? NS_BAD_DATA : status; /* a path that is too long */
}

const struct ns_source_kind ns_source_folder = {"folder", folder_takes, folder_open, files_get, files_close, 0};
const struct ns_source_kind ns_source_list = {"list", list_takes, list_open, files_get, files_close, 0};
