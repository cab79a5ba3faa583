/* datasets/source/files.c - a folder of images, with all that lies below it, in the order of their paths. */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "datasets/source/files_inner.h"
#include "host/base/base.h"

static enum ns_status scan(struct ns_files *f, const char *folder, int depth);

/* The text of a file that says something of images. */
static enum ns_status read_words(struct ns_files *f, const char *relative, const char *full)
{
	char *text;
	size_t bytes;
	enum ns_status status = ns_read_item(full, SIZE_MAX, &text, &bytes, NULL, NULL);

	if (status == NS_BAD_DATA)
		return ns_tree_words(&f->tree, relative, NULL, 0);
	NS_TRY(status);
	status = ns_tree_words(&f->tree, relative, text, bytes);
	free(text);
	return status;
}

/* A file, or a folder; a dangling link is kept as a file that cannot be read. */
static enum ns_status scan_one(struct ns_files *f, const char *folder, const char *name, int depth)
{
	char relative[NS_PATH_MAX], full[NS_PATH_MAX];
	struct stat st;
	int bad, i;

	if (ns_path(relative, "%s%s%s", folder, *folder ? "/" : "", name) != NS_OK || ns_path(full, "%s/%s", f->base, relative) != NS_OK)
		return ns_tree_add(&f->tree, folder, f->tree.count, NS_ENTRY_PASSED, "holds a name that makes its path too long");
	bad = stat(full, &st);
	if (bad && errno != EACCES && !ns_errno_is_data(errno)) /* it may be a folder of a thousand images, which must not be dropped */
		return ns_io_error(full, "cannot stat");
	if (bad || !S_ISDIR(st.st_mode)) {
		NS_TRY(ns_tree_add(&f->tree, relative, f->tree.count, NS_ENTRY_FILE, NULL));
		return !bad && S_ISREG(st.st_mode) && (size_t)st.st_size <= ns_tree_words_most(name) && ns_tree_words_most(name)
			       ? read_words(f, relative, full)
			       : NS_OK;
	}
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
static enum ns_status scan(struct ns_files *f, const char *folder, int depth)
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

void ns_files_close(struct ns_source *s)
{
	struct ns_files *f = s->state;
	int64_t i;

	for (i = 0; f->classes && i < f->tree.count; i++)
		free(f->classes[i]);
	for (i = 0; f->annotations && i < f->tree.count; i++)
		free(f->annotations[i]);
	free(f->classes);
	free(f->annotations);
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
	struct ns_files *f = s->state = calloc(1, sizeof *f);
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

enum ns_status ns_files_place(struct ns_source *s, int64_t item, struct ns_item *out, char path[NS_PATH_MAX])
{
	struct ns_files *f = s->state;
	const struct ns_entry *e = &f->tree.entries[item];

	snprintf(out->name, sizeof out->name, "%s", e->path);
	out->label = e->label;
	snprintf(out->class_name, sizeof out->class_name, "%.127s", f->classes ? f->classes[item] : e->unknown ? e->unknown : "");
	out->annotation = f->annotations ? f->annotations[item] : ns_tree_annotation(&f->tree, e->path);
	return *e->path == '/' ? ns_path(path, "%s", e->path) : ns_path(path, "%s/%s", f->base, e->path);
}

enum ns_status ns_files_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct ns_files *f = s->state;
	char path[NS_PATH_MAX];
	enum ns_status status = ns_files_place(s, item, out, path);

	free(f->data);
	f->data = NULL;
	if (status == NS_OK) /* a file that is missing, or is not a regular file, is one bad item; a failing disk ends the job */
		status = ns_read_item(path, s->most ? s->most : SIZE_MAX, &f->data, &out->bytes, &out->left, &out->time);
	out->data = (const uint8_t *)f->data;
	if (s->gives && status == NS_OK) {
		out->given = f->data;
		f->data = NULL;
	}
	return status == NS_INVALID ? NS_BAD_DATA : status; /* a path that is too long */
}

const struct ns_source_kind ns_source_folder = {"folder", folder_takes, folder_open, ns_files_get, ns_files_close, NULL, 0, ns_files_place};
