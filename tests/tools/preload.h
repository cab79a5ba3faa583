/*
 * tests/tools/preload.h - what the preloaded libraries share: the next definition of a call, the file that a call is about, and a
 * log of lines. Nothing here goes through a call that they replace, and errno stays what it was.
 */
#ifndef NST_PRELOAD_H
#define NST_PRELOAD_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* The path of an open descriptor, "" where it has none. */
static inline const char *nst_path_of(int fd, char path[PATH_MAX])
{
	char link[64];
	int before = errno;
	long n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = fd < 0 ? 0 : syscall(SYS_readlink, link, path, PATH_MAX - 1);
	path[n > 0 ? n : 0] = 0;
	errno = before;
	return path;
}

/* `name` as seen from folder `dir` (AT_FDCWD: the working directory), without "." and "..": in text alone, links are not
 * followed. */
static inline const char *nst_path_at(int dir, const char *name, char path[PATH_MAX])
{
	char whole[2 * PATH_MAX], base[PATH_MAX] = "", *part, *rest;
	int before = errno;
	size_t n = 0;

	if (*name != '/' && dir == AT_FDCWD && syscall(SYS_getcwd, base, sizeof base) < 0)
		base[0] = 0;
	else if (*name != '/' && dir != AT_FDCWD)
		nst_path_of(dir, base);
	snprintf(whole, sizeof whole, "%s/%.*s", base, PATH_MAX - 1, name);
	path[0] = 0;
	for (part = strtok_r(whole, "/", &rest); part; part = strtok_r(NULL, "/", &rest)) {
		if (!strcmp(part, "."))
			continue;
		if (!strcmp(part, "..")) {
			n = strrchr(path, '/') ? (size_t)(strrchr(path, '/') - path) : 0;
			path[n] = 0;
		} else if (n + strlen(part) + 2 < PATH_MAX) {
			n += (size_t)sprintf(path + n, "/%s", part);
		}
	}
	errno = before;
	return path;
}

static inline int nst_is_under(const char *path, const char *folder)
{
	size_t n = folder ? strlen(folder) : 0;

	return n && !strncmp(path, folder, n) && (!path[n] || path[n] == '/');
}

/* One line at the end of `file`, in one write: other threads' lines stay whole. */
__attribute__((format(printf, 2, 3))) static inline void nst_line(const char *file, const char *format, ...)
{
	char line[3 * PATH_MAX];
	int before = errno, n;
	long fd;
	va_list args;

	va_start(args, format);
	n = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	fd = file ? syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
	if (fd >= 0) {
		(void)!syscall(SYS_write, fd, line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
		syscall(SYS_close, fd);
	}
	errno = before;
}

#endif
