/* jobs/doctor.c - what this machine has, and what will not work here. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/jobs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void say(const char *what, const char *value)
{
	printf("%-12s %s\n", what, value);
}

static enum ns_status devices(struct ns_job *job)
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
	NS_TRY(ns_device_set_open(job->set, job->conf, job->pool));
	snprintf(text, sizeof text, "%s (--device=%s)", job->set->backend->name, ns_conf_text(job->conf, "device"));
	say("chosen", text);
	return NS_OK;
}

/* link() that refuses a taken name is what the registry stands on */
static void file_system(void)
{
	char a[64], b[64], text[128];
	struct statvfs fs;
	int first, second;

	snprintf(a, sizeof a, ".doctor-%ld-a", (long)getpid());
	snprintf(b, sizeof b, ".doctor-%ld-b", (long)getpid());
	if (ns_write_file(a, "a", 1) != NS_OK) {
		say("this folder", ns_message());
		return;
	}
	first = link(a, b);
	second = link(a, b);
	say("link()", first == 0 && second != 0 ? "works, and refuses a taken name" : "DOES NOT WORK here: no registry on this file system");
	unlink(a);
	unlink(b);
	if (statvfs(".", &fs) == 0) {
		snprintf(text, sizeof text, "%.1f GiB here", (double)fs.f_bavail * (double)fs.f_frsize / (1 << 30));
		say("free space", text);
	}
}

enum ns_status ns_job_doctor(struct ns_job *job, int argc, char **argv)
{
	char text[128];
	enum ns_status status = NS_OK;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "doctor: takes no operand");
	if (job->comm->rank == 0) {
		say("nightshift", NS_CODE_VERSION);
		status = devices(job);
		snprintf(text, sizeof text, "%d, %d on this node%s", job->comm->size, job->comm->local_size,
			 job->comm->size == 1 ? " (no launcher: MPI is not started)" : "");
		say("ranks", text);
		snprintf(text, sizeof text, "%d a rank, of %ld processors", ns_pool_workers(job->pool), sysconf(_SC_NPROCESSORS_ONLN));
		say("workers", text);
		file_system();
	}
	return ns_job_agree(job, status);
}
