/*
 * tests/tools/fault.c - preloaded into nightshift: a call that touches a file under a folder fails, as on a disk or a server that is
 * out of order. tests/jobs/faults.py plans, this strikes.
 *
 *	NST_FAULT_UNDER=FOLDER     calls about other files are let through and not counted
 *	NST_FAULT="KIND K ERROR"   the K-th call of the kind, from 0, fails with ERROR (EIO, ENOSPC ...) and is not made; SHORT instead
 *	                           reads or writes half of its bytes, at least one; STOP holds the process before it is made (SIGSTOP)
 *	NST_FAULT_LASTING=1        so do all after it
 *	NST_FAULT_WITHOUT=...      "CALL ERROR": every such call fails, as on a file system that does not have it ("renameat2 EINVAL")
 *	NST_FAULT_COUNT=FILE       a line a call: KIND, number, call, its caller's object, path, with tabs between
 *	NST_FAULT_STRUCK=FILE      such a line for the first call that failed
 *
 * Kinds are the table below. A call that wants room on the disk counts as `space` as well, so that ENOSPC can last over kinds.
 * A failing close() closes, as Linux does. libc reads and writes streams (FILE) by calls of its own, which no preloaded library
 * sees: a call on a stream is counted where it would read or write, and a failing one leaves the stream as libc does. What fprintf
 * or fputc write while the buffer overflows is beyond reach; that they do is seen at the flush or the close. So are the inner
 * steps of nftw, scandir and realpath: they fail as a whole.
 */
#define _GNU_SOURCE
#include "preload.h"

#include <dirent.h>
#include <ftw.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio_ext.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum kind {
	OPEN,
	READ,
	WRITE,
	FSYNC,
	TRUNCATE,
	RENAME,
	LINK,
	UNLINK,
	MKDIR,
	RMDIR,
	OPENDIR,
	READDIR,
	FLOCK,
	STAT,
	CLOSE,
	CHMOD,
	UTIME,
	SPACE,
	KINDS
};

static const char *const kinds[KINDS] = {
	[OPEN] = "open",   [READ] = "read",	[WRITE] = "write", [FSYNC] = "fsync", [TRUNCATE] = "truncate", [RENAME] = "rename",
	[LINK] = "link",   [UNLINK] = "unlink", [MKDIR] = "mkdir", [RMDIR] = "rmdir", [OPENDIR] = "opendir",   [READDIR] = "readdir",
	[FLOCK] = "flock", [STAT] = "stat",	[CLOSE] = "close", [CHMOD] = "chmod", [UTIME] = "utime",       [SPACE] = "space",
};

static const struct {
	const char *name;
	int code;
} errors[] = {{"EIO", EIO},	{"ESTALE", ESTALE}, {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},
	      {"EINTR", EINTR}, {"EINVAL", EINVAL}, {"ENOLCK", ENOLCK}, {"EXDEV", EXDEV},   {"SHORT", -1},	{"STOP", -2}};

static atomic_long counts[KINDS], struck;
static const char *under, *count_file, *struck_file;
static char missing[32];
static int missing_code;
static long at = -1;
static int kind_to_fail = KINDS, code, lasting;

static int error_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof errors / sizeof *errors; i++)
		if (!strcmp(errors[i].name, name))
			return errors[i].code;
	return 0;
}

static void refuse(const char *name)
{
	fprintf(stderr, "%s='%s': no such kind or error\n", name, getenv(name));
	_exit(99);
}

static void __attribute__((constructor)) begin(void)
{
	char kind[32], error[32];
	size_t i;

	if (strcmp(program_invocation_short_name, "nightshift"))
		return;
	count_file = getenv("NST_FAULT_COUNT");
	struck_file = getenv("NST_FAULT_STRUCK");
	lasting = getenv("NST_FAULT_LASTING") != NULL;
	if (getenv("NST_FAULT")) {
		if (sscanf(getenv("NST_FAULT"), "%31s %ld %31s", kind, &at, error) != 3 || !(code = error_of(error)))
			refuse("NST_FAULT");
		for (i = 0; i < KINDS; i++)
			if (!strcmp(kinds[i], kind))
				kind_to_fail = (int)i;
		if (kind_to_fail == KINDS)
			refuse("NST_FAULT");
	}
	if (getenv("NST_FAULT_WITHOUT") &&
	    (sscanf(getenv("NST_FAULT_WITHOUT"), "%31s %31s", missing, error) != 2 || (missing_code = error_of(error)) <= 0))
		refuse("NST_FAULT_WITHOUT");
	under = getenv("NST_FAULT_UNDER"); /* last: from here on calls count */
}

/* Whom no signal reaches, no signal interrupts. */
static int is_deaf(void)
{
	sigset_t blocked;

	return pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGTERM) == 1 && sigismember(&blocked, SIGUSR2) == 1;
}

static int one(enum kind kind, const char *name, const void *caller, const char *path)
{
	long n = atomic_fetch_add(&counts[kind], 1);
	int strikes = (int)kind == kind_to_fail && (n == at || (lasting && n > at));
	Dl_info info;

	if (!count_file && !strikes)
		return 0;
	if (!dladdr(caller, &info) || !info.dli_fname)
		info.dli_fname = "?";
	if (strrchr(info.dli_fname, '/'))
		info.dli_fname = strrchr(info.dli_fname, '/') + 1;
	nst_line(count_file, "%s\t%ld\t%s\t%s\t%s\n", kinds[kind], n, name, info.dli_fname, path);
	if (strikes && !atomic_fetch_add(&struck, 1)) /* who tries again for ever would fill the disk */
		nst_line(struck_file, "%s\t%ld\t%s\t%s\t%s\n", kinds[kind], n, name, info.dli_fname, path);
	if (strikes && code == -2) /* held until it is told to go on: the call is made then */
		kill(getpid(), SIGSTOP);
	if (strikes && code == EINTR && is_deaf())
		return 0;
	return strikes && code != -2 ? code : 0;
}

/* what this call shall fail with: 0 not at all, -1 it shall be short */
static int strike(enum kind kind, int room, const char *name, const void *caller, const char *path)
{
	int before = errno, error, no_room;

	if (!under || !nst_is_under(path, under))
		return 0;
	error = one(kind, name, caller, path);
	no_room = room ? one(SPACE, name, caller, path) : 0;
	errno = before;
	return error ? error : no_room ? no_room : strcmp(name, missing) ? 0 : missing_code;
}

static int strike_at(enum kind kind, int room, const char *name, const void *caller, int dir, const char *path)
{
	char whole[PATH_MAX];

	return under && path ? strike(kind, room, name, caller, nst_path_at(dir, path, whole)) : 0;
}

static int strike_fd(enum kind kind, int room, const char *name, const void *caller, int fd)
{
	char whole[PATH_MAX];

	return under ? strike(kind, room, name, caller, nst_path_of(fd, whole)) : 0;
}

static int strike_file(enum kind kind, int room, const char *name, const void *caller, FILE *f)
{
	int before = errno, fd = f ? fileno(f) : -1;

	errno = before;
	return fd > 2 ? strike_fd(kind, room, name, caller, fd) : 0;
}

#define CALLER __builtin_return_address(0)

/* A call that fails by `failed` and errno, and is then not made. struck: what says whether it is its turn. */
#define FAULT(type, failed, name, parameters, arguments, struck)                                                                                     \
	type name parameters                                                                                                                         \
	{                                                                                                                                            \
		static __typeof__(&name) next;                                                                                                       \
		int error = struck;                                                                                                                  \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		if (error <= 0)                                                                                                                      \
			return next arguments;                                                                                                       \
		errno = error;                                                                                                                       \
		return failed;                                                                                                                       \
	}
#define AT(kind, room, name, dir, path)				     strike_at(kind, room, #name, CALLER, dir, path)
#define FD(kind, room, name, fd)				     strike_fd(kind, room, #name, CALLER, fd)
#define PATH_FAULT(kind, room, name, parameters, arguments, path)    FAULT(int, -1, name, parameters, arguments, AT(kind, room, name, AT_FDCWD, path))
#define AT_FAULT(kind, room, name, parameters, arguments, dir, path) FAULT(int, -1, name, parameters, arguments, AT(kind, room, name, dir, path))
#define FD_FAULT(kind, room, name, parameters, arguments, fd)	     FAULT(int, -1, name, parameters, arguments, FD(kind, room, name, fd))

FD_FAULT(FSYNC, 0, fsync, (int fd), (fd), fd)
FD_FAULT(FSYNC, 0, fdatasync, (int fd), (fd), fd)
FD_FAULT(TRUNCATE, 0, ftruncate, (int fd, off_t size), (fd, size), fd)
FD_FAULT(TRUNCATE, 0, ftruncate64, (int fd, off64_t size), (fd, size), fd)
PATH_FAULT(TRUNCATE, 0, truncate, (const char *path, off_t size), (path, size), path)
PATH_FAULT(RENAME, 0, rename, (const char *from, const char *to), (from, to), from)
AT_FAULT(RENAME, 0, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), a, from)
AT_FAULT(RENAME, 0, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), a, from)
PATH_FAULT(LINK, 1, link, (const char *from, const char *to), (from, to), to)
AT_FAULT(LINK, 1, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), b, to)
PATH_FAULT(LINK, 1, symlink, (const char *from, const char *to), (from, to), to)
PATH_FAULT(UNLINK, 0, unlink, (const char *path), (path), path)
AT_FAULT(UNLINK, 0, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), dir, path)
PATH_FAULT(UNLINK, 0, remove, (const char *path), (path), path)
PATH_FAULT(MKDIR, 1, mkdir, (const char *path, mode_t mode), (path, mode), path)
AT_FAULT(MKDIR, 1, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), dir, path)
PATH_FAULT(RMDIR, 0, rmdir, (const char *path), (path), path)
FD_FAULT(FLOCK, 0, flock, (int fd, int how), (fd, how), fd)
PATH_FAULT(CHMOD, 0, chmod, (const char *path, mode_t mode), (path, mode), path)
FD_FAULT(CHMOD, 0, fchmod, (int fd, mode_t mode), (fd, mode), fd)
AT_FAULT(CHMOD, 0, fchmodat, (int dir, const char *path, mode_t mode, int flags), (dir, path, mode, flags), dir, path)
AT_FAULT(UTIME, 0, utimensat, (int dir, const char *path, const struct timespec t[2], int flags), (dir, path, t, flags), dir, path)
FD_FAULT(UTIME, 0, futimens, (int fd, const struct timespec t[2]), (fd, t), fd)

PATH_FAULT(STAT, 0, stat, (const char *path, struct stat *st), (path, st), path)
PATH_FAULT(STAT, 0, lstat, (const char *path, struct stat *st), (path, st), path)
FD_FAULT(STAT, 0, fstat, (int fd, struct stat *st), (fd, st), fd)
AT_FAULT(STAT, 0, fstatat, (int dir, const char *path, struct stat *st, int flags), (dir, path, st, flags), dir, path)
PATH_FAULT(STAT, 0, stat64, (const char *path, struct stat64 *st), (path, st), path)
PATH_FAULT(STAT, 0, lstat64, (const char *path, struct stat64 *st), (path, st), path)
FD_FAULT(STAT, 0, fstat64, (int fd, struct stat64 *st), (fd, st), fd)
AT_FAULT(STAT, 0, fstatat64, (int dir, const char *path, struct stat64 *st, int flags), (dir, path, st, flags), dir, path)
AT_FAULT(STAT, 0, statx, (int dir, const char *path, int flags, unsigned mask, struct statx *st), (dir, path, flags, mask, st), dir, path)
PATH_FAULT(STAT, 0, access, (const char *path, int mode), (path, mode), path)
AT_FAULT(STAT, 0, faccessat, (int dir, const char *path, int mode, int flags), (dir, path, mode, flags), dir, path)
FAULT(char *, NULL, realpath, (const char *path, char *to), (path, to), AT(STAT, 0, realpath, AT_FDCWD, path))
int __xstat(int version, const char *path, struct stat *st);
int __lxstat(int version, const char *path, struct stat *st);
int __fxstat(int version, int fd, struct stat *st);
PATH_FAULT(STAT, 0, __xstat, (int version, const char *path, struct stat *st), (version, path, st), path)
PATH_FAULT(STAT, 0, __lxstat, (int version, const char *path, struct stat *st), (version, path, st), path)
FD_FAULT(STAT, 0, __fxstat, (int version, int fd, struct stat *st), (version, fd, st), fd)

typedef int select_fn(const struct dirent *);
typedef int order_fn(const struct dirent **, const struct dirent **);
FAULT(DIR *, NULL, opendir, (const char *path), (path), AT(OPENDIR, 0, opendir, AT_FDCWD, path))
FAULT(DIR *, NULL, fdopendir, (int fd), (fd), FD(OPENDIR, 0, fdopendir, fd))
PATH_FAULT(OPENDIR, 0, scandir, (const char *path, struct dirent ***list, select_fn *select, order_fn *order), (path, list, select, order), path)
PATH_FAULT(OPENDIR, 0, nftw, (const char *path, __nftw_func_t fn, int fds, int flags), (path, fn, fds, flags), path)
FAULT(struct dirent *, NULL, readdir, (DIR * dir), (dir), FD(READDIR, 0, readdir, dirfd(dir)))
FAULT(struct dirent64 *, NULL, readdir64, (DIR * dir), (dir), FD(READDIR, 0, readdir64, dirfd(dir)))

/* --- descriptors --- */

static size_t fewer(size_t bytes, int error)
{
	return error < 0 && bytes > 1 ? bytes / 2 : bytes;
}

#define TRANSFER(kind, room, name, parameters, arguments, fd)                                                                                        \
	ssize_t name parameters                                                                                                                      \
	{                                                                                                                                            \
		static __typeof__(&name) next;                                                                                                       \
		int error = FD(kind, room, name, fd);                                                                                                \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		bytes = fewer(bytes, error);                                                                                                         \
		if (error <= 0)                                                                                                                      \
			return next arguments;                                                                                                       \
		errno = error;                                                                                                                       \
		return -1;                                                                                                                           \
	}

TRANSFER(READ, 0, read, (int fd, void *data, size_t bytes), (fd, data, bytes), fd)
TRANSFER(READ, 0, pread, (int fd, void *data, size_t bytes, off_t offset), (fd, data, bytes, offset), fd)
TRANSFER(READ, 0, pread64, (int fd, void *data, size_t bytes, off64_t offset), (fd, data, bytes, offset), fd)
TRANSFER(WRITE, 1, write, (int fd, const void *data, size_t bytes), (fd, data, bytes), fd)
TRANSFER(WRITE, 1, pwrite, (int fd, const void *data, size_t bytes, off_t offset), (fd, data, bytes, offset), fd)
TRANSFER(WRITE, 1, pwrite64, (int fd, const void *data, size_t bytes, off64_t offset), (fd, data, bytes, offset), fd)
FAULT(ssize_t, -1, readv, (int fd, const struct iovec *v, int n), (fd, v, n), FD(READ, 0, readv, fd))
FAULT(ssize_t, -1, writev, (int fd, const struct iovec *v, int n), (fd, v, n), FD(WRITE, 1, writev, fd))

int close(int fd)
{
	static __typeof__(&close) next;
	int error = FD(CLOSE, 0, close, fd), result;

	if (!next)
		next = NEXT(close);
	result = next(fd);
	if (!error)
		return result;
	errno = error;
	return -1;
}

#define OPENS(name, parameters, arguments, dir)                                                                                                      \
	int name parameters                                                                                                                          \
	{                                                                                                                                            \
		static int(*next) parameters;                                                                                                        \
		mode_t mode = 0;                                                                                                                     \
		va_list args;                                                                                                                        \
		int error;                                                                                                                           \
		va_start(args, flags);                                                                                                               \
		if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)                                                                           \
			mode = va_arg(args, mode_t);                                                                                                 \
		va_end(args);                                                                                                                        \
		error = AT(OPEN, (flags & O_CREAT) != 0, name, dir, path);                                                                           \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		if (!error)                                                                                                                          \
			return next arguments;                                                                                                       \
		errno = error;                                                                                                                       \
		return -1;                                                                                                                           \
	}

OPENS(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPENS(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), dir)
OPENS(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), dir)
PATH_FAULT(OPEN, 1, creat, (const char *path, mode_t mode), (path, mode), path)
int __openat_2(int dir, const char *path, int flags);
AT_FAULT(OPEN, 0, __openat_2, (int dir, const char *path, int flags), (dir, path, flags), dir, path)

/* --- streams --- */

FAULT(FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode), AT(OPEN, strpbrk(mode, "wa") != NULL, fopen, AT_FDCWD, path))
FAULT(FILE *, NULL, fopen64, (const char *path, const char *mode), (path, mode), AT(OPEN, strpbrk(mode, "wa") != NULL, fopen64, AT_FDCWD, path))

/* A call for that many bytes reads: the buffer has fewer. */
static int reads(FILE *f, size_t bytes)
{
	return (size_t)(f->_IO_read_end - f->_IO_read_ptr) < bytes;
}

/* It writes: the buffer has less room, or would be the first that libc makes. */
static int overflows(FILE *f, size_t bytes)
{
	return (f->_IO_buf_base ? (size_t)(f->_IO_buf_end - f->_IO_write_ptr) : 4096) < bytes;
}

static void set_error(FILE *f, int error)
{
	f->_flags |= _IO_ERR_SEEN;
	errno = error;
}

#define STREAM(type, failed, kind, room, name, parameters, arguments, f, when)                                                                       \
	type name parameters                                                                                                                         \
	{                                                                                                                                            \
		static __typeof__(&name) next;                                                                                                       \
		int error = when ? strike_file(kind, room, #name, CALLER, f) : 0;                                                                    \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		if (error <= 0) /* libc itself goes on after a short read or write */                                                                \
			return next arguments;                                                                                                       \
		set_error(f, error);                                                                                                                 \
		return failed;                                                                                                                       \
	}

STREAM(size_t, 0, READ, 0, fread, (void *data, size_t size, size_t n, FILE *f), (data, size, n, f), f, reads(f, size *n))
STREAM(char *, NULL, READ, 0, fgets, (char *line, int size, FILE *f), (line, size, f), f, reads(f, 1))
STREAM(int, EOF, READ, 0, fgetc, (FILE * f), (f), f, reads(f, 1))
STREAM(int, EOF, READ, 0, getc, (FILE * f), (f), f, reads(f, 1))
STREAM(size_t, 0, WRITE, 1, fwrite, (const void *data, size_t size, size_t n, FILE *f), (data, size, n, f), f, overflows(f, size *n))
STREAM(int, EOF, WRITE, 1, fflush, (FILE * f), (f), f, (f && __fpending(f)))

int fclose(FILE *f)
{
	static __typeof__(&fclose) next;
	int writes = __fpending(f) > 0, error = strike_file(writes ? WRITE : CLOSE, writes, "fclose", CALLER, f), result;

	if (!next)
		next = NEXT(fclose);
	if (error > 0 && writes)
		__fpurge(f); /* what was not written is lost */
	result = next(f);
	if (error <= 0)
		return result;
	errno = error;
	return EOF;
}
