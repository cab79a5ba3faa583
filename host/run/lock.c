/* host/run/lock.c - what an output directory is called, with links followed, and the lock beside it. */
#define _GNU_SOURCE
#include "host/run/outdir_inner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- names --- */

/* where `out` leads to: itself, unless it is a symbolic link */
enum ns_status ns_outdir_follow(char to[NS_PATH_MAX], const char *out)
{
	char real[PATH_MAX];
	struct stat st;

	NS_TRY(ns_path(to, "%s", out));
	while (strlen(to) > 1 && to[strlen(to) - 1] == '/')
		to[strlen(to) - 1] = 0;
	if (lstat(to, &st)) /* whoever makes it later reports the error */
		return NS_OK;
	if (!S_ISLNK(st.st_mode))
		return NS_OK;
	if (!realpath(to, real))
		return ns_fail(NS_IO, "%s: --out is a symbolic link that leads nowhere: %s", to, strerror(errno));
	return ns_path(to, "%s", real);
}

/* Refuses "." and "..", which are no names of their own: OUT.partial and OUT.lock are named after OUT, and lie beside it. */
static enum ns_status check_name(const char *out, const char *verb)
{
	const char *name = strrchr(out, '/') ? strrchr(out, '/') + 1 : out;

	if (!*out)
		return ns_fail(NS_USAGE, "%s: --out is empty", verb);
	if (!strcmp(name, ".") || !strcmp(name, "..") || !*name)
		return ns_fail(NS_USAGE, "%s: --out %s: expected a folder's own name, as work goes on beside it", verb, out);
	return NS_OK;
}

enum ns_status ns_outdir_set_names(struct ns_outdir *p, const char *out, const char *verb)
{
	p->fd = -1;
	*p->warning = 0;
	if (!*out)
		return ns_fail(NS_USAGE, "%s: --out is empty", verb);
	NS_TRY(ns_outdir_follow(p->out, out));
	NS_TRY(check_name(p->out, verb));
	NS_TRY(ns_path(p->partial, "%.4080s.partial", p->out));
	NS_TRY(ns_path(p->lock, "%.4080s.lock", p->out));
	return strlen(p->out) > 4080 ? ns_fail(NS_USAGE, "%s: --out %.60s...: its path is too long", verb, p->out) : NS_OK;
}

/* --- the lock --- */

/* The file may have been unlinked by its last owner between open and lock: then that lock protects nothing. */
static enum ns_status still_there(int fd, const char *path, int *is)
{
	struct stat mine, named;

	if (fstat(fd, &mine))
		return ns_io_error(path, "cannot stat");
	*is = lstat(path, &named) == 0;
	if (!*is && errno != ENOENT) /* any other error would make the caller try for ever */
		return ns_io_error(path, "cannot stat");
	*is = *is && mine.st_ino == named.st_ino && mine.st_dev == named.st_dev;
	return NS_OK;
}

static enum ns_status taken(const struct ns_outdir *p, int fd)
{
	char who[128] = "";
	ssize_t n = pread(fd, who, sizeof who - 1, 0);

	who[n > 0 ? n : 0] = 0;
	who[strcspn(who, "\n")] = 0;
	return ns_fail(NS_IO, "%s: another run works there (%s)", p->out, *who ? who : "it has just begun");
}

/* Makes or opens the lock's file: links are not followed, pipes not waited for, and nothing is truncated before it is locked. */
static enum ns_status open_lock(const char *path, int *fd)
{
	struct stat st;

	NS_AGAIN(*fd, open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0666));
	if (*fd < 0)
		return ns_io_error(path, "cannot open the lock of this --out; its owner may remove it");
	if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode))
		return NS_OK;
	close(*fd);
	return ns_fail(NS_IO, "%s: is not a regular file, and so not a lock", path);
}

static enum ns_status lock_once(struct ns_outdir *p, int fd, int *locked)
{
	int bad, code;

	NS_AGAIN(bad, flock(fd, LOCK_EX | LOCK_NB));
	code = bad ? errno : 0;
	if (code == EWOULDBLOCK)
		return taken(p, fd);
	if (code && !getenv("NS_UNLOCKED"))
		return ns_fail(NS_IO,
			       "%s: cannot be locked: %s; mount the file system with locks (Lustre: -o flock), or set NS_UNLOCKED=1 where "
			       "never two runs write to one --out",
			       p->lock, strerror(code));
	*locked = 1;
	return code ? NS_OK : still_there(fd, p->lock, locked);
}

static enum ns_status sign(int fd, const char *path, const char *verb)
{
	char who[128], host[64] = "?";
	int bad;

	gethostname(host, sizeof host - 1);
	snprintf(who, sizeof who, "%s, process %ld on %.50s\n", verb, (long)getpid(), host);
	NS_AGAIN(bad, ftruncate(fd, 0));
	return bad ? ns_io_error(path, "cannot write") : ns_write_at(fd, path, who, strlen(who), 0);
}

enum ns_status ns_outdir_lock(struct ns_outdir *p, const char *out, const char *verb)
{
	char parent[NS_PATH_MAX];
	enum ns_status status;
	int fd, locked = 0;

	NS_TRY(ns_outdir_set_names(p, out, verb));
	NS_TRY(ns_path_parent(parent, p->out));
	NS_TRY(ns_mkdirs(parent));
	while (!locked) {
		NS_TRY(open_lock(p->lock, &fd));
		status = lock_once(p, fd, &locked);
		if (status == NS_OK && locked)
			status = sign(fd, p->lock, verb);
		if (status != NS_OK || !locked)
			close(fd);
		NS_TRY(status);
	}
	p->fd = fd;
	return NS_OK;
}
