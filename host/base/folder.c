#define _GNU_SOURCE
#include "host/base/base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- listing --- */

void ns_names_release(struct ns_names *names)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		free(names->name[i]);
	free(names->name);
	memset(names, 0, sizeof *names);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum ns_status add(struct ns_names *names, size_t *capacity, const char *name, const char *folder)
{
	if (names->count == *capacity) {
		size_t more = *capacity ? 2 * *capacity : 64;
		char **grown = realloc(names->name, more * sizeof *grown);

		if (!grown)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for the names in it", folder);
		names->name = grown;
		*capacity = more;
	}
	names->name[names->count] = strdup(name);
	if (!names->name[names->count])
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for the names in it", folder);
	names->count++;
	return NS_OK;
}

static enum ns_status list(DIR *dir, const char *folder, struct ns_names *names)
{
	enum ns_status status = NS_OK;
	struct dirent *e;
	size_t capacity = 0;

	for (errno = 0; status == NS_OK && (e = readdir(dir)); errno = 0)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			status = add(names, &capacity, e->d_name, folder);
	if (status == NS_OK && errno) /* readdir() gives NULL at the end and on an error */
		status = ns_io_error(folder, "cannot list the folder to its end");
	if (status != NS_OK)
		ns_names_release(names);
	else if (names->count)
		qsort(names->name, names->count, sizeof *names->name, by_bytes);
	return status;
}

static enum ns_status list_folder(const char *folder, struct ns_names *names, int if_there)
{
	DIR *dir;
	enum ns_status status;

	do
		dir = opendir(folder);
	while (!dir && errno == EINTR);
	memset(names, 0, sizeof *names);
	if (!dir && if_there && errno == ENOENT)
		return NS_OK;
	if (!dir)
		return ns_io_error(folder, "cannot list the folder");
	status = list(dir, folder, names);
	closedir(dir);
	return status;
}

enum ns_status ns_list(const char *folder, struct ns_names *names)
{
	return list_folder(folder, names, 0);
}

enum ns_status ns_list_if_there(const char *folder, struct ns_names *names)
{
	return list_folder(folder, names, 1);
}

/* --- making and flushing --- */

/* *made: whether it was not there before; then it is flushed into the one that holds it */
static enum ns_status make_one(const char *path, int *made)
{
	int is;

	*made = mkdir(path, 0777) == 0;
	if (*made)
		return ns_sync_parent(path);
	if (errno != EEXIST)
		return ns_io_error(path, "cannot make the folder");
	NS_TRY(ns_is_dir(path, &is));
	return is ? NS_OK : ns_fail(NS_IO, "%s: cannot make the folder: a file is there", path);
}

enum ns_status ns_mkdirs(const char *path)
{
	char part[NS_PATH_MAX], there[NS_PATH_MAX] = "";
	char *p;
	int made;

	NS_TRY(ns_path(part, "%s", path));
	for (p = part + strlen(part); p > part + 1 && p[-1] == '/'; p--)
		p[-1] = 0;
	for (p = part + 1; *p; p++)
		if (*p == '/' && p[-1] != '/') {
			*p = 0;
			NS_TRY(make_one(part, &made));
			if (!made)
				strcpy(there, part);
			*p = '/';
		}
	NS_TRY(make_one(part, &made));
	if (!made)
		strcpy(there, part);
	/* who made the last of those that were there may have been killed before it was flushed */
	return !*there || !strcmp(there, "/") ? NS_OK : ns_sync_parent(there);
}

enum ns_status ns_sync_parent(const char *path)
{
	char parent[NS_PATH_MAX];

	NS_TRY(ns_path_parent(parent, path));
	return ns_sync_dir(parent);
}

enum ns_status ns_sync_dir(const char *path)
{
	int fd, bad, code;

	NS_AGAIN(fd, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	/* a folder that may be written to but not listed (0333) cannot be opened, nor flushed */
	if (fd < 0)
		return errno == EACCES ? NS_OK : ns_io_error(path, "cannot open the folder");
	NS_AGAIN(bad, fsync(fd));
	code = bad ? errno : 0; /* some file systems cannot flush a folder, and report it */
	close(fd);
	errno = code;
	return code && code != EINVAL && code != EROFS && code != ENOTSUP ? ns_io_error(path, "cannot flush the folder") : NS_OK;
}

static enum ns_status sync_one(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return ns_io_error(path, "cannot stat");
	return S_ISDIR(st.st_mode) ? ns_sync_tree(path) : NS_OK;
}

enum ns_status ns_sync_tree(const char *path)
{
	struct ns_names names;
	char below[NS_PATH_MAX];
	enum ns_status status;
	size_t i;

	NS_TRY(ns_list(path, &names));
	for (status = NS_OK, i = 0; i < names.count && status == NS_OK; i++) {
		status = ns_path(below, "%s/%s", path, names.name[i]);
		if (status == NS_OK)
			status = sync_one(below);
	}
	ns_names_release(&names);
	return status == NS_OK ? ns_sync_dir(path) : status;
}

/* --- removing --- */

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *ftw)
{
	(void)s;
	(void)type;
	(void)ftw;
	return remove(path) && errno != ENOENT;
}

enum ns_status ns_remove_tree(const char *path)
{
	int is;

	NS_TRY(ns_exists(path, &is));
	/* what nftw() could not list is still there when the folder itself is removed, which then fails */
	return is && nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) ? ns_io_error(path, "cannot remove") : NS_OK;
}

int ns_is_temporary(const char *name)
{
	size_t n = strlen(name);

	/* ".0123456789abcdef.tmp" */
	return n > 21 && !strcmp(name + n - 4, ".tmp") && name[n - 21] == '.' && strspn(name + n - 20, "0123456789abcdef") == 16;
}

enum ns_status ns_sweep_temporary(const char *folder)
{
	char path[NS_PATH_MAX];
	struct ns_names names;
	enum ns_status status;
	size_t i;

	NS_TRY(ns_list(folder, &names));
	for (status = NS_OK, i = 0; i < names.count && status == NS_OK; i++)
		if (ns_is_temporary(names.name[i]) && (status = ns_path(path, "%s/%s", folder, names.name[i])) == NS_OK)
			status = ns_remove_file(path);
	ns_names_release(&names);
	return status;
}
