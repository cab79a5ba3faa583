#define _GNU_SOURCE
#include "host/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum ns_status ns_path(char path[NS_PATH_MAX], const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(path, NS_PATH_MAX, format, args);
	va_end(args);
	return n >= 0 && n < NS_PATH_MAX ? NS_OK : ns_fail(NS_INVALID, "%.60s...: path is too long", path);
}

enum ns_status ns_path_parent(char parent[NS_PATH_MAX], const char *path)
{
	char *slash;

	NS_TRY(ns_path(parent, "%s", path));
	slash = strrchr(parent, '/');
	if (slash)
		slash[slash == parent] = 0;
	else
		strcpy(parent, ".");
	return NS_OK;
}

enum ns_status ns_io_error(const char *path, const char *what)
{
	return ns_fail(errno == ENOMEM ? NS_NO_MEMORY : NS_IO, "%s: %s: %s", path, what, strerror(errno));
}

/* *kind: the type bits of its mode, 0 where nothing is there */
static enum ns_status kind_of(const char *path, int (*look)(const char *, struct stat *), mode_t *kind)
{
	struct stat st;

	*kind = 0;
	if (look(path, &st) == 0)
		*kind = st.st_mode & S_IFMT;
	else if (errno != ENOENT && errno != ENOTDIR)
		return ns_io_error(path, "cannot stat");
	return NS_OK;
}

enum ns_status ns_exists(const char *path, int *is)
{
	mode_t kind;

	NS_TRY(kind_of(path, lstat, &kind));
	*is = kind != 0;
	return NS_OK;
}

enum ns_status ns_is_file(const char *path, int *is)
{
	mode_t kind;

	NS_TRY(kind_of(path, stat, &kind));
	*is = kind == S_IFREG;
	return NS_OK;
}

enum ns_status ns_is_dir(const char *path, int *is)
{
	mode_t kind;

	NS_TRY(kind_of(path, stat, &kind));
	*is = kind == S_IFDIR;
	return NS_OK;
}

int ns_errno_is_data(int code)
{
	return code == ENOENT || code == ENOTDIR || code == EISDIR || code == EACCES || code == ELOOP || code == ENAMETOOLONG || code == ENXIO ||
	       code == ENODEV;
}

/* NS_BAD_DATA where it cannot be read because of what it is, NS_IO where the disk or the process fails */
static enum ns_status open_regular(int *fd, const char *path, int flags)
{
	struct stat st;

	NS_AGAIN(*fd, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags));
	if (*fd < 0) {
		enum ns_status status = ns_io_error(path, "cannot open");

		return ns_errno_is_data(errno) ? NS_BAD_DATA : status;
	}
	if (fstat(*fd, &st)) {
		enum ns_status status = ns_io_error(path, "cannot stat");

		close(*fd);
		return status;
	}
	if (!S_ISREG(st.st_mode)) {
		close(*fd);
		return ns_fail(NS_BAD_DATA, "%s: is %s, and no regular file", path,
			       S_ISDIR(st.st_mode)    ? "a folder"
			       : S_ISFIFO(st.st_mode) ? "a named pipe"
			       : S_ISSOCK(st.st_mode) ? "a socket"
						      : "a device");
	}
	return NS_OK;
}

enum ns_status ns_open(int *fd, const char *path, int below)
{
	enum ns_status status = open_regular(fd, path, below ? O_NOFOLLOW : 0);

	return status == NS_BAD_DATA ? NS_IO : status;
}

enum ns_status ns_rename(const char *from, const char *to)
{
	return rename(from, to) ? ns_io_error(to, "cannot rename to it") : NS_OK;
}

enum ns_status ns_remove_file(const char *path)
{
	return unlink(path) && errno != ENOENT ? ns_io_error(path, "cannot remove") : NS_OK;
}

enum ns_status ns_sync_file(const char *path)
{
	enum ns_status status;
	int fd, code;

	NS_TRY(ns_open(&fd, path, 0));
	NS_AGAIN(code, fsync(fd));
	status = code ? ns_io_error(path, "cannot flush") : NS_OK;
	close(fd);
	return status;
}

enum ns_status ns_write_at(int fd, const char *path, const void *data, size_t bytes, uint64_t offset)
{
	const char *p = data;

	while (bytes) {
		ssize_t n = pwrite(fd, p, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ns_io_error(path, "cannot write");
		p += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return NS_OK;
}

enum ns_status ns_read_at(int fd, const char *path, void *data, size_t bytes, uint64_t offset)
{
	char *p = data;

	while (bytes) {
		ssize_t n = pread(fd, p, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ns_io_error(path, "cannot read");
		if (n == 0)
			return ns_fail(NS_BAD_DATA, "%s: ends at byte %llu, %zu more were expected", path, (unsigned long long)offset, bytes);
		p += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return NS_OK;
}

static enum ns_status read_stat(int fd, const char *path, const struct stat *st, size_t most, char **data, size_t *bytes)
{
	enum ns_status status;

	*bytes = (size_t)st->st_size < most ? (size_t)st->st_size : most;
	*data = malloc(*bytes + 1);
	if (!*data)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its %zu bytes", path, *bytes);
	(*data)[*bytes] = 0;
	status = ns_read_at(fd, path, *data, *bytes, 0);
	if (status != NS_OK) {
		free(*data);
		*data = NULL;
	}
	return status;
}

#define ITEM_MOST ((off_t)1 << 30) /* no image is larger; what is, is a film among the images */

enum ns_status ns_read_item(const char *path, size_t most, char **data, size_t *bytes, size_t *left, int64_t *mtime)
{
	enum ns_status status;
	struct stat st;
	int fd;

	*data = NULL;
	NS_TRY(open_regular(&fd, path, 0));
	if (fstat(fd, &st))
		status = ns_io_error(path, "cannot stat");
	else if (st.st_size > ITEM_MOST)
		status = ns_fail(NS_BAD_DATA, "%s: has %lld bytes; at most %lld are taken", path, (long long)st.st_size, (long long)ITEM_MOST);
	else
		status = read_stat(fd, path, &st, most, data, bytes);
	close(fd);
	if (status == NS_OK && left)
		*left = (size_t)st.st_size - *bytes;
	if (status == NS_OK && mtime)
		*mtime = (int64_t)st.st_mtime;
	return status;
}

enum ns_status ns_read_file(const char *path, char **data, size_t *bytes)
{
	enum ns_status status;
	struct stat st;
	int fd;

	*data = NULL;
	NS_TRY(ns_open(&fd, path, 0));
	status = fstat(fd, &st) ? ns_io_error(path, "cannot stat") : read_stat(fd, path, &st, SIZE_MAX, data, bytes);
	close(fd);
	return status;
}

uint64_t ns_xxh3(const void *data, size_t bytes)
{
	return XXH3_64bits(data, bytes);
}
