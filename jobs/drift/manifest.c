/*
 * jobs/drift/manifest.c - what a retraining is to do: retrain.json (an in-toto Statement v1 with a predicate in SLSA v1's halves)
 * and selection.h5, the rows that it may use, by digest.
 */
#define _DEFAULT_SOURCE
#include "jobs/drift/drift_inner.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/registry/registry.h"
#include "datasets/shard/shard.h"
#include "jobs/curate/curate.h"

struct select {
	struct ns_drift *s;
	struct ns_dataset *sets[NS_RETRAIN_SETS]; /* the training data, the window, and earlier ones that have labels, the newest first */
	int set_count;
	struct ns_query query;
	struct ns_selection rows;
	struct ns_selected count;
};

/* Is the label of a row that has none in the data set what people say of its image? */
static int people_say(const struct select *q, int64_t i)
{
	const struct ns_predictions *p = &q->s->cur;
	int disputed, measures;
	const char *label = q->query.people ? ns_labels_of(q->query.people, p->id[i], &disputed, &measures) : NULL;

	return label && measures && p->names && p->label[i] >= 0 && p->label[i] < p->class_names && !strcmp(p->names[p->label[i]], label);
}

/* the window that was judged is this data set: its images and labels, in this order */
static enum ns_status check_window(const struct select *q)
{
	const struct ns_predictions *p = &q->s->cur;
	int64_t i;

	if (!p->id || !p->label || p->rows != q->sets[1]->rows)
		return ns_fail(NS_BAD_DATA, "%s: %lld rows, but the predictions have %lld with ids and labels", q->sets[1]->path,
			       (long long)q->sets[1]->rows, (long long)(p->id && p->label ? p->rows : 0));
	for (i = 0; i < p->rows; i++) {
		if (p->id[i] != ns_dataset_id(q->sets[1], i))
			return ns_fail(NS_BAD_DATA, "%s: row %lld is %016llx, but the predictions have %016llx there: these are other images",
				       q->sets[1]->path, (long long)i, (unsigned long long)ns_dataset_id(q->sets[1], i),
				       (unsigned long long)p->id[i]);
		if (p->label[i] != ns_dataset_label(q->sets[1], i) && !(ns_dataset_label(q->sets[1], i) < 0 && people_say(q, i)))
			return ns_fail(
				NS_BAD_DATA,
				"%s: row %lld is labelled %d, but %d in the predictions: predict once more, or the gate would judge by other rows",
				q->sets[1]->path, (long long)i, ns_dataset_label(q->sets[1], i), p->label[i]);
	}
	return NS_OK;
}

#define DETECTORS 20 /* of the trigger, strongest first; drift.json has all */

/* what cried out: column, slice, p, effect and its interval */
static json_t *detectors(const struct ns_drift *s)
{
	uint8_t *said = calloc((size_t)s->count + 1, 1);
	json_t *list = json_array();
	int n, i;

	for (n = 0; said && n < DETECTORS; n++) {
		const struct ns_drift_test *t;
		int best = -1;

		for (i = 0; i < s->count; i++)
			if (!said[i] && s->tests[i].status == NS_DRIFT_MATERIAL && (best < 0 || s->tests[i].effect > s->tests[best].effect))
				best = i;
		if (best < 0)
			break;
		said[best] = 1;
		t = &s->tests[best];
		json_array_append_new(list, ns_drift_figures_json(NS_JSON_OBJECT({"column", json_string(t->column)},
										 {"slice", json_string(*t->slice ? t->slice : "all")},
										 {"detector", json_string(t->method->name)}),
								  t));
	}
	free(said);
	return list;
}

static json_t *harmed_slices(const struct ns_drift *s)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < s->slice_count; i++)
		if (s->slices[i].status == NS_DRIFT_HARMFUL)
			json_array_append_new(list, json_string(s->slices[i].name));
	return list;
}

static json_t *trigger(const struct ns_drift *s, const char *report_digest)
{
	static const struct ns_json_field harm[] = {
		NS_JSON_FIELD(struct ns_drift, base, "baseline_accuracy"),    NS_JSON_FIELD(struct ns_drift, measured, "measured_accuracy"),
		NS_JSON_FIELD(struct ns_drift, measured_low, "measured_low"), NS_JSON_FIELD(struct ns_drift, measured_high, "measured_high"),
		NS_JSON_FIELD(struct ns_drift, cbpe, "estimated_accuracy"),   NS_JSON_FIELD(struct ns_drift, audited, "audited"),
		NS_JSON_FIELD(struct ns_drift, suspects, "suspect_labels"),
	};

	return NS_JSON_OBJECT({"report", json_string(report_digest)}, {"status", json_string(ns_drift_status_name(s->status))},
			      {"summary", json_string(s->summary)}, {"because", json_string(s->because)}, {"detectors", detectors(s)},
			      {"slices", harmed_slices(s)}, {"harm", ns_json_fields(json_object(), harm, sizeof harm / sizeof *harm, s)},
			      {"windows", NS_JSON_OBJECT({"reference", ns_drift_window_json(&s->ref)}, {"current", ns_drift_window_json(&s->cur)})},
			      {"correction", json_string(s->correction)}, {"alpha", json_real(s->alpha)}, {"seed", json_integer((json_int_t)s->seed)},
			      {"permutations", json_integer(s->permutations)});
}

/* path and digest of a data set, and of each of its shards, as its dataset.json has them (a lone shard has none) */
static json_t *dataset_part(const struct ns_dataset *d, const char *path)
{
	json_t *one = json_pack("{s:s, s:s, s:I}", "path", path, "digest", d->digest, "rows", (json_int_t)d->rows), *json = NULL;
	char file[NS_PATH_MAX];

	if (!d->alone && ns_path(file, "%s/dataset.json", path) == NS_OK && ns_json_read(file, &json, "nightshift.dataset/1") == NS_OK)
		json_object_set(one, "shards", json_object_get(json, "shards"));
	json_decref(json);
	return one;
}

/* how many labelled rows of each class are selected */
static json_t *histogram(const struct select *q)
{
	const struct ns_shard_head *head = ns_dataset_head(q->sets[0]);
	int64_t i, *count = calloc((size_t)head->class_count + 1, sizeof *count);
	json_t *all = json_object();
	int k;

	for (i = 0; count && i < q->rows.rows; i++)
		if (q->rows.label[i] >= 0 && q->rows.label[i] < head->class_count)
			count[q->rows.label[i]]++;
	for (k = 0; count && k < head->class_count; k++)
		json_object_set_new(all, head->classes[k], json_integer(count[k]));
	free(count);
	return all;
}

/* of the window's rows */
static json_t *time_range(const struct ns_drift *s)
{
	int64_t from = INT64_MAX, to = INT64_MIN, i;

	for (i = 0; s->cur.time && i < s->cur.rows; i++) {
		from = s->cur.time[i] < from ? s->cur.time[i] : from;
		to = s->cur.time[i] > to ? s->cur.time[i] : to;
	}
	return from > to ? json_null() : json_pack("{s:I, s:I}", "from", (json_int_t)from, "to", (json_int_t)to);
}

static json_t *data_part(const struct select *q, const char *digest)
{
	char path[PATH_MAX];
	static const struct ns_json_field rows[] = {
		NS_JSON_FIELD(struct ns_selected, replayed, "replayed"), NS_JSON_FIELD(struct ns_selected, audited, "audited"),
		NS_JSON_FIELD(struct ns_selected, pool, "to_label"),	 NS_JSON_FIELD(struct ns_selected, excluded, "excluded"),
		NS_JSON_FIELD(struct ns_selected, earlier, "earlier"),
	};
	json_t *sets = json_array();
	int i;

	/* whole paths: the manifest is executed from wherever somebody stands */
	for (i = 0; i < q->set_count; i++) {
		if (!realpath(q->sets[i]->path, path))
			snprintf(path, sizeof path, "%s", q->sets[i]->path);
		json_array_append_new(sets, dataset_part(q->sets[i], path));
	}
	return NS_JSON_OBJECT({"selection", json_string("selection.h5")}, {"sha256", json_string(digest)}, {"datasets", sets},
			      {"classes", histogram(q)}, {"time", time_range(q->s)},
			      {"rows", ns_json_fields(json_object(), rows, sizeof rows / sizeof *rows, &q->count)},
			      {"query", ns_query_json(&q->query)});
}

/* rows: NULL where it is the night's matter how many */
static json_t *gate(const char *slice, json_t *rows, const char *comparator, double threshold)
{
	return json_pack("{s:s, s:s, s:o, s:s, s:f, s:s}", "metric", "change of accuracy against production", "slice", slice, "rows",
			 rows ? rows : json_null(), "comparator", comparator, "threshold", threshold, "test", "paired, 95 %");
}

/* what the candidate is promoted by, all of them */
static json_t *gates(const struct select *q)
{
	const char *ours = "the gate's half of the window's labelled rows", *old = "the test images";

	return json_pack("[o, o, o]", gate(ours, json_integer((json_int_t)(q->s->audited / 2)), "lower bound above", 0),
			 gate(old, NULL, "lower bound above", q->s->old_floor), gate(old, NULL, "estimate above", q->s->old_estimate));
}

/* where labels are from, and how many of a person's are doubted */
static json_t *labels(const struct select *q)
{
	return json_pack("{s:s, s:s, s:I, s:I}", "audited", "human", "to_label", "first round's model, kept above config.confidence", "audited_rows",
			 (json_int_t)q->s->audited, "suspect_rows", (json_int_t)q->s->suspects);
}

static enum ns_status production_now(const struct select *q, char release[NS_SHA256_HEX], char model[NS_SHA256_HEX])
{
	NS_TRY(ns_registry_production(q->s->registry, release, model));
	return *release ? NS_OK : ns_fail(NS_IO, "%s: has no ref 'production'", q->s->registry);
}

static enum ns_status write_manifest(struct select *q, const char *digest)
{
	struct ns_job *job = q->s->job;
	char path[NS_PATH_MAX], base[NS_SHA256_HEX] = "", production[NS_SHA256_HEX], release[NS_SHA256_HEX], report[NS_SHA256_HEX];
	json_t *json, *config, *predicate;
	enum ns_status status;

	NS_TRY(ns_path(path, "%s/drift.json", job->dir));
	NS_TRY(ns_sha256_file(report, path));
	/* the model whose predictions were measured, whatever became production meanwhile */
	if (strlen(q->s->cur.model) == 64 && ns_registry_object(q->s->registry, q->s->cur.model, path) == NS_OK)
		memcpy(base, q->s->cur.model, sizeof base);
	else
		NS_TRY(production_now(q, release, base));
	config = json_pack("{s:s, s:I, s:O, s:f, s:f}", "code", NS_CODE_VERSION, "seed", (json_int_t)q->s->seed, "epochs", q->s->retrain_epochs, "lr",
			   q->s->retrain_lr, "confidence", q->s->retrain_confidence);
	if (production_now(q, release, production) != NS_OK) {
		snprintf(production, sizeof production, "%s", base);
		snprintf(release, sizeof release, "%s", base);
	}
	predicate = NS_JSON_OBJECT(
		{"trigger", trigger(q->s, report)}, {"data", data_part(q, digest)}, {"labels", labels(q)},
		{"base", json_pack("{s:s, s:s, s:s}", "model", base, "production", production, "baseline", q->s->ref.digest)}, {"config", config},
		{"budget", json_pack("{s:I, s:s}", "expires", (json_int_t)ns_today() + 7 * 86400, "in_flight", "one")}, {"gates", gates(q)},
		{"promote", json_pack("{s:s, s:s, s:f}", "ref", "production", "previous", release, "cooldown_days", q->s->cooldown_days)},
		{"rollback", json_pack("{s:s, s:s}", "to", release, "command", "nightshift registry rollback production")});
	json = json_pack("{s:s, s:[{s:s, s:{s:s}}], s:s, s:o}", "_type", "https://in-toto.io/Statement/v1", "subject", "name", "selection.h5",
			 "digest", "sha256", digest, "predicateType", "nightshift.retrain/1", "predicate", predicate);
	if (!json)
		return ns_fail(NS_INTERNAL, "retrain.json cannot be made");
	status = ns_path(path, "%s/retrain.json", job->dir);
	if (status == NS_OK)
		status = ns_json_write(path, json);
	json_decref(json);
	return status;
}

/* --- labels of earlier windows --- */

static int is_open(const struct select *q, const char *digest)
{
	int i;

	for (i = 0; i < q->set_count; i++)
		if (!strcmp(q->sets[i]->digest, digest))
			return 1;
	return 0;
}

/* Images that a batch can hold beside tonight's. */
static int is_alike(const struct ns_dataset *a, const struct ns_dataset *b)
{
	const struct ns_shard_head *x = ns_dataset_head(a), *y = ns_dataset_head(b);

	return !strcmp(x->encoding, "raw") == !strcmp(y->encoding, "raw") && x->h == y->h && x->w == y->w && x->c == y->c;
}

/* What cannot be used is said, and does not keep the night from being taught by its own labels. NULL: not used. */
static struct ns_dataset *open_one(const struct select *q, const char *path, const char *digest)
{
	struct ns_dataset *d = NULL;

	if (ns_dataset_open(NULL, &d, path, 0) != NS_OK)
		ns_log_warn(q->s->job->log, "labels of an earlier window cannot teach: %s", ns_message());
	else if (strcmp(d->digest, digest))
		ns_log_warn(q->s->job->log, "labels of an earlier window cannot teach: %s is %.12s by now, and was %.12s", path, d->digest, digest);
	else if (!is_alike(d, q->sets[1]))
		ns_log_warn(q->s->job->log, "labels of an earlier window cannot teach: images of %s are of another kind or size than tonight's",
			    path);
	else
		return d;
	ns_dataset_close(d);
	return NULL;
}

/*
 * The newest windows of the history that have labels, of their own or by people, until there are as many as are wanted. Where it is known when the change came,
 * only those since: what was before is replayed.
 */
static void open_earlier(struct select *q)
{
	size_t n = q->s->past ? json_array_size(q->s->past) : 0, i = n;
	int64_t labels = 0;

	while (i-- > 0 && (q->s->since_change < 0 || (int64_t)(n - i) <= q->s->since_change) && labels < q->query.earlier &&
	       q->set_count < NS_RETRAIN_SETS) {
		const json_t *data = json_object_get(json_array_get(q->s->past, i), "data");
		const char *digest = ns_json_text(data, "digest");
		struct ns_dataset *d;

		if (!*digest || is_open(q, digest) ||
		    !(ns_json_number(data, "labels", 0) > 0 || (q->query.people && ns_labels_knows(q->query.people, digest))))
			continue;
		d = open_one(q, ns_json_text(data, "path"), digest);
		if (!d)
			continue;
		labels += ns_query_labelled(&q->query, q->sets[0], d);
		q->sets[q->set_count++] = d;
	}
}

enum ns_status ns_manifest_emit(struct ns_drift *s)
{
	const char *replay = s->replay_data, *current = s->current_data;
	struct select q = {.s = s,
			   .query = {.seed = s->seed,
				     .replay = s->replay,
				     .audited_repeat = s->audited_repeat,
				     .earlier = s->earlier,
				     .sequence_seconds = s->sequence_seconds}};
	struct ns_labels people = {0};
	char path[NS_PATH_MAX], digest[NS_SHA256_HEX];
	enum ns_status status;

	NS_GO(ns_dataset_open(NULL, &q.sets[0], replay, 0));
	q.set_count++;
	NS_GO(ns_dataset_open(NULL, &q.sets[1], current, 0));
	q.set_count++;
	if (*s->labels) {
		NS_GO(ns_labels_read(&people, s->registry, s->labels));
		snprintf(q.query.labels, sizeof q.query.labels, "%s", s->labels);
		q.query.people = &people;
	}
	NS_GO(check_window(&q));
	open_earlier(&q);
	NS_GO(ns_query_run(&q.query, q.sets, q.set_count, &q.rows, &q.count));
	NS_GO(ns_path(path, "%s/selection.h5", s->job->dir));
	NS_GO(ns_selection_write(path, &q.rows));
	NS_GO(ns_sha256_file(digest, path));
	NS_GO(write_manifest(&q, digest));
	ns_log_event(s->job->log, "manifest",
		     json_pack("{s:I, s:I, s:I, s:I}", "replayed", (json_int_t)q.count.replayed, "audited", (json_int_t)q.count.audited, "to_label",
			       (json_int_t)q.count.pool, "earlier", (json_int_t)q.count.earlier));
out:
	ns_labels_release(&people);
	ns_selection_release(&q.rows);
	while (q.set_count)
		ns_dataset_close(q.sets[--q.set_count]);
	return status;
}
