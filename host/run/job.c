#define _GNU_SOURCE
#include "host/base/base.h"
#include "host/run/run.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* A handler may do little more than set a flag, which only handlers do. */
static volatile sig_atomic_t stop_flag;

static void on_stop(int sig)
{
	(void)sig;
	stop_flag = 1;
}

int ns_stop_requested(void)
{
	return stop_flag;
}

void ns_stop_remove(void)
{
	signal(SIGTERM, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

void ns_stop_install(void)
{
	struct sigaction act = {.sa_handler = on_stop, .sa_flags = SA_RESTART};

	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGUSR2, &act, NULL);
}

/* part: "3/16", counted from 0 */
static enum ns_status read_part(struct ns_job *job, const char *text)
{
	char rest;

	job->parts = 1;
	if (text && (sscanf(text, "%d/%d%c", &job->part, &job->parts, &rest) != 2 || job->part < 0 || job->part >= job->parts || job->parts > 100000))
		return ns_fail(NS_USAGE, "part = '%s', expected I/N with I from 0 to N - 1", text);
	return NS_OK;
}

int ns_job_part_of(const struct ns_job *job, int64_t i)
{
	return i % job->parts == job->part;
}

int ns_job_is_mine(const struct ns_job *job, int64_t i)
{
	return ns_job_part_of(job, i) && i / job->parts % job->comm->size == job->comm->rank;
}

enum ns_status ns_job_init(struct ns_job *job, const char *verb, struct ns_conf *conf, struct ns_comm *comm, struct ns_log *log,
			   struct ns_workers *workers, struct ns_device_set *set)
{
	*job = (struct ns_job){.verb = verb, .conf = conf, .comm = comm, .log = log, .workers = workers, .set = set, .outdir = {.fd = -1}};
	NS_TRY(read_part(job, ns_conf_text(conf, "part")));
	job->inputs = json_array();
	job->outputs = json_array();
	job->counts = json_object();
	job->digests = json_object();
	job->start = ns_now();
	job->start_time = (int64_t)time(NULL);
	ns_energy_read(&job->energy, NS_ENERGY_FOLDER);
	return job->inputs && job->outputs && job->counts && job->digests ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for a job");
}

void ns_job_release(struct ns_job *job)
{
	json_decref(job->inputs);
	json_decref(job->outputs);
	json_decref(job->counts);
	json_decref(job->digests);
	if (job->outdir.fd >= 0)
		ns_outdir_close(&job->outdir);
}

enum ns_status ns_job_agree(struct ns_job *job, enum ns_status status)
{
	int64_t failed = status != NS_OK;

	if (job->comm->size == 1)
		return status;
	NS_TRY(ns_comm_sum_i64(job->comm, &failed, 1));
	if (status == NS_OK && failed)
		return ns_fail(NS_INTERNAL, "another rank failed");
	return status;
}

enum ns_status ns_job_begin(struct ns_job *job, int keep)
{
	const char *out = ns_conf_text(job->conf, "out");
	enum ns_status status = NS_OK;

	if (!out)
		return ns_fail(NS_USAGE, "%s: the option --out PATH is required", job->verb);
	if (job->comm->rank == 0) {
		status = ns_outdir_open(&job->outdir, out, job->verb, ns_conf_bool(job->conf, "force"), keep);
		snprintf(job->out, sizeof job->out, "%s", job->outdir.out);
		snprintf(job->dir, sizeof job->dir, "%s", job->outdir.partial);
	}
	NS_TRY(ns_job_agree(job, status));
	/* rank 0 has followed symbolic links: all ranks use its paths */
	NS_TRY(ns_comm_broadcast(job->comm, job->out, sizeof job->out, 0));
	return ns_comm_broadcast(job->comm, job->dir, sizeof job->dir, 0);
}

void ns_job_input(struct ns_job *job, const char *what, const char *path, const char *digest)
{
	json_array_append_new(job->inputs, json_pack("{s:s, s:o, s:s}", "what", what, "path", ns_json_string(path), "digest", digest));
}

void ns_job_count(struct ns_job *job, const char *what, int64_t n)
{
	json_object_set_new(job->counts, what, json_integer(n));
}

void ns_job_digest(struct ns_job *job, const char *path, const char *digest)
{
	json_object_set_new_nocheck(job->digests, path, json_string(digest));
}

static json_t *slurm_facts(void)
{
	static const char *const names[] = {"SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT", "SLURM_JOB_NODELIST"};
	json_t *facts = json_object();
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (getenv(names[i]))
			json_object_set_new(facts, names[i], ns_json_string(getenv(names[i])));
	return facts;
}

static enum ns_status list_outputs(struct ns_job *job, const char *below);

/* `name`: below the folder of the result */
static enum ns_status list_output(struct ns_job *job, const char *name)
{
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX], folder[NS_PATH_MAX];
	const char *known;
	int is;

	NS_TRY(ns_path(path, "%s/%s", job->dir, name));
	NS_TRY(ns_is_dir(path, &is));
	if (is) {
		NS_TRY(ns_path(folder, "%s/", name));
		return list_outputs(job, folder);
	}
	known = json_string_value(json_object_get(job->digests, path));
	if (known)
		snprintf(hex, sizeof hex, "%s", known);
	else
		NS_TRY(ns_sha256_file(hex, path));
	return json_array_append_new(job->outputs, json_pack("{s:s, s:s}", "file", name, "sha256", hex))
		       ? ns_fail(NS_INTERNAL, "%s: cannot be listed in run.json", path)
		       : NS_OK;
}

/* every file of the result with its digest, those in subfolders too: by this list a file is recognised as ours later */
static enum ns_status list_outputs(struct ns_job *job, const char *below)
{
	char folder[NS_PATH_MAX], name[NS_PATH_MAX];
	struct ns_names names;
	enum ns_status status;
	size_t i;

	NS_TRY(ns_path(folder, "%s/%s", job->dir, below));
	NS_TRY(ns_list(folder, &names));
	for (status = NS_OK, i = 0; i < names.count && status == NS_OK; i++) {
		if (!*below && (!strcmp(names.name[i], NS_MARKER) || !strcmp(names.name[i], "run.json")))
			continue;
		status = ns_path(name, "%s%s", below, names.name[i]);
		if (status == NS_OK)
			status = list_output(job, name);
	}
	ns_names_release(&names);
	return status;
}

struct used {
	json_t *joules; /* null where a node does not report them */
	int64_t memory; /* bytes, of the rank with the most */
};

/* Collective: all nodes' joules, each counted by its first rank; the ranks' memory. */
static enum ns_status what_was_used(struct ns_job *job, struct used *used)
{
	struct ns_energy now;
	struct rusage usage;
	int64_t sums[2] = {0, 0}, *memory = calloc((size_t)job->comm->size, sizeof *memory); /* microjoules; nodes that do not report them */
	enum ns_status status;
	int r;

	if (!memory)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d ranks", job->comm->size);
	if (job->comm->local_rank == 0) {
		ns_energy_read(&now, NS_ENERGY_FOLDER);
		sums[0] = ns_energy_between(&job->energy, &now);
		sums[1] = sums[0] < 0;
	}
	getrusage(RUSAGE_SELF, &usage);
	memory[job->comm->rank] = (int64_t)usage.ru_maxrss * 1024;
	NS_GO(ns_comm_sum_i64(job->comm, sums, 2));
	NS_GO(ns_comm_sum_i64(job->comm, memory, (size_t)job->comm->size));
	for (used->memory = 0, r = 0; r < job->comm->size; r++)
		used->memory = memory[r] > used->memory ? memory[r] : used->memory;
	used->joules = sums[1] ? json_null() : json_real((double)sums[0] * 1e-6);
out:
	free(memory);
	return status;
}

static json_t *run_record(struct ns_job *job, const struct used *used)
{
	json_t *run = json_pack("{s:s, s:s, s:o, s:O, s:O, s:O}", "schema", "nightshift.run/1", "verb", job->verb, "config",
				ns_json_clean(job->conf->values), "inputs", job->inputs, "outputs", job->outputs, "counts", job->counts);

	if (!run)
		return NULL;
	json_object_set_new(run, "outputs_of", json_string("tree")); /* those in subfolders too: see host/run/ours.c */
	json_object_set_new(run, "code", json_string(NS_CODE_VERSION));
	json_object_set_new(run, "seed", json_integer(ns_conf_int(job->conf, "seed")));
	json_object_set_new(run, "ranks", json_integer(job->comm->size));
	json_object_set_new(run, "threads", json_integer(ns_workers_count(job->workers)));
	if (job->set->count) {
		json_object_set_new(run, "device", json_string(job->set->description));
		json_object_set(run, "implementations", job->set->chosen);
	}
	json_object_set_new(run, "slurm", slurm_facts());
	json_object_set_new(run, "start", json_integer(job->start_time));
	json_object_set_new(run, "end", json_integer((int64_t)time(NULL)));
	json_object_set_new(run, "seconds", json_real(ns_now() - job->start));
	json_object_set(run, "energy_joules", used->joules);
	json_object_set_new(run, "peak_memory_bytes", json_integer(used->memory));
	return run;
}

static enum ns_status publish(struct ns_job *job, const struct used *used)
{
	char path[NS_PATH_MAX];
	json_t *run;
	enum ns_status status;

	NS_TRY(list_outputs(job, ""));
	run = run_record(job, used);
	if (!run)
		return ns_fail(NS_INTERNAL, "%s: cannot make the record of the run", job->out);
	status = ns_path(path, "%s/run.json", job->dir);
	if (status == NS_OK)
		status = ns_json_write(path, run);
	json_decref(run);
	return status == NS_OK ? ns_outdir_publish(&job->outdir) : status;
}

enum ns_status ns_job_publish(struct ns_job *job)
{
	struct used used;
	enum ns_status status;

	NS_TRY(what_was_used(job, &used));
	status = job->comm->rank == 0 ? publish(job, &used) : NS_OK;
	json_decref(used.joules);
	NS_TRY(ns_job_agree(job, status));
	if (*job->outdir.warning)
		ns_log_warn(job->log, "%s", job->outdir.warning);
	ns_log_event(job->log, "published",
		     json_pack("{s:s, s:o, s:f, s:O}", "verb", job->verb, "out", ns_json_string(ns_conf_text(job->conf, "out")), "seconds",
			       ns_now() - job->start, "counts", job->counts));
	return NS_OK;
}

/* --- devices --- */

static void note_choice(void *user, const struct ns_op *op, const char *impl)
{
	struct ns_device_set *set = user;

	/* only worker 0's device has this callback, so no lock is needed */
	json_object_set_new(set->chosen, ns_op_name(op->kind), json_string(impl));
}

/* auto: the GPU where there is one that can be opened, else the processor; a GPU asked for by name is never replaced */
static enum ns_status find_backend(const struct ns_backend **backend, const char *name, int index)
{
	struct ns_device *dev;

	if (!strncmp(name, "auto/", 5))
		name += 5;
	if (strcmp(name, "auto"))
		return ns_backend_get(backend, name);
	if (ns_backend_get(backend, "cuda") == NS_OK && (*backend)->open(&dev, index) == NS_OK) {
		(*backend)->close(dev);
		return NS_OK;
	}
	return ns_backend_get(backend, "cpu");
}

enum ns_status ns_device_set_open(struct ns_device_set *set, const struct ns_conf *conf, struct ns_workers *workers)
{
	return set->count ? NS_OK : ns_device_set_open_by(set, ns_conf_text(conf, "device"), workers);
}

enum ns_status ns_device_set_open_by(struct ns_device_set *set, const char *device, struct ns_workers *workers)
{
	int n = ns_workers_count(workers), i;

	NS_TRY(find_backend(&set->backend, device, set->gpu));
	if (!set->backend->host_memory && n < NS_DEVICE_QUEUES)
		n = NS_DEVICE_QUEUES;
	set->devices = calloc((size_t)n, sizeof *set->devices);
	set->queues = calloc((size_t)n, sizeof *set->queues);
	set->chosen = json_object();
	if (!set->devices || !set->queues || !set->chosen)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d devices", n);
	for (i = 0; i < n; i++) {
		struct ns_device **dev = &set->devices[i];

		NS_TRY(set->backend->open(dev, set->gpu));
		set->count++; /* from here on ns_device_set_close() knows of it */
		NS_TRY(set->backend->queue_make(&set->queues[i], *dev));
		(*dev)->force = getenv("NS_FORCE");
		NS_TRY(ns_force_check(*dev));
		if (i == 0) {
			(*dev)->chosen = note_choice;
			(*dev)->chosen_user = set;
			set->backend->describe(*dev, set->description, sizeof set->description);
		}
	}
	return NS_OK;
}

enum ns_status ns_device_set_hold(struct ns_device_set *set, const char *device, struct ns_workers *workers)
{
	int gpu = set->gpu;

	if (set->count && !strcmp(set->backend->name, device))
		return NS_OK;
	ns_device_set_close(set);
	set->gpu = gpu;
	return ns_device_set_open_by(set, device, workers);
}

void ns_device_set_close(struct ns_device_set *set)
{
	int i;

	for (i = 0; i < set->count; i++) {
		set->backend->queue_free(set->queues[i]);
		set->backend->close(set->devices[i]);
	}
	free(set->devices);
	free(set->queues);
	json_decref(set->chosen);
	memset(set, 0, sizeof *set);
}

enum ns_status ns_job_require(const struct ns_job *job, const char *key, const char *flag, const char **text)
{
	*text = ns_conf_text(job->conf, key);
	return *text ? NS_OK : ns_fail(NS_USAGE, "%s: the option --%s is required", job->verb, flag);
}
