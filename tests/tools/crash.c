/*
 * tests/tools/crash.c - preloaded into nightshift: ends, stops or starves it at a chosen place. The places are the calls that
 * change files (create, write, flush, rename, link, unlink), numbered as they come, and moments of time.
 *
 *	NST_CRASH=FILE   lines of STEP TASK RANK WHAT NUMBER
 *	NST_STRUCK=FOLDER   a note for each of them that was armed, and one for each that struck
 *
 * The lines of a step's task strike one after the other, one start of it each. The next start arms the first line that has not struck
 * before: one whose start was preempted, or lost its node, before its place came, is planned again by that.
 *	before N, after N   SIGKILL itself at the N-th call, before it is made or after
 *	full N              the N-th call finds no space left (ENOSPC), and so do the 20 after it
 *	kill MS, stop MS    SIGKILL or SIGSTOP itself so many milliseconds after its start
 *
 * FOLDER/LINE.armed.START and FOLDER/LINE.struck.START (lines from 1; START: how often Slurm started it before) hold JOB HOST PROCESS and
 * the time in seconds. The second is there before the fault acts: what has no such note did not happen.
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
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static atomic_long calls;
static char letters[1 << 20];
static long kill_before = -1, kill_after = -1, full_from = -1;
static char count_file[512];
static int armed_line = -1;
static atomic_int noted; /* full strikes more than once */

struct alarm {
	long ms;
	int signal;
};

/* FOLDER/LINE.WHAT.START, by system calls of its own: none of them is a place */
static int note_path(char *path, size_t size, int line, const char *what, int start)
{
	const char *folder = getenv("NST_STRUCK");

	return folder && (size_t)snprintf(path, size, "%s/%d.%s.%d", folder, line, what, start) < size;
}

static int starts_before(void)
{
	const char *start = getenv("SLURM_RESTART_COUNT");

	return start ? atoi(start) : 0;
}

static void note(const char *what)
{
	const char *job = getenv("SLURM_JOB_ID");
	char path[4096], text[256], host[64] = "";
	struct timespec now;
	int n;
	long fd;

	if (!note_path(path, sizeof path, armed_line, what, starts_before()))
		return;
	gethostname(host, sizeof host - 1);
	clock_gettime(CLOCK_REALTIME, &now);
	n = snprintf(text, sizeof text, "%s %s %ld %ld.%03ld\n", job ? job : "-", host, (long)getpid(), (long)now.tv_sec, now.tv_nsec / 1000000);
	fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || syscall(SYS_write, fd, text, (size_t)n) != n)
		fprintf(stderr, "crash: %s: cannot be written\n", path);
	if (fd >= 0)
		syscall(SYS_close, fd);
}

static void strike(int signal)
{
	note("struck");
	kill(getpid(), signal);
}

static void *wait_for_it(void *data)
{
	struct alarm *a = data;

	usleep((useconds_t)(a->ms * 1000));
	strike(a->signal);
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

/* 1: this line struck in an earlier start; 2: in this one, seen by a rank that came later; 0: not yet */
static int has_struck(int line)
{
	int start;
	char path[4096];

	for (start = starts_before(); start >= 0; start--)
		if (note_path(path, sizeof path, line, "struck", start) && syscall(SYS_access, path, F_OK) == 0)
			return start == starts_before() ? 2 : 1;
	return 0;
}

static void arm(const char *what, long number)
{
	note("armed");
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

/* the first line of this step's task that has not struck; every rank chooses the same one, also while another's strikes */
static void choose(FILE *f, const char *step, int task, int rank)
{
	char line[512], wanted[256], what[16];
	int i, t, r, struck;
	long number;

	for (i = 1; fgets(line, sizeof line, f); i++) {
		if (sscanf(line, "%255s %d %d %15s %ld", wanted, &t, &r, what, &number) != 5 || strcmp(wanted, step) || t != task)
			continue;
		struck = has_struck(i);
		if (struck == 1)
			continue;
		armed_line = i;
		if (!struck && r == rank)
			arm(what, number);
		return;
	}
}

static void __attribute__((constructor)) begin(void)
{
	const char *task = env("SLURM_ARRAY_TASK_ID", "-1"), *rank = env("PMIX_RANK", "0");
	char step[256], flat[256], *p;
	FILE *f;

	if (strcmp(program_invocation_short_name, "nightshift") || !find_step(step, sizeof step))
		return;
	if (getenv("NST_COUNT")) {
		snprintf(flat, sizeof flat, "%s", step);
		for (p = flat; *p; p++)
			if (*p == '/')
				*p = '.';
		snprintf(count_file, sizeof count_file, "%s/%.200s %s %s", getenv("NST_COUNT"), flat, task, rank);
	}
	f = getenv("NST_CRASH") ? fopen(getenv("NST_CRASH"), "r") : NULL;
	if (!f)
		return;
	choose(f, step, atoi(task), atoi(rank));
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
		strike(SIGKILL);
	return n;
}

static void counted(long n)
{
	if (n == kill_after)
		strike(SIGKILL);
}

static int no_space(long n)
{
	if (full_from < 0 || n < full_from || n > full_from + 20)
		return 0;
	if (!atomic_exchange(&noted, 1))
		note("struck");
	errno = ENOSPC;
	return 1;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define PLACE(letter, type, name, parameters, arguments)                                                                                             \
	type name parameters                                                                                                                         \
	{                                                                                                                                            \
		static __typeof__(&name) next;                                                                                                       \
		long n = count(letter);                                                                                                              \
		type result;                                                                                                                         \
		if (!next)                                                                                                                           \
			next = NEXT(name);                                                                                                           \
		result = no_space(n) ? (type)-1 : next arguments;                                                                                    \
		counted(n);                                                                                                                          \
		return result;                                                                                                                       \
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
