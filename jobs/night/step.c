/*
 * jobs/night/step.c - one step of a night: look at those before it, do it or keep it, leave a record. The record is what the
 * steps after it and the report go by; that a launcher returned 0 is no proof of anything.
 */
#define _POSIX_C_SOURCE 200809L
#include "host/base/base.h"
#include "jobs/night/night_inner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 10 /* seconds for a record of another node to come into sight (NFS keeps absent names for a while) */

enum verdict { GO, SKIP, BLOCK, BLOCK_AND_TRY_AGAIN };

/* --- records --- */

static double wall_clock(void)
{
	struct timeval t;

	gettimeofday(&t, NULL);
	return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

static json_t *where(const struct ns_job *job)
{
	static const char *const names[] = {"SLURM_JOB_ID",	   "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID",
					    "SLURM_RESTART_COUNT", "SLURM_JOB_NODELIST", "SLURM_JOB_PARTITION"};
	char host[64] = "";
	json_t *w = json_object();
	size_t i;

	gethostname(host, sizeof host - 1);
	json_object_set_new(w, "host", json_string(host));
	json_object_set_new(w, "ranks", json_integer(job->comm->size));
	json_object_set_new(w, "threads", json_integer(ns_workers_count(job->workers)));
	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (getenv(names[i]))
			json_object_set_new(w, names[i], json_string(getenv(names[i])));
	return w;
}

struct record {
	const struct ns_step *step;
	int task, tries;
	double first, start; /* of its first attempt and of this one */
};

/* what the result's own record says of the run that made it */
static void add_facts(json_t *record, const char *result)
{
	static const char *const facts[] = {"seconds", "counts", "peak_memory_bytes", "energy_joules", "device"};
	char path[NS_PATH_MAX];
	json_t *run;
	size_t i;

	if (ns_path(path, "%s/run.json", result) != NS_OK || ns_json_read(path, &run, NULL) != NS_OK)
		return;
	for (i = 0; i < sizeof facts / sizeof *facts; i++)
		json_object_set(record, facts[i], json_object_get(run, facts[i]));
	json_decref(run);
}

/* rank 0 alone */
static enum ns_status write_record(struct ns_night *n, const struct record *r, const char *state, const char *why, int again, const char *result)
{
	char path[NS_PATH_MAX];
	json_t *json =
		NS_JSON_OBJECT({"schema", json_string("nightshift.step/1")}, {"step", json_string(r->step->name)}, {"task", json_integer(r->task)},
			       {"state", json_string(state)}, {"why", ns_json_string(why)}, {"try_again", json_boolean(again)},
			       {"starts", json_integer(r->tries)}, {"first_start", json_real(r->first)}, {"start", json_real(r->start)},
			       {"end", strcmp(state, "running") ? json_real(wall_clock()) : json_null()}, {"where", where(n->job)});
	enum ns_status status;
	char *text;

	if (!json)
		return ns_fail(NS_INTERNAL, "%s: its record cannot be made", r->step->name);
	if (result)
		add_facts(json, result);
	ns_step_record_path(n->dir, r->step->name, r->task, path);
	text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
	status = text ? ns_write_file(path, text, strlen(text)) : ns_fail(NS_NO_MEMORY, "%s: no memory for its record", r->step->name);
	free(text);
	json_decref(json);
	return status;
}

/* A record that stands decides what runs next; if its folder could not be flushed, that is a warning and no failed step. */
static enum ns_status settle(struct ns_night *n, const struct record *r, const char *state, const char *why, const char *result)
{
	enum ns_status status = write_record(n, r, state, why, 0, result);
	char said[1024];
	json_t *record;

	if (status == NS_OK)
		return status;
	snprintf(said, sizeof said, "%s", ns_message());
	if (strcmp(ns_step_state(n->dir, r->step->name, r->task, &record), state))
		status = ns_fail(status, "%s", said);
	else {
		ns_log_warn(n->job->log, "%s", said);
		status = NS_OK;
	}
	json_decref(record);
	return status;
}

/* --- results --- */

static void result_path(const struct ns_night *n, const struct ns_step *s, int task, char path[NS_PATH_MAX])
{
	char name[NS_STEP_NAME + 16];

	if (task >= 0)
		snprintf(name, sizeof name, "%s/%05d", s->name, task);
	else
		snprintf(name, sizeof name, "%s", s->name);
	ns_night_path(n, path, name);
}

/* the result of a task that was merged is gone, and is not wanted again */
static int is_kept(const struct ns_night *n, const struct ns_step *s, int task, const char *result)
{
	char path[NS_PATH_MAX], whole[NS_PATH_MAX];
	int is;

	if (ns_path(path, "%s/run.json", result) == NS_OK && ns_exists(path, &is) == NS_OK && is)
		return 1;
	if (task < 0)
		return 0;
	ns_night_path(n, whole, s->name);
	whole[strlen(whole) - strlen(".parts")] = 0;
	return ns_path(path, "%s/run.json", whole) == NS_OK && ns_exists(path, &is) == NS_OK && is;
}

int ns_step_is_done(const struct ns_night *n, const struct ns_step *s, int task)
{
	char result[NS_PATH_MAX];
	json_t *record;
	int done = !strcmp(ns_step_state(n->dir, s->name, task, &record), "done");

	json_decref(record);
	result_path(n, s, task, result);
	return done && (s->run || is_kept(n, s, task, result));
}

/* --- those before it --- */

/* A name that was looked for in vain may be remembered as absent by a client of NFS; reading the folder asks the server. */
static void look_again(const struct ns_night *n, const char *folder)
{
	char path[NS_PATH_MAX];
	struct ns_names names;

	if (ns_list(ns_night_path(n, path, folder), &names) == NS_OK)
		ns_names_release(&names);
}

/* no retrain.json is a verdict, so it has to be surely absent: 1 there, 0 not there, -1 cannot be told */
static int has_manifest(const struct ns_night *n, const struct ns_step *s)
{
	char path[NS_PATH_MAX], name[2 * NS_STEP_NAME];
	int is;

	snprintf(name, sizeof name, "%s/drift", s->night);
	look_again(n, name);
	strncat(name, "/retrain.json", sizeof name - strlen(name) - 1);
	return ns_exists(ns_night_path(n, path, name), &is) == NS_OK ? is : -1;
}

static enum verdict look_at(const struct ns_night *n, const struct ns_step *before, int task, char why[512])
{
	json_t *record;
	const char *state = ns_step_state(n->dir, before->name, task, &record);
	enum verdict verdict = GO;
	char name[NS_STEP_NAME + 16];

	if (task >= 0)
		snprintf(name, sizeof name, "%s, task %d", before->name, task);
	else
		snprintf(name, sizeof name, "%s", before->name);
	if (!strcmp(state, "done")) {
		if (!ns_step_is_done(n, before, task)) { /* not yet in sight, or somebody removed it */
			snprintf(why, 512, "%.250s: its record says done, but its result is not there", name);
			verdict = BLOCK_AND_TRY_AGAIN;
		}
	} else if (!strcmp(state, "skipped")) {
		verdict = GO;
	} else if (!strcmp(state, "none") || !strcmp(state, "running") || json_is_true(json_object_get(record, "try_again"))) {
		snprintf(why, 512, "%.250s: has no commit record (it is '%s')", name, state);
		verdict = BLOCK_AND_TRY_AGAIN;
	} else {
		/* of a chain of blocked steps the reason of the first */
		if (!strcmp(state, "blocked"))
			snprintf(why, 512, "%.500s", ns_json_text(record, "why"));
		else
			snprintf(why, 512, "%.200s: failed (%.300s)", name, ns_json_text(record, "why"));
		verdict = BLOCK;
	}
	json_decref(record);
	return verdict;
}

static enum verdict all_before(const struct ns_night *n, const struct ns_step *s, char why[512])
{
	enum verdict worst = GO;
	char reason[512];
	int i, t;

	for (i = 0; i < s->after_count; i++) {
		const struct ns_step *before = &n->steps[s->after[i]];

		for (t = before->tasks ? 0 : -1; t < (before->tasks ? before->tasks : 0); t++) {
			enum verdict v = look_at(n, before, t, reason);

			if (v == BLOCK || (v == BLOCK_AND_TRY_AGAIN && worst == GO)) {
				snprintf(why, 512, "%s", reason);
				worst = v;
			}
			if (v == BLOCK)
				return worst;
		}
	}
	return worst;
}

/* Is there anything to do for a step that depends on what the night finds? */
static enum verdict has_to(const struct ns_night *n, const struct ns_step *s, char why[512])
{
	char production[NS_SHA256_HEX], first[NS_SHA256_HEX];
	int asked, busy, manifest;

	if (ns_trial_asked(n, s->night, &asked, &busy) != NS_OK) {
		snprintf(why, 512, "%.500s", ns_message());
		return BLOCK_AND_TRY_AGAIN;
	}
	if (s->only_if == NS_IF_TRIAL) {
		snprintf(why, 512, "no candidate is on trial");
		return asked ? GO : SKIP;
	}
	manifest = has_manifest(n, s);
	if (manifest < 0) {
		snprintf(why, 512, "%s/drift cannot be read", s->night);
		return BLOCK_AND_TRY_AGAIN;
	}
	if (!manifest || busy) {
		snprintf(why, 512, "%s", manifest ? "a candidate is on trial" : "the verdict asks for no retraining");
		return SKIP;
	}
	if (s->only_if != NS_IF_NOT_FIRST)
		return GO;
	if (ns_night_production_known(n, s->night, production) != NS_OK || ns_night_first(n, first) != NS_OK) {
		snprintf(why, 512, "%.500s", ns_message());
		return BLOCK_AND_TRY_AGAIN;
	}
	snprintf(why, 512, "production is the first model");
	return strcmp(production, first) ? GO : SKIP;
}

/* rank 0 alone */
static enum verdict decide(const struct ns_night *n, const struct ns_step *s, int lone, char why[512])
{
	enum verdict v = GO;
	double until = ns_now() + PATIENCE;

	if (lone && !s->always)
		for (;;) {
			struct timespec moment = {0, 300000000};

			v = all_before(n, s, why);
			if (v != BLOCK_AND_TRY_AGAIN || ns_now() > until)
				break;
			nanosleep(&moment, NULL);
			look_again(n, "steps");
			look_again(n, s->night);
		}
	return v != GO || s->only_if == NS_IF_ANYWAY ? v : has_to(n, s, why);
}

/* --- doing it --- */

/* a result that is there; a task's may have become part of the whole one */
static enum ns_status sync_result(const char *path)
{
	int is;

	NS_TRY(ns_exists(path, &is));
	return is ? ns_sync_parent(path) : NS_OK;
}

static enum ns_status do_it(struct ns_night *n, const struct ns_step *s, int task)
{
	char result[NS_PATH_MAX];
	enum ns_status flushed = NS_OK;
	int64_t kept = 0;

	if (s->run)
		return s->run(n, s);
	result_path(n, s, task, result);
	if (n->job->comm->rank == 0)
		kept = is_kept(n, s, task, result);
	NS_TRY(ns_comm_broadcast(n->job->comm, &kept, sizeof kept, 0));
	if (kept && n->job->comm->rank == 0) /* who published it may have been killed before its name was flushed */
		flushed = sync_result(result);
	if (kept)
		NS_TRY(ns_job_agree(n->job, flushed));
	if (kept && n->job->comm->rank == 0 && ns_outdir_sweep(result) != NS_OK) /* the result is there, whatever lies beside it */
		ns_log_warn(n->job->log, "%s", ns_message());
	if (kept)
		ns_log_event(n->job->log, "kept", json_pack("{s:s}", "out", result));
	else
		NS_TRY(ns_step_call(n, s, task, result));
	return s->then ? s->then(n, s) : NS_OK;
}

/* Whether the same again may end otherwise: a full disk or a lost node may, bad data and bad configuration do not. */
static int may_change(enum ns_status status)
{
	return status == NS_IO || status == NS_NO_DEVICE || status == NS_NO_MEMORY || status == NS_INTERNAL || status == NS_STOPPED;
}

/* rank 0 alone */
static enum ns_status begin(struct ns_night *n, struct record *r)
{
	char path[NS_PATH_MAX];
	json_t *old;

	NS_TRY(ns_mkdirs(ns_night_path(n, path, "steps")));
	ns_step_state(n->dir, r->step->name, r->task, &old);
	r->tries = (int)ns_json_number(old, "starts", 0) + 1;
	r->first = ns_json_number(old, "first_start", r->start);
	json_decref(old);
	return write_record(n, r, "running", "", 1, NULL);
}

enum ns_status ns_step_run(struct ns_night *n, const struct ns_step *s, int task, int lone)
{
	struct record r = {.step = s, .task = task, .start = wall_clock()};
	int64_t verdict = GO;
	char why[512] = "", result[NS_PATH_MAX], said[1024];
	enum ns_status status = NS_OK, recorded = NS_OK;
	int first = n->job->comm->rank == 0;

	if (first)
		status = begin(n, &r);
	NS_TRY(ns_job_agree(n->job, status));
	if (first)
		verdict = decide(n, s, lone, why);
	NS_TRY(ns_comm_broadcast(n->job->comm, &verdict, sizeof verdict, 0));
	if (verdict == SKIP) {
		ns_log_event(n->job->log, "skipped", json_pack("{s:s, s:s}", "step", s->name, "why", why));
		return ns_job_agree(n->job, first ? settle(n, &r, "skipped", why, NULL) : NS_OK);
	}
	if (verdict != GO) {
		if (first)
			recorded = write_record(n, &r, "blocked", why, verdict == BLOCK_AND_TRY_AGAIN, NULL);
		NS_TRY(ns_job_agree(n->job, recorded));
		return ns_fail(NS_IO, "%s: cannot begin: %s", s->name, *why ? why : "another step is missing");
	}
	status = do_it(n, s, task);
	result_path(n, s, task, result);
	if (status == NS_OK)
		return ns_job_agree(n->job, first ? settle(n, &r, "done", "", result) : NS_OK);
	/* the others may hang in a collective or be gone: no agreement on this */
	snprintf(said, sizeof said, "%s", ns_message());
	if (first)
		(void)write_record(n, &r, status == NS_STOPPED ? "stopped" : "failed", said, may_change(status) && !n->settled, NULL);
	return ns_fail(status, "%s", said);
}
