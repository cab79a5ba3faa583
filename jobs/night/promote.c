/* jobs/night/promote.c - moves of refs in the registry during a night: the first model, the candidate, what the gate lets through. */
#include "jobs/night/night_inner.h"

#include <string.h>

#include "host/registry/registry.h"
#include "jobs/release/release.h"

#define SHOWN "rollback, shown" /* why production moves back for a moment */

/* rank 0 alone */
static enum ns_status move(const struct ns_night *n, const char *ref, const char *digest, const char *expected, const char *why, const char *evidence)
{
	char warning[512];

	NS_TRY(ns_registry_move(n->registry, ref, digest, expected, why, evidence, warning));
	if (*warning)
		ns_log_warn(n->job->log, "%s", warning);
	return NS_OK;
}

static enum ns_status registry_move(struct ns_night *n, const char *ref, const char *digest, const char *expected, const char *why,
				    const char *evidence)
{
	enum ns_status status = NS_OK;

	if (n->job->comm->rank == 0)
		status = move(n, ref, digest, expected, why, evidence);
	return ns_job_agree(n->job, status);
}

static enum ns_status model_digest(const struct ns_night *n, const struct ns_step *s, char digest[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], name[NS_STEP_NAME + 16];

	snprintf(name, sizeof name, "%s/model.json", s->name);
	return ns_sha256_file(digest, ns_night_path(n, path, name));
}

/* Rank 0 alone. If two first nights of a site run at once, the model of the first to promote is production for both. */
static enum ns_status promote_first(const struct ns_night *n, const char *digest)
{
	char now[NS_SHA256_HEX], release[NS_SHA256_HEX];
	enum ns_status status;
	int is;

	NS_TRY(ns_registry_has(n->registry, "production", &is));
	if (is)
		return ns_registry_copy(n->registry, "production");
	NS_TRY(ns_night_first_release(n, digest, release));
	status = move(n, "production", release, "", "first model of this site", NULL);
	return status == NS_REFUSED ? ns_registry_ref(n->registry, "production", now) : status;
}

enum ns_status ns_night_first_model(struct ns_night *n, const struct ns_step *s)
{
	char digest[NS_SHA256_HEX];

	NS_TRY(model_digest(n, s, digest));
	return ns_job_agree(n->job, n->job->comm->rank == 0 ? promote_first(n, digest) : NS_OK);
}

enum ns_status ns_night_candidate(struct ns_night *n, const struct ns_step *s)
{
	char digest[NS_SHA256_HEX];

	NS_TRY(model_digest(n, s, digest));
	return registry_move(n, "candidate", digest, NULL, "retrained", NULL);
}

/*
 * Rolls production back and forward again, from release to release. The last log entry carries the evidence, by which look_back() knows it if the gate runs
 * again.
 */
static enum ns_status show_rollback(struct ns_night *n, const char *night, const char *before, const char *after, const char *evidence)
{
	char now[NS_SHA256_HEX], path[NS_PATH_MAX], name[2 * NS_STEP_NAME];
	json_t *json;
	enum ns_status status;
	int ok;

	NS_TRY(registry_move(n, "production", before, after, SHOWN, NULL));
	NS_TRY(ns_registry_ref(n->registry, "production", now));
	ok = !strcmp(now, before);
	NS_TRY(ns_comm_barrier(n->job->comm));
	NS_TRY(registry_move(n, "production", after, before, "forward again", evidence));
	NS_TRY(ns_registry_ref(n->registry, "production", now));
	ok &= !strcmp(now, after);
	json = json_pack("{s:s, s:b}", "schema", "nightshift.rollback/1", "rolled_back_and_forward", ok);
	snprintf(name, sizeof name, "%s/rollback.json", night);
	status = n->job->comm->rank == 0 ? ns_json_write(ns_night_path(n, path, name), json) : NS_OK;
	json_decref(json);
	return ns_job_agree(n->job, status);
}

enum { NOT_YET, PROMOTED, TAKEN_BACK };

struct moved { /* a gate's promotion, as the log has it */
	int64_t how, shown;
	char before[NS_SHA256_HEX], after[NS_SHA256_HEX]; /* what production named before it, and names by it */
};

/*
 * Rank 0 alone. Has this gate promoted already, and been killed before its record? Others may have promoted since. What a person took back since stays
 * so: the same evidence does not speak twice.
 */
static enum ns_status has_moved(const struct ns_night *n, const char *production, const char *candidate, const char *evidence, struct moved *m)
{
	json_t *log, *entry;
	size_t i;

	NS_TRY(ns_registry_production_log(n->registry, &log));
	json_array_foreach(log, i, entry) {
		const char *model = ns_json_text(entry, "model");

		if (!m->how) /* what it was before its newest move, in case it was not this gate's */
			snprintf(m->before, sizeof m->before, "%s", ns_json_text(entry, "old"));

		if (!strcmp(model, production) && m->how)
			m->how = strcmp(ns_json_text(entry, "why"), SHOWN) ? TAKEN_BACK : NOT_YET;
		if (strcmp(model, candidate) || strcmp(ns_json_text(entry, "evidence"), evidence))
			continue;
		m->how = PROMOTED;
		snprintf(m->before, sizeof m->before, "%s", ns_json_text(entry, "old"));
		snprintf(m->after, sizeof m->after, "%s", ns_json_text(entry, "new"));
	}
	json_decref(log);
	return NS_OK;
}

/* rank 0 alone */
static enum ns_status look_back(const struct ns_night *n, const char *night, const char *production, const char *candidate, const char *evidence,
				const char *release, struct moved *m)
{
	char path[NS_PATH_MAX], name[2 * NS_STEP_NAME], now[NS_SHA256_HEX], model[NS_SHA256_HEX];
	int shown;

	NS_TRY(has_moved(n, production, candidate, evidence, m));
	snprintf(name, sizeof name, "%s/rollback.json", night);
	NS_TRY(ns_exists(ns_night_path(n, path, name), &shown));
	m->shown = shown;
	if (m->how)
		return NS_OK;
	NS_TRY(ns_registry_production(n->registry, now, model));
	if (!strcmp(model, candidate)) { /* somebody else promoted it: there is nothing to move */
		snprintf(m->after, sizeof m->after, "%s", now);
		return NS_OK;
	}
	/* of another model the move is refused, and says so */
	snprintf(m->before, sizeof m->before, "%s", strcmp(model, production) ? production : now);
	snprintf(m->after, sizeof m->after, "%s", release);
	/* let through by a version that knew no releases */
	return *release ? NS_OK : ns_release_by_hand(n->registry, n->job->log, candidate, "passed its gate", m->after);
}

/*
 * The promotion is a compare-and-swap: if another night has moved production meanwhile, the comparison was with a model that is no longer
 * production, and the promotion is refused.
 */
enum ns_status ns_night_promote(struct ns_night *n, const char *night, const char *candidate, const char *production, const char *evidence,
				const char *release)
{
	struct moved m = {0};
	int first = n->job->comm->rank == 0;

	NS_TRY(ns_job_agree(n->job, first ? look_back(n, night, production, candidate, evidence, release, &m) : NS_OK));
	NS_TRY(ns_comm_broadcast(n->job->comm, &m, sizeof m, 0));
	if (m.how == TAKEN_BACK && first)
		ns_log_warn(n->job->log, "%s: model %.12s was promoted by this evidence and taken back since; it stays so", night, candidate);
	if (m.how)
		NS_TRY(ns_job_agree(n->job, first ? ns_registry_copy(n->registry, "production") : NS_OK));
	else
		NS_TRY(registry_move(n, "production", m.after, m.before, "passed the gate", evidence));
	if (m.how == TAKEN_BACK || (m.how && m.shown))
		return NS_OK;
	return n->show_rollback ? show_rollback(n, night, m.before, m.after, evidence) : NS_OK;
}
