/*
 * datasets/source/files.c - image files on disk: a folder of class folders, or a list (.txt: a path a line, and
 * after a tab its class). Paths in a list are relative to it. Order: sorted by path, or as listed.
 */
#define _XOPEN_SOURCE 700
#include "datasets/source/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/base.h"

struct files {
	char **paths;	/* relative to base */
	char **classes; /* class name of each, "" where there is none */
	int64_t count, capacity;
	char base[NS_PATH_MAX];
	char *data;
};

static enum ns_status add(struct files *f, const char *path, const char *class_name)
{
	if (f->count == f->capacity) {
		int64_t capacity = f->capacity ? 2 * f->capacity : 1024;
		char **paths = realloc(f->paths, sizeof *paths * (size_t)capacity), **classes;

		if (paths)
			f->paths = paths;
		classes = realloc(f->classes, sizeof *classes * (size_t)capacity);
		if (classes)
			f->classes = classes;
		if (!paths || !classes)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for its list of files", f->base);
		f->capacity = capacity;
	}
	f->paths[f->count] = strdup(path);
	f->classes[f->count] = strdup(class_name);
	f->count++;
	return NS_OK;
}

static enum ns_status scan(struct files *f, const char *folder);

/* A file, or a folder of classes one level down; a dangling link is kept as a file that cannot be read. */
static enum ns_status scan_one(struct files *f, const char *folder, const char *name)
{
	char relative[NS_PATH_MAX], full[NS_PATH_MAX];
	struct stat st;
	int bad;

	NS_TRY(ns_path(relative, "%s%s%s", folder, *folder ? "/" : "", name));
	NS_TRY(ns_path(full, "%s/%s", f->base, relative));
	bad = stat(full, &st);
	if (bad && !ns_errno_is_data(errno)) /* it may be a folder of a thousand images, which must not be dropped */
		return ns_io_error(full, "cannot stat");
	if (bad || !S_ISDIR(st.st_mode))
		return add(f, relative, folder);
	return *folder ? NS_OK : scan(f, name);
}

/* files directly in base/folder; class folders one level down where folder is "" */
static enum ns_status scan(struct files *f, const char *folder)
{
	char path[NS_PATH_MAX];
	struct ns_names names;
	enum ns_status status;
	size_t i;

	NS_TRY(ns_path(path, "%s/%s", f->base, folder));
	NS_TRY(ns_list(path, &names));
	for (status = NS_OK, i = 0; i < names.count && status == NS_OK; i++)
		if (names.name[i][0] != '.')
			status = scan_one(f, folder, names.name[i]);
	ns_names_release(&names);
	return status;
}

static void files_close(struct ns_source *s)
{
	struct files *f = s->state;
	int64_t i;

	for (i = 0; i < f->count; i++) {
		free(f->paths[i]);
		free(f->classes[i]);
	}
	free(f->paths);
	free(f->classes);
	free(f->data);
	free(f);
}

static enum ns_status finish(struct ns_source *s, struct files *f)
{
	s->items = f->count;
	return ns_source_found_classes(s, (const char *const *)f->classes, f->count);
}

static enum ns_status folder_takes(const char *path, int *takes)
{
	return ns_is_dir(path, takes);
}

static enum ns_status folder_open(struct ns_source *s)
{
	struct files *f = s->state = calloc(1, sizeof *f);

	if (!f)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	NS_TRY(ns_path(f->base, "%s", s->path));
	NS_TRY(scan(f, ""));
	return finish(s, f);
}

static enum ns_status list_takes(const char *path, int *takes)
{
	size_t n = strlen(path);

	NS_TRY(ns_is_dir(path, takes));
	*takes = !*takes && n > 4 && !strcmp(path + n - 4, ".txt");
	return NS_OK;
}

static enum ns_status list_open(struct ns_source *s)
{
	struct files *f = s->state = calloc(1, sizeof *f);
	enum ns_status status = NS_OK;
	char *text, *line, *next, *slash;
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
	for (line = text; line && *line && status == NS_OK; line = next) {
		char *tab;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		line[strcspn(line, "\r")] = 0;
		tab = strchr(line, '\t');
		if (tab)
			*tab++ = 0;
		if (*line)
			status = add(f, line, tab ? tab : "");
	}
	free(text);
	return status == NS_OK ? finish(s, f) : status;
}

static enum ns_status files_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct files *f = s->state;
	char path[NS_PATH_MAX];
	enum ns_status status;

	snprintf(out->name, sizeof out->name, "%.511s", f->paths[item]);
	snprintf(out->class_name, sizeof out->class_name, "%.127s", f->classes[item]);
	out->label = ns_source_label(s, f->classes[item]);
	if (f->paths[item][0] == '/')
		status = ns_path(path, "%s", f->paths[item]);
	else
		status = ns_path(path, "%s/%s", f->base, f->paths[item]);
	free(f->data);
	f->data = NULL;
	if (status == NS_OK) /* a file that is missing, or is not a regular file, is one bad item; a failing disk ends the job */
		status = ns_read_item(path, &f->data, &out->bytes, &out->time);
	out->data = (const uint8_t *)f->data;
	return status == NS_INVALID ? NS_BAD_DATA : status; /* a path that is too long */
}

const struct ns_source_kind ns_source_folder = {"folder", folder_takes, folder_open, files_get, files_close};
const struct ns_source_kind ns_source_list = {"list", list_takes, list_open, files_get, files_close};
