/* jobs/admin/doctor.c - reports what this machine has, and what will not work here. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/admin/admin.h"

#include "datasets/decode/decode.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Prints a line, or, where `json` collects results, adds a member that is printed at the end. */
static void say(json_t *json, const char *what, const char *value)
{
	if (json)
		json_object_set_new(json, what, ns_json_string(value));
	else
		printf("%-12s %s\n", what, value);
}

static void implementations(json_t *json, const struct ns_backend *b)
{
	const struct ns_impl *const *impl;
	char key[64];

	snprintf(key, sizeof key, "%s implementations", b->name);
	if (json)
		json_object_set_new(json, key, json_array());
	else
		printf("%-12s", "");
	for (impl = b->impls; *impl; impl++)
		if (json)
			json_array_append_new(json_object_get(json, key), json_string((*impl)->name));
		else
			printf(" %s", (*impl)->name);
	if (!json)
		printf("\n");
}

static void devices(json_t *json)
{
	static const char *const names[] = {"cuda", "cpu", "ref"};
	char text[768];
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++) {
		const struct ns_backend *b = ns_backend_find(names[i]);
		struct ns_device *dev;

		if (!b) {
			say(json, names[i], ns_message());
			continue;
		}
		if (b->open(&dev, 0) != NS_OK) {
			snprintf(text, sizeof text, "cannot be opened: %s", ns_message());
			say(json, names[i], text);
			continue;
		}
		b->describe(dev, text, sizeof text);
		say(json, names[i], text);
		b->close(dev);
		implementations(json, b);
	}
}

/* Collective. Prints a line a rank, from rank 0: its node and device. */
static enum ns_status ranks(struct ns_job *job, json_t *json)
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
			say(json, name, line);
	}
	return NS_OK;
}

/* The registry needs a link() that fails when the name exists. */
static void file_system(json_t *json)
{
	char a[64], b[64], text[128];
	struct statvfs fs;
	int first, second, fd;

	snprintf(a, sizeof a, ".doctor-%ld-a", (long)getpid());
	snprintf(b, sizeof b, ".doctor-%ld-b", (long)getpid());
	if (ns_write_file(a, "a", 1) != NS_OK) {
		say(json, "this folder", ns_message());
		return;
	}
	first = link(a, b);
	second = link(a, b);
	say(json, "link()", first == 0 && second != 0 ? "works, and refuses a taken name" : "DOES NOT WORK here: no registry on this file system");
	unlink(b);
	fd = open(a, O_RDWR);
	say(json, "locks",
	    fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 ? "work" : "DO NOT WORK here: mount with locks (Lustre: -o flock), see NS_UNLOCKED");
	close(fd);
	unlink(a);
	if (statvfs(".", &fs) == 0) {
		snprintf(text, sizeof text, "%.1f GiB here", (double)fs.f_bavail * (double)fs.f_frsize / (1 << 30));
		say(json, "free space", text);
	}
}

enum ns_status ns_job_doctor(struct ns_job *job, int argc, char **argv)
{
	json_t *json = ns_conf_bool(job->conf, "json") ? json_pack("{s:s}", "schema", "nightshift.doctor/1") : NULL;
	enum ns_status status;
	char text[128], *all;

	(void)argv;
	NS_GO(argc ? ns_fail(NS_USAGE, "doctor: takes no operand") : NS_OK);
	if (job->comm->rank == 0) {
		say(json, "nightshift", NS_CODE_VERSION);
		devices(json);
		snprintf(text, sizeof text, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
		say(json, "processors", text);
		ns_decode_formats(text, sizeof text);
		say(json, "images", text);
		file_system(json);
		snprintf(text, sizeof text, "%d%s", job->comm->size, job->comm->size == 1 ? " (no launcher: MPI is not started)" : "");
		say(json, "ranks", text);
	}
	NS_GO(ranks(job, json));
	if (json && job->comm->rank == 0) {
		all = json_dumps(json, JSON_INDENT(1));
		puts(all ? all : "{}");
		free(all);
	}
out:
	json_decref(json);
	return status;
}
