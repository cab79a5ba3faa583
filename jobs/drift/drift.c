/* jobs/drift/drift.c - drift: read two windows, test, decide, publish. Definitions: docs/drift.md. */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"
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
		       {"prob", s->ref.prob.d, s->cur.prob.d},
		       {"embedding", s->ref.embedding.d, s->cur.embedding.d},
		       {"pred", s->ref.pred != NULL, s->cur.pred != NULL}};
	char text[128];
	size_t i;

	for (i = 0; i < sizeof columns / sizeof *columns; i++)
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
			"%s alarms in %lld of %lld deals of the reference, more than alpha = %g: what was taken together is alike; see drift.sequence_seconds",
			ns_drift_self_name(k), (long long)s->self_alarms[k], (long long)s->self_rounds[k], s->alpha);
		quality(s, "self-test", text);
	}
}

/* Reports what can never alarm by itself: MMD with too few permutations for tonight's level, or no deciding detector at all. */
static void look_at_reach(struct ns_drift *s)
{
	char text[224];
	double least;
	int i, decides = 0;

	for (i = 0; i < s->count; i++)
		decides |= s->tests[i].method->decides;
	if (!decides)
		quality(s, "nothing decides", "drift.detectors names none that decides (ks, chi2, mmd): the status is of labels alone");
	for (i = 0; i < s->count; i++) {
		const struct ns_drift_test *t = &s->tests[i];

		if (strcmp(t->method->name, "mmd") || isnan(t->p))
			continue;
		least = fmin(1, 1 / ns_drift_joint_share(s) / (1.0 + s->permutations));
		/* Holm rejects below alpha, Benjamini-Hochberg and the history at or below their level */
		if ((least < s->alpha || (least <= s->alpha && !strcmp(ns_conf_text(s->job->conf, "drift.correction"), "bh"))) &&
		    (!s->past || least <= s->level))
			continue;
		snprintf(text, sizeof text,
			 "mmd cannot alarm by itself: its least adjusted p is %.2g with drift.permutations = %d, less than %.2g is wanted", least,
			 s->permutations, s->past ? fmin(s->alpha, s->level) : s->alpha);
		quality(s, "out of reach", text);
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
	NS_TRY(check_models(a, b));
	for (i = 0; a->stats_names && b->stats_names && i < a->stats.d; i++)
		if (strcmp(a->stats_names[i], b->stats_names[i]))
			return ns_fail(NS_BAD_DATA, "image statistic %d is '%s' in the reference, '%s' in the current window", i, a->stats_names[i],
				       b->stats_names[i]);
	if (a->names && b->names)
		return ns_classes_agree((const char *const *)a->names, a->class_names, "the reference", (const char *const *)b->names, b->class_names,
					"the current window");
	return NS_OK;
}

static json_t *test_json(const struct ns_drift_test *t)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "kind", t->kind, "column", t->column, "slice",
			      *t->slice ? t->slice : "all", "detector", t->method->name, "statistic", ns_json_real(t->statistic), "p",
			      ns_json_real(t->p), "p_adjusted", ns_json_real(t->p_adjusted), "effect", ns_json_real(t->effect), "effect_low",
			      ns_json_real(t->effect_low), "effect_high", ns_json_real(t->effect_high), "status", ns_drift_status_name(t->status));

	if (t->note)
		json_object_set_new(j, "note", json_string(t->note));
	return j;
}

static json_t *top_json(const struct ns_drift *s)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < s->top_count; i++) {
		char id[24];
		int k = s->cur.pred ? s->cur.pred[s->top[i].row] : -1;

		snprintf(id, sizeof id, "%016llx", (unsigned long long)s->top[i].id);
		json_array_append_new(list, json_pack("{s:s, s:o, s:s?, s:I}", "id", id, "score", ns_json_real(s->top[i].score), "class",
						      k >= 0 && s->cur.names && k < s->cur.class_names ? s->cur.names[k] : NULL, "row",
						      (json_int_t)s->top[i].row));
	}
	return list;
}

static json_t *performance_json(const struct ns_drift *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:s}", "measured", ns_json_real(s->measured), "estimated",
			 ns_json_real(s->cbpe), "low", ns_json_real(s->measured_low), "high", ns_json_real(s->measured_high), "audited",
			 (json_int_t)s->audited, "suspect_labels", (json_int_t)s->suspects, "baseline", ns_json_real(s->base), "estimated_baseline",
			 ns_json_real(s->cbpe_ref), "atc", ns_json_real(s->atc), "reweighted", ns_json_real(s->reweighted), "method",
			 "estimated: mean calibrated confidence (CBPE), an upper bound under covariate shift; measured: audited rows, Wilson");
}

static json_t *slices_json(const struct ns_drift *s)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < s->slice_count; i++) {
		const struct ns_slice *l = &s->slices[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:b, s:I, s:I, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "slice", l->name, "status",
						ns_drift_status_name(l->status), "guarded", l->guarded, "reference_rows", (json_int_t)l->ref_rows,
						"current_rows", (json_int_t)l->cur_rows, "moved", ns_json_real(l->moved), "column", l->column,
						"confidence_reference", ns_json_real(l->confidence_ref), "confidence", ns_json_real(l->confidence),
						"baseline", ns_json_real(l->base), "measured", ns_json_real(l->measured), "low", ns_json_real(l->low),
						"high", ns_json_real(l->high), "audited", (json_int_t)l->audited));
	}
	return list;
}

static json_t *label_shift_json(const struct ns_drift *s)
{
	json_t *weights = json_array(), *low = json_array(), *high = json_array();
	int i;

	for (i = 0; s->weights && i < s->cur.prob.d; i++) {
		json_array_append_new(weights, ns_json_real(s->weights[i]));
		json_array_append_new(low, ns_json_real(s->weights_low ? s->weights_low[i] : NAN));
		json_array_append_new(high, ns_json_real(s->weights_high ? s->weights_high[i] : NAN));
	}
	return json_pack("{s:o, s:o, s:o, s:o}", "weights", weights, "low", low, "high", high, "condition", ns_json_real(s->condition));
}

/* the alarm budget over many nights: tonight's evidence, its level, and the alarms so far */
static json_t *budget_json(const struct ns_drift *s)
{
	if (!s->past)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:b, s:o, s:o}", "rule",
			 "e-LOND (Xu, Ramdas 2024): the expected share of false alarms among alarms is at most alpha", "windows",
			 (json_int_t)s->window, "alarms_before", (json_int_t)s->rejected_before, "rejected", s->rejected, "evidence",
			 ns_json_real(s->evidence), "p_needed", ns_json_real(s->level));
}

/* how often each detector alarms on random splits of the reference, where nothing has shifted */
static json_t *self_json(const struct ns_drift *s)
{
	json_t *all = json_object();
	int k;

	for (k = 0; k < NS_SELF_TEST_KINDS; k++) {
		double low, high;

		if (!s->self_rounds[k])
			continue;
		ns_stat_wilson(s->self_alarms[k], s->self_rounds[k], &low, &high);
		json_object_set_new(all, ns_drift_self_name(k),
				    json_pack("{s:I, s:I, s:f, s:f}", "rounds", (json_int_t)s->self_rounds[k], "alarms",
					      (json_int_t)s->self_alarms[k], "low", low, "high", high));
	}
	return all;
}

static json_t *sequences_json(const struct ns_drift *s)
{
	if (!s->ref_block)
		return json_null();
	return json_pack("{s:I, s:I, s:f, s:f, s:s}", "reference_blocks", (json_int_t)s->ref_blocks, "current_blocks", (json_int_t)s->cur_blocks,
			 "reference_effective", s->ref_effective, "current_effective", s->cur_effective, "rule",
			 "effective: independent rows that would know a column's mean as well (design effect), of the column where they are fewest");
}

static json_t *methods_json(const struct ns_drift *s)
{
	json_t *all = json_object();
	int i;

	for (i = 0; i < s->count; i++) {
		const struct ns_drift_detector *m = s->tests[i].method;

		if (!json_object_get(all, m->name))
			json_object_set_new(all, m->name,
					    json_pack("{s:s, s:b, s:s, s:s, s:s, s:s}", "title", m->title, "decides", m->decides, "statistic",
						      m->statistic, "effect", m->effect, "meaning", m->meaning, "source", m->source));
	}
	return all;
}

static enum ns_status to_json(struct ns_drift *s)
{
	json_t *tests = json_array();
	int i;

	for (i = 0; i < s->count; i++)
		json_array_append_new(tests, test_json(&s->tests[i]));
	s->json = json_pack(
		"{s:s, s:s, s:s, s:{s:s, s:I}, s:{s:s, s:I}, s:f, s:s, s:I, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:b, s:s}, s:o, s:O}",
		"schema", "nightshift.drift/1", "status", ns_drift_status_name(s->status), "summary", s->summary, "reference", "digest",
		s->ref.digest, "rows", (json_int_t)s->ref.rows, "current", "digest", s->cur.digest, "rows", (json_int_t)s->cur.rows, "alpha",
		s->alpha, "correction", ns_conf_text(s->job->conf, "drift.correction"), "seed", (json_int_t)s->seed, "permutations", s->permutations,
		"tests", tests, "methods", methods_json(s), "slices", slices_json(s), "performance", performance_json(s), "label_shift",
		label_shift_json(s), "alarm_budget", budget_json(s), "self_test", self_json(s), "sequences", sequences_json(s), "manifest", "emit",
		s->emit, "because", s->because, "top", top_json(s), "quality", s->quality);
	return s->json ? NS_OK : ns_fail(NS_INTERNAL, "cannot build drift.json: a value is not representable in JSON, or out of memory");
}

static enum ns_status setup(struct ns_drift *s)
{
	struct ns_job *job = s->job;
	const char *policy = ns_conf_text(job->conf, "drift.policy"), *correction, *emit;
	const json_t *one;
	size_t at;

	if (policy) {
		char hex[NS_SHA256_HEX];

		NS_TRY(ns_sha256_file(hex, policy));
		NS_TRY(ns_conf_file_under(job->conf, policy, "drift"));
		ns_job_input(job, "policy", policy, hex);
	}
	correction = ns_conf_text(job->conf, "drift.correction");
	emit = ns_conf_text(job->conf, "drift.emit");
	if (strcmp(correction, "holm") && strcmp(correction, "bh"))
		return ns_fail(NS_CONFIG, "drift.correction = '%s', expected holm or bh", correction);
	if (strcmp(emit, "harmful") && strcmp(emit, "material"))
		return ns_fail(NS_CONFIG, "drift.emit = '%s', expected harmful or material", emit);
	one = ns_conf_node(job->conf, "drift.detectors");
	if (one && !json_is_null(one) && !json_is_array(one))
		return ns_fail(NS_CONFIG, "drift.detectors: expected a list, such as [ks, chi2, mmd]");
	json_array_foreach(ns_conf_node(job->conf, "drift.detectors"), at, one)
		if (!json_is_string(one) || !ns_drift_detector(json_string_value(one))->name)
			return ns_fail(NS_CONFIG, "drift.detectors: '%s' is no detector", json_is_string(one) ? json_string_value(one) : "?");
	s->alpha = ns_conf_real(job->conf, "drift.alpha");
	s->min_effect = ns_conf_real(job->conf, "drift.min_effect");
	s->tolerance = ns_conf_real(job->conf, "drift.tolerance");
	s->permutations = (int)ns_conf_int(job->conf, "drift.permutations");
	s->seed = (uint64_t)ns_conf_int(job->conf, "seed");
	s->quality = json_array();
	if (s->alpha < 1.0 / (s->permutations + 1))
		return ns_fail(NS_CONFIG, "drift.alpha = %g cannot be reached with drift.permutations = %d, which must be at least %d", s->alpha,
			       s->permutations, (int)ceil(1 / s->alpha));
	return NS_OK;
}

static void release(struct ns_drift *s)
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
	free(s->ref_block);
	free(s->cur_block);
	free(s->ref_confidence);
	free(s->cur_confidence);
	free(s->slices);
	for (i = 0; i < 4; i++)
		free(s->slice_rows[i]);
	json_decref(s->past);
	json_decref(s->quality);
	json_decref(s->json);
}

static enum ns_status write_results(struct ns_drift *s)
{
	char path[NS_PATH_MAX];

	NS_TRY(to_json(s));
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
	NS_GO(check_shapes(&s));
	NS_GO(ns_device_set_open(job->set, job->conf, job->workers));
	NS_GO(ns_job_begin(job, 0));
	look_at_quality(&s);
	NS_GO(ns_drift_find_sequences(&s));
	NS_GO(ns_drift_test_all(&s));
	doubt_self(&s);
	NS_GO(ns_drift_performance(&s));
	NS_GO(ns_drift_history_read(&s)); /* on all ranks, because all of them decide */
	ns_drift_decide(&s);
	look_at_reach(&s);
	ns_drift_policy(&s);
	ns_drift_summarise(&s);
	if (s.emit && !(ns_conf_text(job->conf, "drift.current_data") && ns_conf_text(job->conf, "drift.replay_data"))) {
		s.emit = 0; /* no manifest is written, so neither cool-down nor budget is spent */
		snprintf(s.because, sizeof s.because, "the status is %s, but --current-data and --replay-data do not say what to select from",
			 ns_drift_status_name(s.status));
		ns_log_warn(job->log, "no manifest: %s", s.because);
	}
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
	release(&s);
	return status;
}
