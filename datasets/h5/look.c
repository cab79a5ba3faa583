#define _GNU_SOURCE
#include "datasets/h5/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/base.h"

#define BATCH	 64		   /* files that one child looks at */
#define MEMORY	 ((rlim_t)1 << 30) /* beyond twice the files' own bytes */
#define SECONDS	 3		   /* of the processor, beyond a second for each 4 MB, which may be packed a hundred to one */
#define PATIENCE 120		   /* seconds by the clock, beyond one for each MB: a slow disk is no reason to refuse */
#define SEEN	 4096		   /* files that are cached */

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct report { /* what the child says, once a file and once at its end */
	int at, done;
	enum ns_status status;
	char message[900];
};

struct mapped {
	const char *path;
	struct stat st;
	void *bytes;
};

/* --- what was looked at already --- */

struct seen {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
	ns_look_fn *look;
};

/* the one cache of this process: what it holds follows from the files alone */
static struct seen seen[SEEN];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct seen *slot_of(const struct stat *st)
{
	uint64_t key[2] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};

	return &seen[ns_xxh3(key, sizeof key) % SEEN];
}

static int is_seen(const struct stat *st, ns_look_fn *look)
{
	const struct seen *s = slot_of(st);
	int is;

	pthread_mutex_lock(&lock);
	is = s->look == look && s->dev == st->st_dev && s->ino == st->st_ino && s->size == st->st_size && s->mtime.tv_sec == st->st_mtim.tv_sec &&
	     s->mtime.tv_nsec == st->st_mtim.tv_nsec && s->ctime.tv_sec == st->st_ctim.tv_sec && s->ctime.tv_nsec == st->st_ctim.tv_nsec;
	pthread_mutex_unlock(&lock);
	return is;
}

static void remember(const struct stat *st, ns_look_fn *look)
{
	pthread_mutex_lock(&lock);
	*slot_of(st) = (struct seen){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim, look};
	pthread_mutex_unlock(&lock);
}

/* --- the child --- */

/* Allows memory, time, the pipe and exit; every other system call fails with EPERM. */
static void sandbox(void)
{
#if defined(__x86_64__) || defined(__aarch64__)
	static const int allowed[] = {
		SYS_write,   SYS_exit,	 SYS_exit_group,    SYS_mmap,	      SYS_munmap,	SYS_mremap,	    SYS_mprotect,
		SYS_madvise, SYS_brk,	 SYS_futex,	    SYS_rt_sigreturn, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_sigaltstack,
		SYS_getpid,  SYS_gettid, SYS_clock_gettime, SYS_gettimeofday, SYS_sched_yield,	SYS_getrandom,	    SYS_restart_syscall};
	enum { N = sizeof allowed / sizeof *allowed };
	struct sock_filter code[N + 6];
	struct sock_fprog program = {0, code};
	int i, n = 0;

#if defined(__x86_64__)
	const unsigned arch = AUDIT_ARCH_X86_64;
#else
	const unsigned arch = AUDIT_ARCH_AARCH64;
#endif
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arch, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (i = 0; i < N; i++)
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], (unsigned char)(N - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)n;
	/* where the kernel has no seccomp, only the limits below hold */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		(void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
#endif
}

/* The hard limit is one above, so that the soft one is met first, whose signal (SIGXCPU) tells which it was. */
static void limit(int what, rlim_t most)
{
	struct rlimit r = {most, most + 1};

	(void)setrlimit((__rlimit_resource_t)what, &r);
}

static rlim_t address_space(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f && fscanf(f, "%lu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static void set_limits(rlim_t bytes)
{
	rlim_t here = address_space();

	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_FSIZE, 0);
	limit(RLIMIT_CPU, (SANITIZED ? 2 : 1) * SECONDS + bytes / 4000000);
	if (here && !SANITIZED) /* a sanitizer's shadow is terabytes */
		limit(RLIMIT_AS, here + MEMORY + 2 * bytes);
}

static void tell(const struct report *r)
{
	(void)!write(0, r, sizeof *r); /* whole: below PIPE_BUF */
}

/* The pipe becomes descriptor 0, and no other stays: this process must not reach what the parent has open. */
static void keep_pipe_alone(int pipe)
{
	long fd, most = sysconf(_SC_OPEN_MAX);

	dup2(pipe, 0);
#ifdef SYS_close_range
	if (syscall(SYS_close_range, 1U, ~0U, 0U) == 0)
		return;
#endif
	for (fd = 1; fd < (most > 0 && most < 65536 ? most : 65536); fd++)
		close((int)fd);
}

static void look_in_child(int pipe, struct mapped *files, int count, rlim_t bytes, ns_look_fn *look)
{
	static const int asked[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
	struct report r = {0};
	int signal_number;
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (signal_number = 1; signal_number < 32; signal_number++) /* no handler of MPI's or of ours runs here */
		signal(signal_number, SIG_DFL);
	/* whoever asks the job to checkpoint and leave asks all its processes; the job itself decides what becomes of this one */
	for (i = 0; i < sizeof asked / sizeof *asked; i++)
		signal(asked[i], SIG_IGN);
	ns_h5_after_fork();
	set_limits(bytes);
	keep_pipe_alone(pipe);
	sandbox();
	for (r.at = 0; r.at < count && r.status == NS_OK; r.at++) {
		struct mapped *f = &files[r.at];
		hid_t file;

		tell(&r);
		r.status = ns_h5_open_image(&file, f->path, f->bytes, (size_t)f->st.st_size);
		if (r.status == NS_OK) {
			r.status = look(file, f->path, &f->st);
			ns_h5_file_close(file);
		}
	}
	r.at -= r.status != NS_OK;
	r.done = 1;
	snprintf(r.message, sizeof r.message, "%s", ns_message());
	tell(&r);
	_exit(0);
}

/* --- the parent --- */

/* what came through the pipe until its end; 0: the time was over */
static int listen_to(int pipe, double until, struct report *last)
{
	struct pollfd p = {.fd = pipe, .events = POLLIN};
	struct report r;
	size_t have = 0;

	for (;;) {
		double left = until - ns_now();
		ssize_t n;

		if (left <= 0)
			return 0;
		if (poll(&p, 1, left < 1000 ? (int)(1000 * left) + 1 : 1000000) < 0 && errno != EINTR)
			return 0;
		if (!p.revents)
			continue;
		p.revents = 0;
		n = read(pipe, (char *)&r + have, sizeof r - have);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return 1;
		have += (size_t)n;
		if (have == sizeof r) {
			*last = r;
			have = 0;
		}
	}
}

/* How the child ended says whose fault it is. The file is read by page faults, so what the disk does not give is SIGBUS. */
static enum ns_status judge_end(const char *path, int ended)
{
	int by = ended > 0 && WIFSIGNALED(ended) ? WTERMSIG(ended) : 0;

	if (by == SIGXCPU)
		return ns_fail(NS_BAD_DATA, "%s: libhdf5 takes longer to read it than a file of its size may; refused", path);
	if (by == SIGSEGV || by == SIGABRT || by == SIGFPE || by == SIGILL || (SANITIZED && !by))
		return ns_fail(NS_BAD_DATA, "%s: libhdf5 crashed over it (in a process of its own, signal %d); the file is damaged or hostile", path,
			       by);
	if (by == SIGBUS)
		return ns_fail(NS_IO, "%s: cannot be read to its end, or was cut short meanwhile", path);
	return ns_fail(NS_IO, "%s: the process that looked at it was killed (signal %d; is memory short?)", path, by);
}

static enum ns_status judge(const struct report *r, const struct mapped *files, int count, int in_time, int ended)
{
	const char *path = files[r->at >= 0 && r->at < count ? r->at : 0].path;

	if (!in_time)
		return ns_fail(NS_IO, "%s: reading it took more than the time that a file of its size is given", path);
	if (!r->done)
		return judge_end(path, ended);
	if (r->status == NS_NO_MEMORY)
		return ns_fail(NS_BAD_DATA, "%.900s: more than a file of its size may need", r->message);
	return r->status == NS_OK ? NS_OK : ns_fail(r->status, "%s", r->message);
}

static enum ns_status look_at_mapped(struct mapped *files, int count, ns_look_fn *look)
{
	int ends[2], ended = 0, in_time, i;
	struct report last = {0};
	rlim_t bytes = 0;
	pid_t child;

	for (i = 0; i < count; i++)
		bytes += (rlim_t)files[i].st.st_size;
	if (pipe2(ends, O_CLOEXEC))
		return ns_io_error(files[0].path, "cannot make a pipe to the process that looks at it");
	ns_h5_before_fork(); /* libhdf5 is at rest while it is copied */
	child = fork();
	if (child == 0)
		look_in_child(ends[1], files, count, bytes, look);
	ns_h5_forked();
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return ns_io_error(files[0].path, "cannot start a process to look at it");
	}
	in_time = listen_to(ends[0], ns_now() + PATIENCE + (double)bytes * 1e-6, &last);
	close(ends[0]);
	if (!in_time)
		kill(child, SIGKILL);
	while (waitpid(child, &ended, 0) < 0 && errno == EINTR)
		;
	return judge(&last, files, count, in_time, ended);
}

static enum ns_status map(struct mapped *f, const char *path, int below)
{
	enum ns_status status = NS_OK;
	int fd;

	f->path = path;
	f->bytes = MAP_FAILED;
	NS_TRY(ns_open(&fd, path, below));
	if (fstat(fd, &f->st))
		status = ns_io_error(path, "cannot stat");
	else if (f->st.st_size == 0)
		status = ns_fail(NS_BAD_DATA, "%s: is empty", path);
	else if ((f->bytes = mmap(NULL, (size_t)f->st.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
		status = ns_io_error(path, "cannot be mapped");
	close(fd);
	return status;
}

enum ns_status ns_look(const char *const *paths, int count, int below, ns_look_fn *look)
{
	struct mapped files[BATCH];
	const char *off = getenv("NS_LOOK");
	enum ns_status status = NS_OK;
	int i, n, at = 0;

	while (at < count && status == NS_OK && !(off && !strcmp(off, "0"))) {
		for (n = 0; at < count && n < BATCH && status == NS_OK; at++) {
			status = map(&files[n], paths[at], below);
			if (status == NS_OK && is_seen(&files[n].st, look))
				munmap(files[n].bytes, (size_t)files[n].st.st_size);
			else if (status == NS_OK)
				n++;
		}
		if (status == NS_OK && n)
			status = look_at_mapped(files, n, look);
		for (i = 0; i < n; i++) {
			munmap(files[i].bytes, (size_t)files[i].st.st_size);
			if (status == NS_OK)
				remember(&files[i].st, look);
		}
	}
	return status;
}
