/*
 * jobs/drift/harm.c - the accuracy that labels show, as one number a night: the mean confidence of all rows, and what labelled rows say of its error. Tonight's
 * is judged among the nights of the release: docs/judgement.md.
 */
#include "jobs/drift/drift_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/registry/registry.h"
#include "jobs/curate/curate.h"

#define SHARE_HALF .025 /* of drift.false_alarms, out of the guarded slices' */
#define BASELINE   250	/* labels of the first nights that make a baseline where the reference has none */
#define NEAR	   .2	/* labels a night by which thresholds stay what they are */

/* What rows say: of all of them, and of those with labels. */
struct said {
	double rows, confidence, spread;   /* mean and variance */
	double labels, correction, within; /* effective labelled rows; mean and mean square of (hit - confidence) */
};

static double confidence_at(const float *confidence, int64_t row)
{
	return confidence ? (double)confidence[2 * row] : 0;
}

/* row (n): which rows, NULL: the first n; without: rows whose labels are not looked at, or NULL. */
static enum ns_status look(const struct ns_predictions *p, const float *confidence, const int32_t *row, int64_t n, const uint8_t *without,
			   const int32_t *block, int64_t blocks, struct said *out)
{
	float *d = malloc(sizeof *d * (size_t)(n + 1)), *weight = malloc(sizeof *weight * (size_t)(n + 1));
	int32_t *of = malloc(sizeof *of * (size_t)(n + 1));
	double square = 0, all = 0, squares = 0;
	int64_t i, k = 0;

	memset(out, 0, sizeof *out);
	out->rows = (double)n;
	for (i = 0; d && of && weight && i < n; i++) {
		int64_t r = row ? row[i] : i;
		double c = confidence_at(confidence, r);

		out->confidence += c / (double)n;
		square += c * c / (double)n;
		if (!p->label || !p->pred || p->label[r] < 0 || (without && without[r]))
			continue;
		of[k] = block ? block[r] : 0;
		weight[k] = p->weight ? p->weight[r] : 1;
		all += (double)weight[k];
		squares += (double)weight[k] * (double)weight[k];
		d[k++] = (float)((p->label[r] == p->pred[r]) - c);
	}
	out->spread = fmax(0, square - out->confidence * out->confidence);
	for (i = 0; i < k; i++) {
		out->correction += (double)weight[i] * (double)d[i] / all;
		out->within += (double)weight[i] * (double)d[i] * (double)d[i] / all;
	}
	if (!confidence) /* nothing is foretold: what wanders is the hits themselves */
		out->within -= out->correction * out->correction;
	/* rows of unequal weights say less than as many of equal ones: Kish's effective number */
	out->labels = k ? ns_drift_effective_rows(d, block ? of : NULL, k, blocks) * (all * all / squares / (double)k) : 0;
	free(d);
	free(of);
	free(weight);
	return d && of && weight ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the labels of %lld rows", (long long)n);
}

static double accuracy_of(const struct said *a)
{
	return a->labels > 0 ? a->confidence + a->correction : NAN;
}

static enum ns_status add_track(struct ns_drift *s, const char *name, const struct ns_slice *l, const uint8_t *without, double share)
{
	struct ns_harm_track *t = &s->tracks[s->track_count++];
	struct said now, then;

	snprintf(t->name, sizeof t->name, "%s", name);
	NS_TRY(look(&s->cur, s->cur_confidence, l ? l->cur : NULL, l ? l->cur_rows : s->cur.rows, without, s->cur_block, s->cur_blocks, &now));
	NS_TRY(look(&s->ref, s->ref_confidence, l ? l->ref : NULL, l ? l->ref_rows : s->ref.rows, NULL, s->ref_block, s->ref_blocks, &then));
	if (l && then.labels < NS_SLICE_ROWS) /* a group that the reference lacks, or nearly, is held to what the reference has */
		NS_TRY(look(&s->ref, s->ref_confidence, NULL, s->ref.rows, NULL, s->ref_block, s->ref_blocks, &then));
	t->verdict = (struct ns_harm_verdict){.fall = NAN, .low = NAN, .high = NAN};
	t->labels = now.labels;
	t->accuracy = accuracy_of(&now);
	t->noise = now.labels > 0 ? ns_harm_noise(fmax(now.within, .25 / fmax(now.labels, 1) / fmax(now.labels, 1)), now.labels, now.spread, now.rows)
				  : NAN;
	if (!l && s->gate_labels > 0) {
		then.labels = s->gate_labels;
		then.correction = s->gate_accuracy - then.confidence;
	}
	t->world = (struct ns_harm_world){.accuracy = accuracy_of(&then),
					  .spread = then.spread,
					  .rows = now.rows,
					  .labels = now.labels,
					  .baseline = then.labels,
					  .tolerance = s->tolerance,
					  .budget = s->false_alarms * share};
	t->baseline = then.labels;
	return NS_OK;
}

/* What the release under which the model is production holds it to comes before that: a person may have accepted what it does now. */
static enum ns_status take_thresholds(struct ns_drift *s)
{
	char digest[NS_SHA256_HEX], model[NS_SHA256_HEX] = "";
	json_t *release;
	const json_t *held;

	if (s->release) /* what production was when the night asked, whatever it is by now */
		snprintf(digest, sizeof digest, "%s", s->release);
	else
		NS_TRY(ns_registry_production(s->registry, digest, model));
	if (!*digest)
		return NS_OK;
	NS_TRY(ns_registry_release(s->registry, digest, &release, model));
	if (strcmp(model, s->cur.model)) {
		json_decref(release);
		return NS_OK;
	}
	held = json_object_get(release, "thresholds");
	if (json_object_get(held, "labels")) {
		s->gate_labels = ns_json_number(held, "labels", 0);
		s->gate_accuracy = ns_json_number(held, "accuracy", NAN);
	}
	json_decref(release);
	return NS_OK;
}

/* Is its model one that nothing here trains (those of other tasks than classify, and some that came as ONNX, or came before that was found out; one that is not in the registry is not known to be)? And the rate that suits it. */
static enum ns_status take_kind(struct ns_drift *s)
{
	char path[NS_PATH_MAX];
	const json_t *arch;
	json_t *model;
	int is, onnx;

	if (ns_registry_object(s->registry, s->cur.model, path) != NS_OK)
		return NS_OK;
	NS_TRY(ns_is_file(path, &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_json_read(path, &model, "nightshift.model/1"));
	arch = json_object_get(model, "architecture");
	onnx = !strcmp(ns_json_text(arch, "family"), "onnx");
	s->untrained = json_object_get(arch, "task") || (onnx && !json_object_get(json_object_get(model, "trains"), "parameters"));
	/* normalisations that do not learn from batches bear no high rates */
	if (onnx && strcmp(ns_json_text(arch, "normalisations"), "batch") != 0 && !ns_conf_given(s->job->conf, "retrain.lr"))
		s->retrain_lr /= strcmp(ns_conf_text(s->job->conf, "train.optimizer"), "adamw") ? 10 : 3;
	json_decref(model);
	return NS_OK;
}

/*
 * A model that a gate let through is held to what the gate's labels said of it, on images of its time: its reference shows those that its predecessor was made
 * for. The trial of this model, by the registry; what is not there leaves the reference's baseline.
 */
static enum ns_status take_gate(struct ns_drift *s)
{
	json_t *list, *entry;
	size_t i;
	enum ns_status status;

	if (!s->registry || !*s->cur.model)
		return NS_OK;
	NS_TRY(take_kind(s));
	status = ns_registry_trials(s->registry, s->job->log, &list);
	json_array_foreach(list, i, entry) {
		const json_t *trial = json_object_get(entry, "trial");

		if (!strcmp(ns_json_text(trial, "candidate"), s->cur.model) && ns_json_number(trial, "rows", 0) > 0)
			s->gate_accuracy = ns_trial_accuracy(trial, &s->gate_labels);
		s->on_trial = ns_trial_is_open(trial, s->cur.model);
	}
	json_decref(list);
	return status == NS_OK ? take_thresholds(s) : status;
}

/* Of ranks that see different registries rank 0's counts. */
static enum ns_status find_gate(struct ns_drift *s)
{
	double facts[5];

	NS_TRY(ns_job_agree(s->job, s->job->comm->rank == 0 ? take_gate(s) : NS_OK));
	facts[0] = s->gate_labels;
	facts[1] = s->gate_accuracy;
	facts[2] = s->on_trial;
	facts[3] = s->untrained;
	facts[4] = s->retrain_lr;
	NS_TRY(ns_comm_broadcast(s->job->comm, facts, sizeof facts, 0));
	s->gate_labels = facts[0] > 0 && !isnan(facts[1]) ? facts[0] : 0;
	s->gate_accuracy = facts[1];
	s->on_trial = facts[2] > 0;
	s->untrained = facts[3] > 0;
	s->retrain_lr = facts[4];
	return NS_OK;
}

enum ns_status ns_drift_tracks(struct ns_drift *s)
{
	uint8_t *gate = NULL;
	int guarded = 0, i;
	enum ns_status status = NS_OK;

	s->tracks = calloc(NS_HARM_TRACKS, sizeof *s->tracks);
	if (!s->tracks)
		return ns_fail(NS_NO_MEMORY, "out of memory for accuracies");
	NS_GO(find_gate(s));
	for (i = 0; i < s->slice_count; i++)
		guarded += s->slices[i].guarded;
	if (guarded > NS_HARM_TRACKS - 2)
		return ns_fail(NS_CONFIG, "drift.guarded names %d slices; at most %d can be guarded", guarded, NS_HARM_TRACKS - 2);
	NS_GO(add_track(s, "all", NULL, NULL, NS_SHARE_MEASURED));
	if (s->cur.id && s->cur.label) {
		gate = ns_gate_rows(s->cur.id, s->cur.label, s->cur_block, s->cur.rows, s->seed);
		NS_GO(gate ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the gate's rows"));
		NS_GO(add_track(s, "half", NULL, gate, SHARE_HALF));
	}
	for (i = 0; i < s->slice_count; i++)
		if (s->slices[i].guarded)
			NS_GO(add_track(s, s->slices[i].name, &s->slices[i], NULL, (NS_SHARE_GUARDED - SHARE_HALF) / guarded));
out:
	free(gate);
	return status;
}

const struct ns_harm_track *ns_drift_track(const struct ns_drift *s, const char *name)
{
	int i;

	for (i = 0; i < s->track_count; i++)
		if (!strcmp(s->tracks[i].name, name))
			return &s->tracks[i];
	return NULL;
}

/* --- among the nights --- */

/* A night of the past, of a track. */
struct night {
	double accuracy, noise, labels, simulated, threshold[NS_HARM_DAYS];
	double world[4]; /* tolerance, budget, rows and labels of the baseline that the thresholds are for */
};

static int night_of(const json_t *line, const char *track, struct night *n)
{
	const json_t *t = json_object_get(json_object_get(line, "tracks"), track), *thresholds = json_object_get(t, "thresholds");
	int i;

	*n = (struct night){.accuracy = ns_json_number(t, "accuracy", NAN),
			    .noise = ns_json_number(t, "noise", NAN),
			    .labels = ns_json_number(t, "labels", 0),
			    .simulated = ns_json_number(t, "simulated", 0)};
	for (i = 0; i < NS_HARM_DAYS; i++) {
		const json_t *one = json_array_get(thresholds, (size_t)i);

		n->threshold[i] = json_is_number(one) ? json_number_value(one) : 0;
		n->simulated = n->threshold[i] >= 1 && n->threshold[i] <= 100 ? n->simulated : 0; /* what a simulation can find */
	}
	for (i = 0; i < 4; i++) {
		const json_t *one = json_array_get(json_object_get(t, "world"), (size_t)i);

		n->world[i] = json_is_number(one) ? json_number_value(one) : NAN;
	}
	return n->accuracy >= -1 && n->accuracy <= 2 && n->noise > 0 && n->labels > 0;
}

/* Without a labelled reference the first nights' labels are the baseline; they are not judged. Returns whether this night joined it. */
static int joins_baseline(struct ns_harm_world *w, const struct night *n, double *sum)
{
	if (w->baseline >= BASELINE)
		return 0;
	*sum += n->accuracy * n->labels;
	w->baseline += n->labels;
	w->accuracy = *sum / w->baseline;
	return 1;
}

static void world_of(const struct ns_harm_track *t, double world[4])
{
	world[0] = t->world.tolerance;
	world[1] = t->world.budget;
	world[2] = t->world.rows;
	world[3] = t->baseline;
}

/* Are thresholds that were found for that world, and so many labels a night, those of this one? */
static int is_alike(const struct ns_harm_track *t, const struct night *n)
{
	double now[4];

	world_of(t, now);
	return fabs(t->labels / n->simulated - 1) <= NEAR && fabs(now[0] - n->world[0]) < 1e-9 && fabs(now[1] - n->world[1]) < 1e-9 &&
	       fabs(now[2] / n->world[2] - 1) <= NEAR && fabs(now[3] - n->world[3]) <= NEAR * fmax(1, n->world[3]);
}

static void judge_track(const struct ns_drift *s, struct ns_harm_track *t)
{
	struct ns_harm h = {.world = t->world};
	struct night n = {t->accuracy, t->noise, t->labels, 0, {0}, {0}}, last = n;
	int own = !(t->world.baseline > 0), begun = 0; /* own: the baseline is made of the first nights */
	double sum = 0;
	const json_t *line;
	size_t i;

	if (own)
		h.world.baseline = h.world.accuracy = 0;
	json_array_foreach(s->past, i, line) {
		struct ns_harm_verdict unused;
		struct night past;

		if (strcmp(ns_json_text(line, "reference"), s->ref.digest) || !night_of(line, t->name, &past))
			continue;
		if (own && joins_baseline(&h.world, &past, &sum))
			continue;
		if (!(past.simulated > 0))
			continue;
		memcpy(h.threshold, past.threshold, sizeof h.threshold);
		t->simulated = past.simulated;
		last = past;
		if (!begun)
			ns_harm_begin(&h, s->seed);
		begun = 1;
		ns_harm_judge(&h, past.accuracy - h.world.accuracy, past.noise, past.labels, &unused);
	}
	if (!(t->labels > 0) || (own && joins_baseline(&h.world, &n, &sum)))
		return;
	if (!begun || !is_alike(t, &last)) {
		memset(h.threshold, 0, sizeof h.threshold);
		t->simulated = t->labels;
		ns_harm_begin(&h, s->seed);
	}
	memcpy(t->threshold, h.threshold, sizeof t->threshold);
	ns_harm_judge(&h, t->accuracy - h.world.accuracy, t->noise, t->labels, &t->verdict);
	t->world = h.world;
	t->judged = 1;
}

void ns_drift_judge_harm(struct ns_drift *s)
{
	int i;

	for (i = 0; s->past && i < s->track_count; i++)
		judge_track(s, &s->tracks[i]);
}

json_t *ns_drift_tracks_json(const struct ns_drift *s)
{
	static const struct ns_json_field fields[] = {
		NS_JSON_FIELD(struct ns_harm_track, accuracy, "accuracy"),
		NS_JSON_FIELD(struct ns_harm_track, noise, "noise"),
		NS_JSON_FIELD(struct ns_harm_track, labels, "labels"),
		NS_JSON_FIELD(struct ns_harm_track, simulated, "simulated"),
		NS_JSON_FIELD(struct ns_harm_track, world.accuracy, "baseline"),
		NS_JSON_FIELD(struct ns_harm_track, world.baseline, "baseline_labels"),
		NS_JSON_FIELD(struct ns_harm_track, verdict.fall, "fall"),
		NS_JSON_FIELD(struct ns_harm_track, verdict.low, "low"),
		NS_JSON_FIELD(struct ns_harm_track, verdict.high, "high"),
		NS_JSON_FIELD(struct ns_harm_track, verdict.evidence, "evidence"),
		NS_JSON_FLAG(struct ns_harm_track, verdict.harmful, "harmful"),
	};
	json_t *all = json_object();
	int i, k;

	for (i = 0; i < s->track_count; i++) {
		const struct ns_harm_track *t = &s->tracks[i];
		json_t *one, *thresholds = json_array();
		double world[4];

		if (!(t->labels > 0)) {
			json_decref(thresholds);
			continue;
		}
		one = ns_json_fields(json_object(), fields, sizeof fields / sizeof *fields, t);
		world_of(t, world);
		json_object_set_new(one, "world", json_pack("[f, f, f, f]", world[0], world[1], world[2], world[3]));
		for (k = 0; t->judged && k < NS_HARM_DAYS; k++)
			json_array_append_new(thresholds, json_real(t->threshold[k]));
		json_object_set_new(one, "thresholds", thresholds);
		json_object_set_new(all, t->name, one);
	}
	return all;
}
