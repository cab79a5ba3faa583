/*
 * tests/tools/crash.c - preloaded into nightshift: ends, stops or starves it at a chosen place. The places are the calls that
 * change files (create, write, flush, rename, link, unlink), numbered as they come, and moments of time.
 *
 *	NST_CRASH=FILE   lines of STEP TASK RANK START WHAT NUMBER
 *
 * A line holds for the START-th start of that step's task (0: the first; Slurm counts restarts), on one rank:
 *	before N, after N   SIGKILL itself at the N-th call, before it is made or after
 *	full N              the N-th call finds no space left (ENOSPC), and so do the 20 after it
 *	kill MS, stop MS    SIGKILL or SIGSTOP itself so many milliseconds after its start
 *
 *	NST_COUNT=FOLDER    the calls that each step's task made, in "FOLDER/STEP TASK RANK", a letter each (for choosing N): c create,
 *	                    w write, f flush, r rename, l link, u unlink
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;
static char letters[1 << 20];
static long kill_before = -1, kill_after = -1, full_from = -1;
static char count_file[512];

struct alarm {
	long ms;
	int signal;
};

static void *wait_for_it(void *data)
{
	struct alarm *a = data;

	usleep((useconds_t)(a->ms * 1000));
	kill(getpid(), a->signal);
	return NULL;
}

static const char *env(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

static void at(long ms, int signal)
{
	static struct alarm a;
	pthread_t thread;

	a = (struct alarm){ms, signal};
	pthread_create(&thread, NULL, wait_for_it, &a);
	pthread_detach(thread);
}

/* the value after --step in this program's arguments */
static int find_step(char *step, size_t size)
{
	char text[8192], *p;
	FILE *f = fopen("/proc/self/cmdline", "r");
	size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = 0;
	for (p = text; p < text + n; p += strlen(p) + 1)
		if (!strcmp(p, "--step") && p + 7 < text + n) {
			snprintf(step, size, "%s", p + 7);
			return 1;
		}
	return 0;
}

static void __attribute__((constructor)) begin(void)
{
	char step[256], line[512], wanted[256], what[16];
	const char *task = env("SLURM_ARRAY_TASK_ID", "-1"), *rank = env("PMIX_RANK", "0"), *start = env("SLURM_RESTART_COUNT", "0");
	long number;
	int t, r, s;
	FILE *f;

	if (strcmp(program_invocation_short_name, "nightshift") || !find_step(step, sizeof step))
		return;
	if (getenv("NST_COUNT")) {
		char *p;

		snprintf(wanted, sizeof wanted, "%s", step);
		for (p = wanted; *p; p++)
			if (*p == '/')
				*p = '.';
		snprintf(count_file, sizeof count_file, "%s/%.200s %s %s", getenv("NST_COUNT"), wanted, task, rank);
	}
	f = getenv("NST_CRASH") ? fopen(getenv("NST_CRASH"), "r") : NULL;
	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "%255s %d %d %d %15s %ld", wanted, &t, &r, &s, what, &number) != 6)
			continue;
		if (strcmp(wanted, step) || t != atoi(task) || r != atoi(rank) || s != atoi(start))
			continue;
		if (!strcmp(what, "before"))
			kill_before = number;
		if (!strcmp(what, "after"))
			kill_after = number;
		if (!strcmp(what, "full"))
			full_from = number;
		if (!strcmp(what, "kill"))
			at(number, SIGKILL);
		if (!strcmp(what, "stop"))
			at(number, SIGSTOP);
	}
	if (f)
		fclose(f);
}

static void __attribute__((destructor)) end(void)
{
	FILE *f = *count_file ? fopen(count_file, "w") : NULL;

	if (f) {
		fprintf(f, "%s", letters);
		fclose(f);
	}
}

/* the number of this call; does not come back where this is the place */
static long count(char letter)
{
	long n = atomic_fetch_add(&calls, 1);

	if (n < (long)sizeof letters - 1)
		letters[n] = letter;
	if (n == kill_before)
		kill(getpid(), SIGKILL);
	return n;
}

static void counted(long n)
{
	if (n == kill_after)
		kill(getpid(), SIGKILL);
}

static int no_space(long n)
{
	if (full_from < 0 || n < full_from || n > full_from + 20)
		return 0;
	errno = ENOSPC;
	return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define PLACE(letter, type, name, parameters, arguments)             \
	type name parameters                                         \
	{                                                            \
		static __typeof__(&name) next;                       \
		long n = count(letter);                              \
		type result;                                         \
		if (!next)                                           \
			next = NEXT(name);                           \
		result = no_space(n) ? (type)-1 : next arguments;    \
		counted(n);                                          \
		return result;                                       \
	}

PLACE('w', ssize_t, pwrite, (int fd, const void *data, size_t bytes, off_t offset), (fd, data, bytes, offset))
PLACE('w', ssize_t, pwrite64, (int fd, const void *data, size_t bytes, off64_t offset), (fd, data, bytes, offset))
PLACE('f', int, fsync, (int fd), (fd))
PLACE('r', int, rename, (const char *from, const char *to), (from, to))
PLACE('r', int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
PLACE('l', int, link, (const char *from, const char *to), (from, to))
PLACE('u', int, unlink, (const char *path), (path))

int open(const char *path, int flags, ...)
{
	static __typeof__(&open) next;
	mode_t mode = 0;
	va_list args;
	long n;
	int fd;

	if (!next)
		next = NEXT(open);
	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	if (!(flags & O_CREAT) || !strncmp(path, "/dev/", 5))
		return next(path, flags, mode);
	n = count('c');
	fd = no_space(n) ? -1 : next(path, flags, mode);
	counted(n);
	return fd;
}
