/* jobs/admin/doctor.c - what this machine has, and what will not work here. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/admin/admin.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void say(const char *what, const char *value)
{
	printf("%-12s %s\n", what, value);
}

static void devices(void)
{
	static const char *const names[] = {"cuda", "cpu", "ref"};
	char text[768];
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		const struct ns_backend *b = ns_backend_find(names[i]);
		const struct ns_impl *const *impl;
		struct ns_device *dev;

		if (!b) {
			say(names[i], ns_message());
			continue;
		}
		if (b->open(&dev, 0) != NS_OK) {
			snprintf(text, sizeof text, "cannot be opened: %s", ns_message());
			say(names[i], text);
			continue;
		}
		b->describe(dev, text, sizeof text);
		say(names[i], text);
		b->close(dev);
		printf("%-12s", "");
		for (impl = b->impls; *impl; impl++)
			printf(" %s", (*impl)->name);
		printf("\n");
	}
}

/* Collective: a line a rank, printed by the first: where it runs, and on what. */
static enum ns_status ranks(struct ns_job *job)
{
	const char *visible = getenv("CUDA_VISIBLE_DEVICES");
	enum ns_status status = ns_device_set_open(job->set, job->conf, job->workers);
	char host[64] = "", line[1024], name[32];
	int r;

	NS_TRY(ns_job_agree(job, status));
	gethostname(host, sizeof host - 1);
	for (r = 0; r < job->comm->size; r++) {
		memset(line, 0, sizeof line);
		if (r == job->comm->rank)
			snprintf(line, sizeof line, "%s, process %ld, %d of %d there; workers: %d; %s: %.512s%s%.200s", host, (long)getpid(),
				 job->comm->local_rank, job->comm->local_size, ns_workers_count(job->workers), job->set->backend->name,
				 job->set->description, visible ? ", CUDA_VISIBLE_DEVICES=" : "", visible ? visible : "");
		NS_TRY(ns_comm_broadcast(job->comm, line, sizeof line, r));
		snprintf(name, sizeof name, "rank %d", r);
		if (job->comm->rank == 0)
			say(name, line);
	}
	return NS_OK;
}

/* link() that refuses a taken name is what the registry stands on */
static void file_system(void)
{
	char a[64], b[64], text[128];
	struct statvfs fs;
	int first, second, fd;

	snprintf(a, sizeof a, ".doctor-%ld-a", (long)getpid());
	snprintf(b, sizeof b, ".doctor-%ld-b", (long)getpid());
	if (ns_write_file(a, "a", 1) != NS_OK) {
		say("this folder", ns_message());
		return;
	}
	first = link(a, b);
	second = link(a, b);
	say("link()", first == 0 && second != 0 ? "works, and refuses a taken name" : "DOES NOT WORK here: no registry on this file system");
	unlink(b);
	fd = open(a, O_RDWR);
	say("locks", fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 ? "work" : "DO NOT WORK here: mount with locks (Lustre: -o flock), see NS_UNLOCKED");
	close(fd);
	unlink(a);
	if (statvfs(".", &fs) == 0) {
		snprintf(text, sizeof text, "%.1f GiB here", (double)fs.f_bavail * (double)fs.f_frsize / (1 << 30));
		say("free space", text);
	}
}

enum ns_status ns_job_doctor(struct ns_job *job, int argc, char **argv)
{
	char text[128];

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "doctor: takes no operand");
	if (job->comm->rank == 0) {
		say("nightshift", NS_CODE_VERSION);
		devices();
		snprintf(text, sizeof text, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
		say("processors", text);
		file_system();
		snprintf(text, sizeof text, "%d%s", job->comm->size, job->comm->size == 1 ? " (no launcher: MPI is not started)" : "");
		say("ranks", text);
	}
	return ranks(job);
}
