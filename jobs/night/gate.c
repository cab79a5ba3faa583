/* jobs/night/gate.c - whether a candidate may replace production: rules on old images, and evidence of a gain on new ones. */
#include "jobs/night/night_inner.h"

#include <math.h>
#include <string.h>

#include "host/judge/judge.h"
#include "host/registry/registry.h"

static enum ns_status read_json(const struct ns_night *n, const char *night, const char *name, json_t **json)
{
	char path[NS_PATH_MAX], file[2 * NS_STEP_NAME];

	snprintf(file, sizeof file, "%s/%s", night, name);
	return ns_json_read(ns_night_path(n, path, file), json, NULL);
}

/* A rule of gate.json. */
static void add_rule(json_t *rules, const char *rule, int held, const json_t *measured)
{
	json_array_append_new(rules, NS_JSON_OBJECT({"rule", json_string(rule)}, {"held", json_boolean(held)},
						    {"measured", measured ? json_deep_copy(measured) : json_null()}));
}

/*
 * Not worse on old images: the lower bound and the estimate of the change. What few images cannot tell is not refused by chance: of an equal model
 * that differs on as many of them nine of ten pass.
 */
static int no_worse(const struct ns_night *n, const json_t *against)
{
	double rows = ns_json_number(against, "rows", 0), change = ns_json_number(against, "change", -1), low = ns_json_number(against, "low", -1);
	/* two more than differ: of models that never do, few images would still leave a lower bound below the floor */
	double s = sqrt(ns_json_number(against, "better", 0) + ns_json_number(against, "worse", 0) + 2) / fmax(1, rows);

	if (!(rows > 0)) /* nothing was compared */
		return 0;
	return low > fmin(n->old_floor, -3.24 * s) && change > fmin(n->old_estimate, -1.28 * s);
}

/* What the gate goes by: evaluations in pairs, of which `first` may be missing. */
struct evaluations {
	json_t *old, *new, *first, *drift;
};

static enum ns_status read_evaluations(const struct ns_night *n, const char *night, struct evaluations *e)
{
	NS_TRY(read_json(n, night, "gate-old/evaluation.json", &e->old));
	NS_TRY(read_json(n, night, "gate-new/evaluation.json", &e->new));
	NS_TRY(read_json(n, night, "drift.json", &e->drift));
	return ns_night_load(n, night, "gate-first/evaluation.json", &e->first);
}

static void release_evaluations(struct evaluations *e)
{
	json_decref(e->old);
	json_decref(e->new);
	json_decref(e->first);
	json_decref(e->drift);
}

/* gate.json but for what becomes of it. *harmless: no rule but that of a gain speaks against it. */
static json_t *judge(const struct ns_night *n, const struct evaluations *e, int *harmless)
{
	const json_t *old = json_object_get(e->old, "against"), *new = json_object_get(e->new, "against"),
		     *first = json_object_get(e->first, "against");
	const json_t *worse = json_object_get(old, "worse_classes");
	int tonight = json_is_true(json_object_get(e->drift, "same_night")), kept = no_worse(n, old), kept_first = !first || no_worse(n, first);
	json_t *rules = json_array();

	add_rule(
		rules,
		"evidence of a gain on labelled rows that did not call for the retraining: those of later nights, or, where the other half called for it by itself, the gate's half of tonight's",
		tonight && ns_json_number(new, "log_evidence", -1) >= log(NS_GATE_EVIDENCE), tonight ? new : NULL);
	add_rule(rules, "on the old test images the change keeps its lower bound and its estimate", kept, old);
	if (first)
		add_rule(rules, "likewise against the first model that was in production", kept_first, first);
	if (json_array_size(worse))
		add_rule(rules, "no class of the old test images is surely worse", 0, json_array_get(worse, 0));
	*harmless = kept && kept_first && !json_array_size(worse);
	return NS_JSON_OBJECT({"schema", json_string("nightshift.gate/2")}, {"same_night", json_boolean(tonight)}, {"rules", rules},
			      {"old_floor", json_real(n->old_floor)}, {"old_estimate", json_real(n->old_estimate)});
}

/* What it goes by becomes part of the registry: whoever asks later why a model was let through finds it there. */
static enum ns_status put_evidence(const struct ns_night *n, const char *night, json_t *gate)
{
	static const char *const files[][2] = {{"drift", "drift.json"},
					       {"manifest", "retrain.json"},
					       {"selection", "selection.h5"},
					       {"gate_old", "gate-old/evaluation.json"},
					       {"gate_new", "gate-new/evaluation.json"},
					       {"gate_first", "gate-first/evaluation.json"}};
	json_t *all = json_object();
	size_t i;
	int is;

	json_object_set_new(gate, "evidence", all);
	for (i = 0; i < sizeof files / sizeof *files; i++) {
		char path[NS_PATH_MAX], file[2 * NS_STEP_NAME], digest[NS_SHA256_HEX];

		snprintf(file, sizeof file, "%s/%s", night, files[i][1]);
		NS_TRY(ns_exists(ns_night_path(n, path, file), &is));
		if (!is)
			continue;
		NS_TRY(ns_registry_put(n->registry, path, digest));
		json_object_set_new(all, files[i][0], json_string(digest));
	}
	return NS_OK;
}

/* Rank 0 alone. Judges, writes gate.json, and opens the candidate's trial; *passed: it is to be promoted now. */
static enum ns_status gate_judge(struct ns_night *n, const char *night, const char *production, const char *candidate, int64_t *passed,
				 char evidence[NS_SHA256_HEX], char release[NS_SHA256_HEX])
{
	char path[NS_PATH_MAX], name[2 * NS_STEP_NAME];
	struct evaluations e = {NULL, NULL, NULL, NULL};
	json_t *gate = NULL, *trial = NULL;
	enum ns_status status;
	int harmless, tonight;

	NS_GO(read_evaluations(n, night, &e));
	gate = judge(n, &e, &harmless);
	NS_GO(gate ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the gate"));
	json_object_set_new(gate, "candidate", json_string(candidate));
	json_object_set_new(gate, "production", json_string(production));
	NS_GO(put_evidence(n, night, gate));
	snprintf(name, sizeof name, "%s/gate.json", night);
	NS_GO(ns_json_write(ns_night_path(n, path, name), gate));
	NS_GO(ns_registry_put(n->registry, path, evidence));
	tonight = json_is_true(json_object_get(gate, "same_night"));
	NS_GO(ns_trial_open(n, night, candidate, production, evidence, tonight ? e.new : NULL, harmless, &trial));
	*passed = ns_trial_is(trial, "passed");
	snprintf(release, NS_SHA256_HEX, "%s", ns_json_text(trial, "release"));
	ns_log_event(n->job->log, "gate",
		     json_pack("{s:s, s:s, s:o, s:o}", "night", night, "state", ns_json_text(trial, "state"), "gain_new",
			       ns_json_real(ns_json_number(json_object_get(e.new, "against"), "change", NAN)), "change_old",
			       ns_json_real(ns_json_number(json_object_get(e.old, "against"), "change", NAN))));
out:
	release_evaluations(&e);
	json_decref(gate);
	json_decref(trial);
	return status;
}

enum ns_status ns_night_gate(struct ns_night *n, const struct ns_step *s)
{
	char production[NS_SHA256_HEX], candidate[NS_SHA256_HEX], evidence[NS_SHA256_HEX] = "", release[NS_SHA256_HEX] = "";
	char path[NS_PATH_MAX], name[2 * NS_STEP_NAME];
	int64_t passed = 0;

	NS_TRY(ns_night_production(n, s->night, production));
	snprintf(name, sizeof name, "%s/candidate/model.json", s->night);
	NS_TRY(ns_sha256_file(candidate, ns_night_path(n, path, name)));
	NS_TRY(ns_job_agree(n->job, n->job->comm->rank == 0 ? gate_judge(n, s->night, production, candidate, &passed, evidence, release) : NS_OK));
	NS_TRY(ns_comm_broadcast(n->job->comm, &passed, sizeof passed, 0));
	NS_TRY(ns_comm_broadcast(n->job->comm, evidence, sizeof evidence, 0));
	NS_TRY(ns_comm_broadcast(n->job->comm, release, sizeof release, 0));
	return passed ? ns_night_promote(n, s->night, candidate, production, evidence, release) : NS_OK;
}
