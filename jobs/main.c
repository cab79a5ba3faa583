/* jobs/main.c - parses, calls the verb, and turns its status into a message and an exit code. */
#define _GNU_SOURCE
#include "jobs/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int exit_code(enum ns_status status)
{
	static const int codes[] = {
		[NS_OK] = 0,	     [NS_DECLINED] = 70,  [NS_USAGE] = 64,    [NS_INVALID] = 70, [NS_BAD_DATA] = 65,
		[NS_NO_DEVICE] = 69, [NS_NO_MEMORY] = 70, [NS_INTERNAL] = 70, [NS_IO] = 74,	 [NS_STOPPED] = 75,
		[NS_DIGEST] = 77,    [NS_CONFIG] = 78,	  [NS_REFUSED] = 1,   [NS_FINDING] = 1,
	};

	return codes[status];
}

static void usage(FILE *f)
{
	int v;

	fprintf(f, "usage: nightshift VERB [--config FILE.yaml] [--section.key=value ...] [--out PATH]\n\nverbs:\n");
	for (v = 0; v < NS_VERBS; v++)
		fprintf(f, "  %-9s %s\n", ns_verbs[v].name, ns_verbs[v].help);
	fprintf(f, "\nnightshift VERB --help tells a verb's keys; nightshift --version.\n");
}

static void verb_help(int verb)
{
	const struct ns_key *k;

	printf("usage: nightshift %s %s%s[--config FILE.yaml] [--key=value ...]%s\n\n%s\n\nkeys:\n", ns_verbs[verb].name, ns_verbs[verb].operands,
	       *ns_verbs[verb].operands ? " " : "", ns_verbs[verb].needs_out ? " --out PATH" : "", ns_verbs[verb].help);
	for (k = ns_keys; k->name; k++) {
		char name[64];

		if (!(k->verbs >> verb & 1) || !k->help)
			continue;
		snprintf(name, sizeof name, "--%s", k->flag ? k->flag : k->name);
		printf("  %-28s %s%s%s%s\n", name, k->help, strcmp(k->otherwise, "null") ? " [" : "",
		       strcmp(k->otherwise, "null") ? k->otherwise : "", strcmp(k->otherwise, "null") ? "]" : "");
	}
	printf("\nIn YAML a key a.b is written b under a. NS_FORCE=conv/ref,... picks implementations by hand.\n");
}

static int find_verb(const char *name)
{
	int v;

	for (v = 0; v < NS_VERBS; v++)
		if (!strcmp(ns_verbs[v].name, name))
			return v;
	return -1;
}

static enum ns_status unknown_verb(const char *name)
{
	const char *words[NS_VERBS + 1] = {NULL}, *near;
	int v;

	for (v = 0; v < NS_VERBS; v++)
		words[v] = ns_verbs[v].name;
	near = ns_nearest(name, words);
	return ns_fail(NS_USAGE, "unknown verb '%s'%s%s%s", name, near ? "; did you mean '" : "; see nightshift --help", near ? near : "",
		       near ? "'?" : "");
}

/* Reads --config first, wherever it stands, then the others in order; operands are left in argv. */
static enum ns_status parse(struct ns_conf *conf, int verb, int *argc, char **argv)
{
	int i, n = 0;

	for (i = 0; i < *argc; i++) {
		if (!strncmp(argv[i], "--config=", 9))
			NS_TRY(ns_conf_file(conf, argv[i] + 9));
		else if (!strcmp(argv[i], "--config") && i + 1 < *argc)
			NS_TRY(ns_conf_file(conf, argv[i + 1]));
		else if (!strcmp(argv[i], "--config"))
			return ns_fail(NS_USAGE, "--config: expected a file");
	}
	for (i = 0; i < *argc; i++) {
		char name[256], *eq, *value = NULL;
		const struct ns_key *k;

		if (strncmp(argv[i], "--", 2)) {
			argv[n++] = argv[i];
			continue;
		}
		eq = strchr(argv[i], '=');
		snprintf(name, sizeof name, "%.*s", (int)(eq ? eq - argv[i] - 2 : 250), argv[i] + 2);
		if (!strcmp(name, "config")) {
			i += !eq;
			continue;
		}
		k = ns_conf_key(conf, name, verb);
		if (eq)
			value = eq + 1;
		else if (k && k->type == NS_KEY_BOOL)
			value = "true";
		else if (i + 1 < *argc && k)
			value = argv[++i];
		NS_TRY(value ? ns_conf_set(conf, name, value, verb)
		       : k   ? ns_fail(NS_USAGE, "--%s: expected a value", name)
			     : ns_conf_set(conf, name, "", verb));
	}
	*argc = n;
	return NS_OK;
}

/* Collective. The number of ranks of this node, with this one, that may use exactly the same cores. */
static enum ns_status count_sharers(struct ns_comm *comm, const cpu_set_t *set, int *sharers)
{
	int64_t *mark = calloc(2 * (size_t)comm->size, sizeof *mark), *mine = mark + 2 * comm->rank;
	enum ns_status status;
	int r;

	if (!mark)
		return ns_fail(NS_NO_MEMORY, "out of memory for %d ranks", comm->size);
	mine[0] = comm->node;
	mine[1] = (int64_t)ns_xxh3(set, sizeof *set);
	status = ns_comm_sum_i64(comm, mark, 2 * (size_t)comm->size);
	for (*sharers = 0, r = 0; r < comm->size; r++)
		*sharers += mark[2 * r] == mine[0] && mark[2 * r + 1] == mine[1];
	free(mark);
	return status;
}

/*
 * Collective. The number of cores for this rank: those it is bound to, divided among the ranks bound to the same; or Slurm's
 * number where that is smaller and Slurm did not bind.
 */
static enum ns_status worker_count(const struct ns_conf *conf, struct ns_comm *comm, int *workers)
{
	int wanted = (int)ns_conf_int(conf, "threads"), sharers;
	const char *slurm = getenv("SLURM_CPUS_PER_TASK");
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof set, &set))
		CPU_ZERO(&set);
	NS_TRY(count_sharers(comm, &set, &sharers));
	*workers = CPU_COUNT(&set) / sharers;
	if (slurm && atoi(slurm) > 0 && atoi(slurm) < *workers)
		*workers = atoi(slurm);
	if (wanted > 0)
		*workers = wanted;
	if (*workers < 1)
		*workers = 1;
	return NS_OK;
}

static void print_conf(const struct ns_conf *conf, int rank)
{
	json_t *clean = ns_json_clean(conf->values);

	if (rank == 0)
		json_dumpf(clean, stdout, JSON_INDENT(1) | JSON_SORT_KEYS);
	json_decref(clean);
}

static void warn_of_retired(struct ns_log *log, const struct ns_conf *conf)
{
	const struct ns_key *k;

	for (k = conf->keys; k->name; k++)
		if (!k->help && ns_conf_given(conf, k->name))
			ns_log_warn(log, "the key %s has no effect any more; remove it from the configuration", k->name);
}

/* Runs a verb as a part of another: see ns_call_fn. */
static enum ns_status call_verb(struct ns_job *caller, int verb, struct ns_conf *conf, int argc, char **argv)
{
	struct ns_job job;
	enum ns_status status = ns_job_init(&job, ns_verbs[verb].name, conf, caller->comm, caller->log, caller->workers, caller->set);

	job.call = caller->call;
	if (status == NS_OK)
		status = ns_verbs[verb].run(&job, argc, argv);
	ns_job_release(&job);
	return status;
}

static enum ns_status run_verb(int verb, struct ns_conf *conf, struct ns_comm *comm, int argc, char **argv)
{
	struct ns_device_set set = {.gpu = comm->local_rank};
	struct ns_workers *workers = NULL;
	struct ns_job job = {0};
	struct ns_log log;
	enum ns_status status;
	int count;

	ns_log_init(&log, comm->rank, ns_conf_bool(conf, "json"));
	NS_TRY(worker_count(conf, comm, &count));
	NS_TRY(ns_workers_make(&workers, count));
	NS_GO(ns_job_init(&job, ns_verbs[verb].name, conf, comm, &log, workers, &set));
	job.call = call_verb;
	warn_of_retired(&log, conf);
	if (ns_conf_bool(conf, "dry_run"))
		print_conf(conf, comm->rank);
	else
		status = ns_verbs[verb].run(&job, argc, argv);
out:
	ns_job_release(&job);
	ns_device_set_close(&set);
	ns_workers_free(workers);
	return status;
}

/*
 * One error is one message: rank 0 prints at once and ends the job. Other ranks wait for it, in case all have the same error; a rank that
 * only learnt that another failed waits longest.
 */
static void complain(struct ns_comm *comm, enum ns_status status)
{
	struct timespec moment = {0, 0};

	if (comm->size < 2 && comm->rank > 0)
		return; /* started as one of several separate processes: the first has printed the error */
	if (comm->size > 1 && !strcmp(ns_message(), "another rank failed"))
		moment.tv_sec = 6;
	else if (comm->rank > 0)
		moment.tv_sec = 2;
	signal(SIGTERM, SIG_DFL); /* lets the launcher end this rank while it waits */
	nanosleep(&moment, NULL);
	fprintf(stderr, "nightshift: %s\n", ns_message());
	if (comm->size > 1 && status != NS_STOPPED && status != NS_FINDING && status != NS_REFUSED)
		ns_comm_abort(comm, exit_code(status));
}

/* Opens descriptors 0, 1 and 2 if the caller has closed them: else files would get these numbers, and messages be written into them. */
static void keep_standard_files(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

/* Where nothing is published, the printed text is the result: losing it is an error. */
static int printed(void)
{
	int bad = ferror(stdout) | fflush(stdout);

	if (bad)
		fprintf(stderr, "nightshift: standard output cannot be written: %s\n", strerror(errno));
	return bad ? 74 : 0;
}

static int prints(int verb, const struct ns_conf *conf)
{
	return !ns_verbs[verb].needs_out || ns_conf_bool(conf, "dry_run") || ns_conf_bool(conf, "night.plan");
}

int main(int argc, char **argv)
{
	struct ns_conf conf = {0};
	struct ns_comm comm = {0};
	enum ns_status status, parsed = NS_OK;
	char said[1024] = "";
	int verb, i, count, code;

	keep_standard_files();
	signal(SIGXFSZ, SIG_IGN); /* a file at its size limit is an error of writing, like a full disk */
	if (argc == 3 && !strcmp(argv[1], "help") && find_verb(argv[2]) >= 0) {
		verb_help(find_verb(argv[2]));
		return printed();
	}
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || (argc == 2 && !strcmp(argv[1], "help"))) {
		usage(argc < 2 ? stderr : stdout);
		return argc < 2 ? 64 : printed();
	}
	if (!strcmp(argv[1], "--version")) {
		printf("nightshift %s\n", NS_CODE_VERSION);
		return printed();
	}
	verb = find_verb(argv[1]);
	if (!strcmp(argv[1], "help"))
		argv[1] = argv[2]; /* not a verb, so parsing it reports the error */
	for (i = 2; verb >= 0 && i < argc; i++) {
		if (!strcmp(argv[i], "--man")) {
			ns_man_page(stdout, verb);
			return printed();
		}
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			verb_help(verb);
			return printed();
		}
	}
	count = argc - 2;
	status = verb < 0 ? unknown_verb(argv[1]) : ns_conf_init(&conf, ns_keys);
	if (status == NS_OK) { /* parsed before MPI starts, because it sets comm.timeout; rank 0 reports what is wrong */
		parsed = parse(&conf, verb, &count, argv + 2);
		snprintf(said, sizeof said, "%s", ns_message());
		comm.timeout = ns_conf_real(&conf, "comm.timeout");
		status = ns_comm_open(&comm, &argc, &argv);
	}
	if (status == NS_OK && parsed != NS_OK)
		status = ns_fail(parsed, "%s", said);
	if (status == NS_OK)
		status = run_verb(verb, &conf, &comm, count, argv + 2);
	if (status != NS_OK && !((status == NS_STOPPED || status == NS_FINDING || status == NS_REFUSED) && comm.rank > 0))
		complain(&comm, status);
	code = exit_code(status);
	if (!code && comm.rank == 0 && prints(verb, &conf))
		code = printed();
	ns_comm_close(&comm);
	ns_conf_release(&conf);
	return code;
}
