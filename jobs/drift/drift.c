/* jobs/drift/drift.c - drift: read two windows, test, decide, publish. Definitions: docs/drift.md. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
#include "datasets/labels/labels.h"
#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"

static void quality(struct ns_drift *s, const char *what, const char *detail)
{
	json_array_append_new(s->quality, json_pack("{s:s, s:s}", "flag", what, "detail", detail));
	ns_log_warn(s->job->log, "%s: %s", what, detail);
}

/* Rows and columns that cannot be judged are reported, never silently dropped. */
static void look_at_quality(struct ns_drift *s)
{
	const struct {
		const char *name;
		int ref, cur;
	} columns[] = {{"stats", s->ref.stats.d, s->cur.stats.d},
		       {"embedding", s->ref.embedding.d, s->cur.embedding.d},
		       {"prob", s->ref.prob.d, s->cur.prob.d},
		       {"pred", s->ref.pred != NULL, s->cur.pred != NULL}};
	char text[128];
	size_t i, n = sizeof columns / sizeof *columns -
		      (s->ref.monitor.d && s->cur.monitor.d ? 2 : 0); /* answers of another kind are in their place */

	for (i = 0; i < n; i++)
		if (!columns[i].ref || !columns[i].cur) {
			snprintf(text, sizeof text, "%s is missing in the %s: what needs it is not tested", columns[i].name,
				 columns[i].ref ? "current window" : "reference");
			quality(s, "missing column", text);
		}
	if (s->cur.rows < 30 || s->ref.rows < 30) {
		snprintf(text, sizeof text, "%lld reference and %lld current rows: only large shifts can be seen", (long long)s->ref.rows,
			 (long long)s->cur.rows);
		quality(s, "small window", text);
	}
}

#define SELF_LEVEL 0.01 /* for all detectors' self-tests together; low, because every night runs them */

/* A detector that alarms on the reference itself more often than alpha explains is not to be trusted on this data. */
static void doubt_self(struct ns_drift *s)
{
	char text[192];
	int k;

	for (k = 0; k < NS_SELF_TEST_KINDS; k++) {
		if (!s->self_rounds[k] || ns_stat_binomial_sf(s->self_alarms[k], s->self_rounds[k], s->alpha) >= SELF_LEVEL / NS_SELF_TEST_KINDS)
			continue;
		snprintf(
			text, sizeof text,
			"%s alarms in %lld of %lld random splits of the reference, more than alpha = %g: what was taken together is alike; see drift.sequence_seconds",
			ns_drift_self_name(k), (long long)s->self_alarms[k], (long long)s->self_rounds[k], s->alpha);
		quality(s, "self-test", text);
	}
}

/* Reports what can never alarm by itself: MMD with too few permutations, or no deciding detector at all. */
static void look_at_reach(struct ns_drift *s)
{
	char text[224];
	double least;
	int i, decides = s->past != NULL; /* nights decide among themselves */

	for (i = 0; i < s->count; i++)
		decides |= s->tests[i].method->decides;
	if (!decides)
		quality(s, "nothing decides", "drift.detectors names none that decides (ks, chi2, mmd): the status is of labels alone");
	for (i = 0; i < s->count; i++) {
		const struct ns_drift_test *t = &s->tests[i];

		if (strcmp(t->method->name, "mmd") || isnan(t->p) || s->past)
			continue;
		least = fmin(1, 1 / ns_drift_joint_share(s) / (1.0 + s->permutations));
		/* Holm rejects below alpha, Benjamini-Hochberg at or below it */
		if (least < s->alpha || (least <= s->alpha && !strcmp(s->correction, "bh")))
			continue;
		snprintf(text, sizeof text,
			 "mmd cannot alarm by itself: its least adjusted p is %.2g with drift.permutations = %d, less than %.2g is wanted", least,
			 s->permutations, s->alpha);
		quality(s, "out of reach", text);
	}
}

/* Cameras that see nothing, or are not there, and groups that the reference does not know. */
static void look_at_groups(struct ns_drift *s)
{
	char text[224];
	int i, new = 0;
	const char *first = NULL;

	if (s->past && s->ref.stats.d > NS_JUDGE_COLUMNS) {
		snprintf(text, sizeof text, "%d image statistics: the first %d are judged among the nights, the others are only described",
			 s->ref.stats.d, NS_JUDGE_COLUMNS);
		quality(s, "many columns", text);
	}
	if (s->dead) {
		snprintf(text, sizeof text, "%s%s: no images, or all of them alike; is the camera dead?", ns_drift_dead(s),
			 s->dead > 1 ? " and others" : "");
		quality(s, "dead group", text);
	}
	for (i = 0; i < s->slice_count; i++)
		if (!strncmp(s->slices[i].name, "group ", 6) && !s->slices[i].ref_rows) {
			first = first ? first : s->slices[i].name;
			new ++;
		}
	if (!new)
		return;
	snprintf(text, sizeof text, "%s%s: the reference has no image of it%s", first, new > 1 ? " and others" : "",
		 isnan(s->base) ? "" : "; guarded, its labels are held to the accuracy of all");
	quality(s, "new group", text);
}

/* What is not asked of each of many classes. */
static void look_at_classes(struct ns_drift *s)
{
	char text[224];
	int k = ns_drift_class_count(s);

	if (s->picks) {
		snprintf(text, sizeof text,
			 "%d classes: the probabilities of the %d that are predicted most are tested one by one, those of all others as their sum", k,
			 s->picks - 1);
		quality(s, "many classes", text);
	}
	if (s->base_rows == s->ref.rows && s->ref.prob.d > NS_BBSE_CLASSES) {
		snprintf(text, sizeof text,
			 "label shift is estimated of up to %d classes, and these are %d: weights from so large a confusion matrix would be noise",
			 NS_BBSE_CLASSES, s->ref.prob.d);
		quality(s, "many classes", text);
	}
}

/*
 * Both windows must come from one model: compared by its digest where both have one, else by weights and temperature (a baseline is part
 * of its model and cannot contain that model's digest).
 */
static enum ns_status check_models(const struct ns_predictions *a, const struct ns_predictions *b)
{
	int by_model = *a->model && *b->model, by_weights = !by_model && *a->weights && *b->weights;
	const char *x = by_model ? a->model : a->weights, *y = by_model ? b->model : b->weights;

	if ((by_model || by_weights) && strcmp(x, y))
		return ns_fail(NS_BAD_DATA,
			       "the reference was predicted by %s %.16s.., the current window by %.16s..: predictions of two models "
			       "cannot be compared; predict both with one model",
			       by_model ? "model" : "weights", x, y);
	/* model.json keeps nine digits of the temperature */
	if (by_weights && !(fabs(a->temperature - b->temperature) <= 1e-6 * fabs(b->temperature)))
		return ns_fail(NS_BAD_DATA, "the reference was predicted at temperature %g, the current window at %g: predict both with one model",
			       a->temperature, b->temperature);
	return NS_OK;
}

static enum ns_status check_shapes(const struct ns_drift *s)
{
	const struct ns_predictions *a = &s->ref, *b = &s->cur;
	int i;

	if (a->prob.d && b->prob.d && a->prob.d != b->prob.d)
		return ns_fail(NS_BAD_DATA, "the reference has %d classes, the current window %d", a->prob.d, b->prob.d);
	if (a->embedding.d && b->embedding.d && a->embedding.d != b->embedding.d)
		return ns_fail(NS_BAD_DATA, "embeddings of the reference have %d dimensions, of the current window %d", a->embedding.d,
			       b->embedding.d);
	if (a->stats.d && b->stats.d && a->stats.d != b->stats.d)
		return ns_fail(NS_BAD_DATA, "the reference has %d image statistics, the current window %d", a->stats.d, b->stats.d);
	if (a->monitor.d && b->monitor.d && a->monitor.d != b->monitor.d)
		return ns_fail(NS_BAD_DATA, "answers of the reference have %d columns, of the current window %d", a->monitor.d, b->monitor.d);
	NS_TRY(check_models(a, b));
	for (i = 0; a->stats_names && b->stats_names && i < a->stats.d; i++)
		if (strcmp(a->stats_names[i], b->stats_names[i]))
			return ns_fail(NS_BAD_DATA, "image statistic %d is '%s' in the reference, '%s' in the current window", i, a->stats_names[i],
				       b->stats_names[i]);
	for (i = 0; a->monitor_names && b->monitor_names && i < a->monitor.d; i++)
		if (strcmp(a->monitor_names[i], b->monitor_names[i]))
			return ns_fail(NS_BAD_DATA, "column %d of the answers is '%s' in the reference, '%s' in the current window", i,
				       a->monitor_names[i], b->monitor_names[i]);
	if (a->class_names && b->class_names)
		return ns_classes_agree((const char *const *)a->names, a->class_names, "the reference", (const char *const *)b->names, b->class_names,
					"the current window");
	return NS_OK;
}

/* Times that are no seconds since 1970: said, and taken as what they are. */
static void look_at_times(struct ns_drift *s, struct ns_predictions *p, const char *which)
{
	char text[160];
	int64_t divisor = p->time ? ns_time_divisor(p->time, p->rows) : 1, i;

	if (divisor == 1)
		return;
	for (i = 0; i < p->rows; i++)
		p->time[i] /= divisor;
	snprintf(text, sizeof text, "the %s's times are taken as %s, not as seconds: those would be tens of thousands of years from now", which,
		 divisor == 1000      ? "milliseconds"
		 : divisor == 1000000 ? "microseconds"
				      : "nanoseconds");
	quality(s, "times", text);
}

/* Labels that people gave since: they belong to images, and so to this window whenever they come. */
static enum ns_status join_labels(struct ns_drift *s)
{
	int64_t joined;

	NS_TRY(ns_labels_join(s->job, s->registry, "any", &s->cur, &joined, s->labels));
	if (*s->labels)
		ns_job_input(s->job, "labels", s->registry, s->labels);
	ns_job_count(s->job, "labels_joined", joined);
	return NS_OK;
}

/* Groups are the same by their names, or, where neither side has any, by their numbers. */
static enum ns_status agree_groups(struct ns_drift *s)
{
	if (s->ref.groups.count && s->cur.groups.count)
		return ns_vocabulary_map(&s->ref.groups, s->cur.groups.words, s->cur.groups.count, s->cur.group, s->cur.rows);
	if (s->ref.group && s->cur.group && s->ref.groups.count != s->cur.groups.count) { /* a number is no index into names */
		ns_log_warn(s->job->log, "groups have names in the %s window alone, so that they are not tested as slices",
			    s->ref.groups.count ? "reference" : "current");
		free(s->ref.group);
		free(s->cur.group);
		s->ref.group = s->cur.group = NULL;
	}
	return NS_OK;
}

#define READ(member, key) NS_CONF_FIELD(struct ns_drift, member, key)
static const struct ns_conf_field settings[] = {
	READ(alpha, "drift.alpha"),
	READ(min_effect, "drift.min_effect"),
	READ(tolerance, "drift.tolerance"),
	READ(false_alarms, "drift.false_alarms"),
	READ(least_labels, "retrain.labels"),
	READ(cooldown_days, "drift.cooldown_days"),
	READ(sequence_seconds, "drift.sequence_seconds"),
	READ(old_floor, "gate.old_floor"),
	READ(old_estimate, "gate.old_estimate"),
	READ(retrain_lr, "retrain.lr"),
	READ(retrain_confidence, "retrain.confidence"),
	READ(permutations, "drift.permutations"),
	READ(projections, "drift.projections"),
	READ(self_test, "drift.self_test"),
	READ(hysteresis, "drift.hysteresis"),
	READ(budget, "drift.budget"),
	READ(by_slices, "drift.slices"),
	READ(memory, "drift.memory"),
	READ(replay, "retrain.replay"),
	READ(earlier, "retrain.earlier"),
	READ(audited_repeat, "retrain.audited_repeat"),
	READ(seed, "seed"),
	READ(correction, "drift.correction"),
	READ(emit_from, "drift.emit"),
	READ(label, "drift.label"),
	READ(history, "drift.history"),
	READ(current_data, "drift.current_data"),
	READ(replay_data, "drift.replay_data"),
	READ(release, "drift.release"),
	READ(registry, "registry"),
	READ(guarded, "drift.guarded"),
	READ(retrain_epochs, "retrain.epochs"),
};
#undef READ

static enum ns_status setup(struct ns_drift *s)
{
	struct ns_job *job = s->job;
	const char *policy = ns_conf_text(job->conf, "drift.policy");

	if (policy) {
		char hex[NS_SHA256_HEX];

		NS_TRY(ns_sha256_file(hex, policy));
		NS_TRY(ns_conf_file_under(job->conf, policy, "drift"));
		ns_job_input(job, "policy", policy, hex);
	}
	ns_conf_read(job->conf, settings, sizeof settings / sizeof *settings, s);
	if (!strcmp(ns_conf_text(job->conf, "train.optimizer"), "adamw") && !ns_conf_given(job->conf, "retrain.lr"))
		s->retrain_lr /= 100; /* as train.lr is of each optimiser, unless it is given */
	if (strcmp(s->correction, "holm") && strcmp(s->correction, "bh"))
		return ns_fail(NS_CONFIG, "drift.correction = '%s', expected holm or bh", s->correction);
	if (strcmp(s->emit_from, "harmful") && strcmp(s->emit_from, "material"))
		return ns_fail(NS_CONFIG, "drift.emit = '%s', expected harmful or material", s->emit_from);
	NS_TRY(ns_drift_enable(s, ns_conf_node(job->conf, "drift.detectors")));
	s->quality = json_array();
	if (s->alpha < 1.0 / (s->permutations + 1))
		return ns_fail(NS_CONFIG, "drift.alpha = %g cannot be reached with drift.permutations = %d, which must be at least %d", s->alpha,
			       s->permutations, (int)ceil(1 / s->alpha));
	return NS_OK;
}

static void drift_release(struct ns_drift *s)
{
	int i;

	ns_predictions_release(&s->ref);
	ns_predictions_release(&s->cur);
	free(s->tests);
	free(s->weights);
	free(s->weights_low);
	free(s->weights_high);
	free(s->pca);
	free(s->pca_mean);
	free(s->pick);
	free(s->picked);
	ns_texts_free(s->pick_names, NS_DRIFT_CLASSES);
	free(s->ref_block);
	free(s->cur_block);
	free(s->ref_confidence);
	free(s->cur_confidence);
	free(s->slices);
	for (i = 0; i < 4; i++)
		free(s->slice_rows[i]);
	ns_effects_release(&s->effects);
	free(s->tracks);
	json_decref(s->past);
	json_decref(s->quality);
	json_decref(s->json);
}

static enum ns_status write_results(struct ns_drift *s)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_drift_to_json(s));
	NS_TRY(ns_path(path, "%s/drift.json", s->job->dir));
	NS_TRY(ns_json_write(path, s->json));
	NS_TRY(ns_path(path, "%s/drift.html", s->job->dir));
	return ns_drift_page(s, path);
}

enum ns_status ns_job_drift(struct ns_job *job, int argc, char **argv)
{
	struct ns_drift s = {.job = job};
	const char *ref, *cur;
	enum ns_status status;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "drift: takes no operand; --reference and --current are required");
	NS_TRY(ns_job_require(job, "drift.reference", "reference", &ref));
	NS_TRY(ns_job_require(job, "drift.current", "current", &cur));
	NS_GO(setup(&s));
	NS_GO(ns_drift_open(job, &s.ref, ref));
	NS_GO(ns_drift_open(job, &s.cur, cur));
	NS_GO(join_labels(&s));
	NS_GO(check_shapes(&s));
	NS_GO(agree_groups(&s));
	NS_GO(ns_device_set_open(job->set, job->conf, job->workers));
	NS_GO(ns_job_begin(job, 0));
	look_at_quality(&s);
	look_at_times(&s, &s.ref, "reference");
	look_at_times(&s, &s.cur, "current window");
	NS_GO(ns_drift_find_sequences(&s));
	NS_GO(ns_drift_test_all(&s));
	doubt_self(&s);
	NS_GO(ns_drift_performance(&s));
	look_at_classes(&s);
	NS_GO(ns_drift_effects(&s));
	NS_GO(ns_drift_history_read(&s)); /* on all ranks, because all of them decide */
	NS_GO(ns_drift_judge_nights(&s));
	ns_drift_judge_harm(&s);
	ns_drift_decide(&s);
	look_at_reach(&s);
	ns_drift_policy(&s);
	ns_drift_summarise(&s);
	if (s.emit && !(s.current_data && s.replay_data)) {
		s.emit = 0; /* no manifest is written, so neither cool-down nor budget is spent */
		snprintf(s.because, sizeof s.because, "the status is %s, but --current-data and --replay-data do not say what to select from",
			 ns_drift_status_name(s.status));
		ns_log_warn(job->log, "no manifest: %s", s.because);
	}
	ns_drift_next(&s);
	look_at_groups(&s);
	NS_GO(ns_job_agree(job, job->comm->rank == 0 ? write_results(&s) : NS_OK));
	if (s.emit)
		NS_GO(ns_job_agree(job, job->comm->rank == 0 ? ns_manifest_emit(&s) : NS_OK));
	NS_GO(ns_job_agree(job, job->comm->rank == 0 ? ns_drift_history_write(&s) : NS_OK));
	ns_log_event(job->log, "verdict",
		     json_pack("{s:s, s:s, s:o, s:o}", "status", ns_drift_status_name(s.status), "summary", s.summary, "estimated",
			       ns_json_real(s.cbpe), "measured", ns_json_real(s.measured)));
	ns_job_input(job, "reference", ref, s.ref.digest);
	ns_job_input(job, "current", cur, s.cur.digest);
	ns_job_count(job, "reference_rows", s.ref.rows);
	ns_job_count(job, "current_rows", s.cur.rows);
	NS_GO(ns_job_publish(job));
	if (s.status != NS_DRIFT_NONE && ns_conf_bool(job->conf, "exit_code"))
		status = ns_fail(NS_FINDING, "drift found: %s", ns_drift_status_name(s.status));
out:
	drift_release(&s);
	return status;
}
