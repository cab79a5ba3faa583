/* host/base/write.c - files that appear whole or not at all: written beside, flushed, renamed or linked, their folder flushed. */
#define _GNU_SOURCE
#include "host/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* A flushed file under a name that no other process on any node has: PATH.16 random digits.tmp */
static enum ns_status write_beside(const char *path, const void *data, size_t bytes, char beside[NS_PATH_MAX])
{
	uint64_t name;
	enum ns_status status;
	int fd, code = 0;

	if (getrandom(&name, sizeof name, 0) != sizeof name)
		return ns_io_error(path, "cannot get a random name for the temporary file");
	NS_TRY(ns_path(beside, "%s.%016llx.tmp", path, (unsigned long long)name));
	NS_AGAIN(fd, open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
	if (fd < 0)
		return ns_io_error(path, "cannot write");
	status = ns_write_at(fd, path, data, bytes, 0);
	if (status == NS_OK)
		NS_AGAIN(code, fsync(fd));
	if (status == NS_OK && code)
		status = ns_io_error(path, "cannot flush");
	if (close(fd) && status == NS_OK)
		status = ns_io_error(path, "cannot close");
	if (status != NS_OK)
		unlink(beside);
	return status;
}

enum ns_status ns_link_file(const char *path, const void *data, size_t bytes, int *won)
{
	char beside[NS_PATH_MAX];
	enum ns_status status;
	struct stat st;

	NS_TRY(write_beside(path, data, bytes, beside));
	*won = link(beside, path) == 0;
	status = *won || errno == EEXIST ? NS_OK : ns_io_error(path, "cannot link");
	/* NFS may lose the reply to a link that was made: the link count tells */
	if (!*won && stat(beside, &st) == 0 && st.st_nlink == 2) {
		*won = 1;
		status = NS_OK;
	}
	unlink(beside);
	return status == NS_OK ? ns_sync_parent(path) : status;
}

enum ns_status ns_write_file(const char *path, const void *data, size_t bytes)
{
	char beside[NS_PATH_MAX];
	enum ns_status status;

	NS_TRY(write_beside(path, data, bytes, beside));
	status = ns_rename(beside, path);
	if (status != NS_OK)
		unlink(beside);
	return status == NS_OK ? ns_sync_parent(path) : status;
}
