/*
 * tests/tools/unflushed.c - preloaded into nightshift: a log of what it changes under a folder and of what it flushes, from which
 * tests/jobs/durable.py builds the disk that a power cut may leave. After LevelDB's FaultInjectionTestEnv: data that no fsync()
 * followed are lost, and so are names whose folder was not flushed after them.
 *
 *	NST_CUT_UNDER=FOLDER      what is elsewhere is let through and not logged
 *	NST_CUT_LOG=FILE          a line a change: number, operation, inode, path, second path or snapshot, with tabs between
 *	NST_CUT_SNAPSHOTS=FOLDER  what a file held when it was flushed, a file each
 *	NST_CUT=N                 the power is cut before the N-th change, from 0: the process is gone at once
 *
 * Operations: file and trunc (made, cut short), write, mkdir, link, unlink, rmdir, rename, exchange, sync and syncdir (flushed).
 * A number is a call that was tried; one that failed changed nothing and has no line. A stream (FILE) counts as written when it is
 * opened to write, and again when it is flushed or closed with something in its buffer. Anything that flushes or changes in another
 * way (syncfs, sync_file_range, copy_file_range, mmap) is not known here; the driver fails where it sees "unknown".
 */
#define _GNU_SOURCE
#include "preload.h"

#include <pthread.h>
#include <stdio_ext.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static const char *under, *log_file, *snapshots;
static long calls, cut = -1;

static void __attribute__((constructor)) begin(void)
{
	if (strcmp(program_invocation_short_name, "nightshift"))
		return;
	log_file = getenv("NST_CUT_LOG");
	snapshots = getenv("NST_CUT_SNAPSHOTS");
	cut = getenv("NST_CUT") ? atol(getenv("NST_CUT")) : -1;
	under = getenv("NST_CUT_UNDER");
}

/* From here to leave() no other thread changes anything. The number of this change; does not come back where the power is cut. */
static long enter(void)
{
	pthread_mutex_lock(&one_at_a_time);
	if (calls == cut)
		syscall(SYS_exit_group, 125);
	return calls++;
}

static void leave(void)
{
	pthread_mutex_unlock(&one_at_a_time);
}

static int ours(const char *path)
{
	return under && nst_is_under(path, under);
}

static unsigned long inode_of(const char *path)
{
	struct stat st;
	int before = errno, there = lstat(path, &st) == 0;

	errno = before;
	return there ? (unsigned long)st.st_ino : 0;
}

static void note(long n, const char *what, unsigned long inode, const char *path, const char *other)
{
	nst_line(log_file, "%ld\t%s\t%lu\t%s\t%s\n", n, what, inode, path, other);
}

#define CHANGE_FD(type, name, parameters, arguments, fd, what, fine)                                                                                 \
	type name parameters                                                                                                                         \
	{                                                                                                                                            \
		static __typeof__(&name) next;                                                                                                       \
		char path[PATH_MAX];                                                                                                                 \
		struct stat st;                                                                                                                      \
		type result;                                                                                                                         \
		long n;                                                                                                                              \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		if (!under || !ours(nst_path_of(fd, path)))                                                                                          \
			return next arguments;                                                                                                       \
		n = enter();                                                                                                                         \
		result = next arguments;                                                                                                             \
		if (fine && fstat(fd, &st) == 0)                                                                                                     \
			note(n, what, (unsigned long)st.st_ino, path, "");                                                                           \
		leave();                                                                                                                             \
		return result;                                                                                                                       \
	}

CHANGE_FD(ssize_t, write, (int fd, const void *data, size_t bytes), (fd, data, bytes), fd, "write", result > 0)
CHANGE_FD(ssize_t, pwrite, (int fd, const void *data, size_t bytes, off_t offset), (fd, data, bytes, offset), fd, "write", result > 0)
CHANGE_FD(ssize_t, pwrite64, (int fd, const void *data, size_t bytes, off64_t offset), (fd, data, bytes, offset), fd, "write", result > 0)
CHANGE_FD(int, ftruncate, (int fd, off_t size), (fd, size), fd, size ? "write" : "trunc", result == 0)
CHANGE_FD(int, ftruncate64, (int fd, off64_t size), (fd, size), fd, size ? "write" : "trunc", result == 0)
CHANGE_FD(int, syncfs, (int fd), (fd), fd, "unknown", result == 0)

/* --- names --- */

#define CHANGE_NAME(name, parameters, arguments, dir, path, what)                                                                                    \
	int name parameters                                                                                                                          \
	{                                                                                                                                            \
		static __typeof__(&name) next;                                                                                                       \
		char whole[PATH_MAX];                                                                                                                \
		int result;                                                                                                                          \
		long n;                                                                                                                              \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		if (!under || !ours(nst_path_at(dir, path, whole)))                                                                                  \
			return next arguments;                                                                                                       \
		n = enter();                                                                                                                         \
		result = next arguments;                                                                                                             \
		if (result == 0)                                                                                                                     \
			note(n, what, inode_of(whole), whole, "");                                                                                   \
		leave();                                                                                                                             \
		return result;                                                                                                                       \
	}

CHANGE_NAME(mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, "mkdir")
CHANGE_NAME(mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), dir, path, "mkdir")
CHANGE_NAME(unlink, (const char *path), (path), AT_FDCWD, path, "unlink")
CHANGE_NAME(unlinkat, (int dir, const char *path, int flags), (dir, path, flags), dir, path, "unlink")
CHANGE_NAME(remove, (const char *path), (path), AT_FDCWD, path, "unlink")
CHANGE_NAME(rmdir, (const char *path), (path), AT_FDCWD, path, "unlink")

#define CHANGE_TWO(name, parameters, arguments, from_dir, to_dir, what)                                                                              \
	int name parameters                                                                                                                          \
	{                                                                                                                                            \
		static __typeof__(&name) next;                                                                                                       \
		char a[PATH_MAX], b[PATH_MAX];                                                                                                       \
		int result;                                                                                                                          \
		long n;                                                                                                                              \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		if (!under || !ours(nst_path_at(from_dir, from, a)) || !ours(nst_path_at(to_dir, to, b)))                                            \
			return next arguments;                                                                                                       \
		n = enter();                                                                                                                         \
		result = next arguments;                                                                                                             \
		if (result == 0)                                                                                                                     \
			note(n, what, inode_of(b), a, b);                                                                                            \
		leave();                                                                                                                             \
		return result;                                                                                                                       \
	}

CHANGE_TWO(rename, (const char *from, const char *to), (from, to), AT_FDCWD, AT_FDCWD, "rename")
CHANGE_TWO(renameat, (int d, const char *from, int e, const char *to), (d, from, e, to), d, e, "rename")
CHANGE_TWO(renameat2, (int d, const char *from, int e, const char *to, unsigned flags), (d, from, e, to, flags), d, e,
	   (flags & RENAME_EXCHANGE) ? "exchange" : "rename")
CHANGE_TWO(link, (const char *from, const char *to), (from, to), AT_FDCWD, AT_FDCWD, "link")
CHANGE_TWO(linkat, (int d, const char *from, int e, const char *to, int flags), (d, from, e, to, flags), d, e, "link")

/* --- flushing --- */

/* what the file holds now, kept under the number of this call */
static int keep(int fd, long n, char copy[PATH_MAX])
{
	char name[64];
	long from, to, bytes;

	snprintf(copy, PATH_MAX, "%s/%ld", snapshots ? snapshots : "/nowhere", n);
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	from = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC);
	to = syscall(SYS_openat, AT_FDCWD, copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	do
		bytes = from < 0 || to < 0 ? -1 : syscall(SYS_sendfile, to, from, NULL, (size_t)1 << 30);
	while (bytes > 0);
	if (from >= 0)
		syscall(SYS_close, from);
	if (to >= 0)
		syscall(SYS_close, to);
	return bytes == 0;
}

static int flush(int fd, int (*next)(int))
{
	char path[PATH_MAX], copy[PATH_MAX];
	struct stat st;
	int result;
	long n;

	if (!under || !ours(nst_path_of(fd, path)))
		return next(fd);
	n = enter();
	result = next(fd);
	if (result == 0 && fstat(fd, &st) == 0) {
		int folder = S_ISDIR(st.st_mode), kept = folder || keep(fd, n, copy);

		note(n, !kept ? "unknown" : folder ? "syncdir" : "sync", (unsigned long)st.st_ino, path, folder ? "" : copy);
	}
	leave();
	return result;
}

int fsync(int fd)
{
	static int (*next)(int);

	if (!next)
		next = NEXT(fsync);
	return flush(fd, next);
}

int fdatasync(int fd)
{
	static int (*next)(int);

	if (!next)
		next = NEXT(fdatasync);
	return flush(fd, next);
}

/* --- opening to write --- */

struct opening {
	char path[PATH_MAX];
	unsigned long before; /* the inode that was there */
	long n;		      /* -1: nothing changes */
};

static void before_open(struct opening *o, int dir, const char *path, int makes, int cuts)
{
	o->n = -1;
	if (!under || !(makes || cuts) || !ours(nst_path_at(dir, path, o->path)))
		return;
	o->before = inode_of(o->path);
	if (!o->before || cuts)
		o->n = enter();
}

static void after_open(const struct opening *o, int fine)
{
	unsigned long now = o->n >= 0 && fine ? inode_of(o->path) : 0;

	if (now)
		note(o->n, now == o->before ? "trunc" : "file", now, o->path, "");
	if (o->n >= 0)
		leave();
}

#define OPENS(name, parameters, arguments, dir)                                                                                                      \
	int name parameters                                                                                                                          \
	{                                                                                                                                            \
		static int(*next) parameters;                                                                                                        \
		struct opening o;                                                                                                                    \
		mode_t mode = 0;                                                                                                                     \
		va_list args;                                                                                                                        \
		int fd;                                                                                                                              \
		va_start(args, flags);                                                                                                               \
		if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)                                                                           \
			mode = va_arg(args, mode_t);                                                                                                 \
		va_end(args);                                                                                                                        \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		before_open(&o, dir, path, flags &O_CREAT, flags &O_TRUNC);                                                                          \
		fd = next arguments;                                                                                                                 \
		after_open(&o, fd >= 0);                                                                                                             \
		return fd;                                                                                                                           \
	}

OPENS(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPENS(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), dir)
OPENS(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), dir)

#define FOPENS(name)                                                                                                                                 \
	FILE *name(const char *path, const char *mode)                                                                                               \
	{                                                                                                                                            \
		static __typeof__(&name) next;                                                                                                       \
		struct opening o;                                                                                                                    \
		FILE *f;                                                                                                                             \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		before_open(&o, AT_FDCWD, path, strpbrk(mode, "wa") != NULL, *mode == 'w');                                                          \
		f = next(path, mode);                                                                                                                \
		after_open(&o, f != NULL);                                                                                                           \
		return f;                                                                                                                            \
	}

FOPENS(fopen)
FOPENS(fopen64)

#define FLUSHES(name)                                                                                                                                \
	int name(FILE *f)                                                                                                                            \
	{                                                                                                                                            \
		static __typeof__(&name) next;                                                                                                       \
		char path[PATH_MAX];                                                                                                                 \
		struct stat st;                                                                                                                      \
		int result;                                                                                                                          \
		long n;                                                                                                                              \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		if (!under || !f || !__fpending(f) || fileno(f) <= 2 || !ours(nst_path_of(fileno(f), path)) || fstat(fileno(f), &st))                \
			return next(f);                                                                                                              \
		n = enter();                                                                                                                         \
		result = next(f);                                                                                                                    \
		note(n, "write", (unsigned long)st.st_ino, path, "");                                                                                \
		leave();                                                                                                                             \
		return result;                                                                                                                       \
	}

FLUSHES(fflush)
FLUSHES(fclose)
