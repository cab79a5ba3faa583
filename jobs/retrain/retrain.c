/*
 * jobs/retrain/retrain.c - executes a manifest in two rounds. The first trains on audited rows and replayed old ones. Its model gives
 * pseudo-labels to the rows of which it is confident, and the second round trains production's weights again on all three. (Production's own
 * confident labels mislead exactly when needed: on drifted images they are right two times of three.)
 */
#define _POSIX_C_SOURCE 200809L
#include "jobs/retrain/retrain.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/registry/registry.h"
#include "host/train/train.h"
#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"
#include "jobs/curate/curate.h"
#include "jobs/infer/infer.h"
#include "jobs/train/train.h"

struct retrain {
	struct ns_job *job;
	json_t *manifest, *predicate;		  /* predicate is borrowed from manifest */
	char dir[NS_PATH_MAX];			  /* the manifest's folder */
	struct ns_dataset *sets[NS_RETRAIN_SETS]; /* the training data, the window, earlier windows */
	int set_count;
	struct ns_selection s;
	struct ns_model base;
	double confidence, lr;
	int epochs[2];
};

static enum ns_status refuse_unknown(const json_t *object, const char *const *known, const char *where)
{
	const char *key;
	json_t *value;
	int i;

	NS_JSON_EACH(object, key, value) {
		for (i = 0; known[i] && strcmp(known[i], key); i++)
			;
		if (!known[i])
			return ns_fail(NS_BAD_DATA, "%s: unknown key '%s'; a manifest with unknown keys is refused", where, key);
	}
	return NS_OK;
}

static enum ns_status read_config(struct retrain *r, const char *path)
{
	const json_t *c = json_object_get(r->predicate, "config"), *epochs = json_object_get(c, "epochs");
	static const char *const known[] = {"code", "seed", "epochs", "lr", "confidence", NULL};
	int64_t seed;
	int i;

	NS_TRY(refuse_unknown(c, known, path));
	NS_TRY(ns_json_get_real(c, "confidence", path, &r->confidence));
	NS_TRY(ns_json_get_real(c, "lr", path, &r->lr));
	for (i = 0; i < 2; i++) {
		int64_t n;

		NS_TRY(ns_json_int(json_array_get(epochs, (size_t)i), "config.epochs", path, 1, 100000, &n));
		r->epochs[i] = (int)n;
	}
	if (!(r->confidence > 0 && r->confidence <= 1) || !(r->lr > 0) || r->epochs[0] < 1 || r->epochs[1] < 1)
		return ns_fail(NS_BAD_DATA, "%s: config: expected confidence in 0..1, and lr and two epochs above 0", path);
	NS_TRY(ns_json_get_int(c, "seed", path, 0, INT64_MAX, &seed));
	return seed == ns_conf_int(r->job->conf, "seed") ? NS_OK
							 : ns_fail(NS_CONFIG, "%s: was made with seed %lld, but the configuration has %lld", path,
								   (long long)seed, (long long)ns_conf_int(r->job->conf, "seed"));
}

static enum ns_status open_data(struct retrain *r, const char *path)
{
	const json_t *data = json_object_get(r->predicate, "data"), *list = json_object_get(data, "datasets");
	static const char *const known[] = {"selection", "sha256", "datasets", "classes", "time", "rows", "query", NULL};
	static const char *const known_query[] = {"seed", "replay", "audited_repeat", "rule", "labels", "earlier", "sequence_seconds", NULL};
	char file[NS_PATH_MAX], hex[NS_SHA256_HEX];
	size_t i;

	NS_TRY(refuse_unknown(data, known, path));
	NS_TRY(refuse_unknown(json_object_get(data, "query"), known_query, path));
	if (strcmp(ns_json_text(data, "selection"), "selection.h5") || json_array_size(list) < 2 || json_array_size(list) > NS_RETRAIN_SETS)
		return ns_fail(NS_BAD_DATA, "%s: data: expected selection.h5 and 2 to %d data sets", path, NS_RETRAIN_SETS);
	for (i = 0; i < json_array_size(list); i++) {
		const json_t *d = json_array_get(list, i);

		NS_TRY(ns_dataset_open(r->job, &r->sets[i], ns_json_text(d, "path"), 0));
		r->set_count++;
		if (strcmp(r->sets[i]->digest, ns_json_text(d, "digest")))
			return ns_fail(NS_DIGEST, "%s: its digest is %.12s, but %s expects %.12s", r->sets[i]->path, r->sets[i]->digest, path,
				       ns_json_text(d, "digest"));
		NS_TRY(ns_dataset_verify(r->job, r->sets[i]));
	}
	NS_TRY(ns_path(file, "%s/selection.h5", r->dir));
	NS_TRY(ns_sha256_file(hex, file));
	if (strcmp(hex, ns_json_text(data, "sha256")))
		return ns_fail(NS_DIGEST, "%s: its SHA-256 is %.12s, but %s expects %.12s", file, hex, path, ns_json_text(data, "sha256"));
	return ns_selection_read(file, &r->s);
}

/* Runs the manifest's query again and compares the selection. */
static enum ns_status check_query(const struct retrain *r, const char *path)
{
	struct ns_query q;
	struct ns_labels people = {0};
	enum ns_status status;

	NS_TRY(ns_query_read(&q, json_object_get(json_object_get(r->predicate, "data"), "query"), path));
	if (q.seed != (uint64_t)ns_conf_int(r->job->conf, "seed")) /* the seed also determines the gate's half */
		return ns_fail(NS_BAD_DATA,
			       "%s: data.query.seed = %llu, but config.seed is %lld: the gate would judge by rows that were used for training", path,
			       (unsigned long long)q.seed, (long long)ns_conf_int(r->job->conf, "seed"));
	if (*q.labels) /* those that the manifest knew: what people said since is another selection's */
		NS_TRY(ns_labels_read(&people, ns_conf_text(r->job->conf, "registry"), q.labels));
	q.people = *q.labels ? &people : NULL;
	status = ns_query_check(&q, r->sets, r->set_count, &r->s);
	ns_labels_release(&people);
	return status;
}

/* Checks the selection, whoever wrote it: rows exist in their data set, identities match, labels are classes. */
static enum ns_status check_selection(const struct retrain *r)
{
	int classes = r->base.class_count;
	int64_t i;

	for (i = 0; i < r->s.rows; i++) {
		uint32_t set = r->s.set[i];

		if (set >= (uint32_t)r->set_count || r->s.row[i] >= (uint64_t)r->sets[set]->rows)
			return ns_fail(NS_BAD_DATA, "selection.h5: row %lld: set %u, row %llu does not exist", (long long)i, set,
				       (unsigned long long)r->s.row[i]);
		if (ns_dataset_id(r->sets[set], (int64_t)r->s.row[i]) != r->s.id[i])
			return ns_fail(NS_DIGEST, "selection.h5: row %lld: its identity differs from the data set's", (long long)i);
		if (r->s.label[i] < -1 || r->s.label[i] >= classes || r->s.repeat[i] > 64)
			return ns_fail(NS_BAD_DATA, "selection.h5: row %lld: label %d, repeat %u", (long long)i, r->s.label[i], r->s.repeat[i]);
	}
	return NS_OK;
}

static enum ns_status open_manifest(struct retrain *r, const char *path)
{
	static const char *const top[] = {"_type", "subject", "predicateType", "predicate", NULL};
	static const char *const predicate[] = {"trigger", "data", "labels", "base", "config", "budget", "gates", "promote", "rollback", NULL};
	static const struct {
		const char *name, *known[6];
	} parts[] = {{"labels", {"audited", "to_label", "audited_rows", "suspect_rows"}},
		     {"base", {"model", "production", "baseline"}},
		     {"budget", {"expires", "in_flight"}},
		     {"promote", {"ref", "previous", "cooldown_days"}},
		     {"rollback", {"to", "command"}}};
	char *slash;
	const json_t *base;
	size_t i;

	NS_TRY(ns_path(r->dir, "%s", path));
	slash = strrchr(r->dir, '/');
	if (slash)
		*slash = 0;
	else
		strcpy(r->dir, ".");
	NS_TRY(ns_json_read(path, &r->manifest, NULL));
	NS_TRY(refuse_unknown(r->manifest, top, path));
	if (strcmp(ns_json_text(r->manifest, "predicateType"), "nightshift.retrain/1"))
		return ns_fail(NS_BAD_DATA, "%s: predicateType is '%s', expected 'nightshift.retrain/1'", path,
			       ns_json_text(r->manifest, "predicateType"));
	r->predicate = json_object_get(r->manifest, "predicate");
	NS_TRY(refuse_unknown(r->predicate, predicate, path));
	/* a night executes its own manifest, however old */
	if (!ns_conf_text(r->job->conf, "night.step") && ns_json_number(json_object_get(r->predicate, "budget"), "expires", 0) < (double)ns_today())
		return ns_fail(NS_BAD_DATA, "%s: the manifest has expired; run drift again for a new one", path);
	NS_TRY(read_config(r, path));
	for (i = 0; i < sizeof parts / sizeof *parts; i++)
		NS_TRY(refuse_unknown(json_object_get(r->predicate, parts[i].name), parts[i].known, path));
	base = json_object_get(r->predicate, "base");
	NS_TRY(ns_load_model(r->job, &r->base, ns_json_text(base, "model")));
	NS_TRY(open_data(r, path));
	NS_TRY(check_selection(r));
	return check_query(r, path);
}

/* The view of the selection's rows; labels[i] replaces a label of -1, rows that stay at -1 are left out. */
static enum ns_status make_view(struct retrain *r, const int32_t *labels, struct ns_view *view)
{
	int64_t i, n = 0;
	uint32_t k;

	*view = (struct ns_view){.sets = r->sets, .set_count = r->set_count};
	for (i = 0; i < r->s.rows; i++)
		if (r->s.label[i] >= 0 || (labels && labels[i] >= 0))
			n += r->s.repeat[i];
	view->picks = malloc(sizeof *view->picks * (size_t)(n + 1));
	if (!view->picks)
		return ns_fail(NS_NO_MEMORY, "out of memory for a view of %lld rows", (long long)n);
	for (n = 0, i = 0; i < r->s.rows; i++) {
		int32_t label = r->s.label[i] >= 0 ? r->s.label[i] : labels ? labels[i] : -1;

		for (k = 0; label >= 0 && k < r->s.repeat[i]; k++)
			view->picks[n++] = (struct ns_pick){(int64_t)r->s.row[i], label, (uint16_t)r->s.set[i], (uint16_t)k};
	}
	view->rows = n;
	return NS_OK;
}

/* A model with production's weights, from which each round starts. */
static enum ns_status from_base(const struct retrain *r, struct ns_model *m)
{
	NS_TRY(ns_model_copy(m, &r->base));
	return m->onnx ? ns_model_learn(m, ns_conf_text(r->job->conf, "train.freeze")) : NS_OK;
}

static enum ns_status run_round(struct retrain *r, int round, const int32_t *labels, struct ns_model *m)
{
	static const char *const names[2][3] = {{"round 1", "checkpoint-1", "metrics-1.jsonl"}, {"round 2", "checkpoint", "metrics.jsonl"}};
	struct ns_train_options o = {.label = names[round][0],
				     .checkpoint = names[round][1],
				     .metrics = names[round][2],
				     .checkpoint_last = round == 0,
				     .epochs = r->epochs[round],
				     .lr = r->lr,
				     .base = r->base.digest};
	struct ns_view view;
	enum ns_status status;

	NS_TRY(from_base(r, m));
	NS_TRY(make_view(r, labels, &view));
	status = ns_train_fit(r->job, m, &view, &o);
	ns_view_release(&view);
	return status;
}

/* Pseudo-labels: the first round's predictions with a confidence above r->confidence. Every rank computes all of them: the pool is one
 * night's rows, and the result must be the same everywhere. */
static enum ns_status label_pool(struct retrain *r, const struct ns_model *m, int32_t *labels, int64_t *kept)
{
	enum ns_dtype dtype = strcmp(m->precision, "bf16") ? NS_F32 : NS_BF16;
	int64_t n = r->sets[1]->rows, i;
	int k = m->net.arch.classes;
	struct ns_view view = {.sets = &r->sets[1], .set_count = 1, .rows = n};
	struct ns_inference out = {.prob = malloc(sizeof(float) * (size_t)(n * k)), .pred = malloc(sizeof(int32_t) * (size_t)n)};
	enum ns_status status = out.prob && out.pred ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for labelling %lld rows", (long long)n);

	if (status == NS_OK)
		status = ns_infer_rows(r->job, m, &view, 0, n, (int)ns_conf_int(r->job->conf, "infer.batch"), dtype, &out, "label");
	for (*kept = 0, i = 0; status == NS_OK && i < r->s.rows; i++) {
		int64_t row = (int64_t)r->s.row[i];

		labels[i] = -1;
		if (r->s.label[i] < 0 && r->s.set[i] == 1 && (double)out.prob[row * k + out.pred[row]] > r->confidence) {
			labels[i] = out.pred[row];
			++*kept;
		}
	}
	free(out.prob);
	free(out.pred);
	return status;
}

/* --- the pseudo-labels, kept beside the first round's checkpoint --- */

static enum ns_status labels_path(const struct retrain *r, char path[NS_PATH_MAX])
{
	return ns_path(path, "%s/checkpoint-1/labels.json", r->job->dir);
}

/* rank 0 alone */
static enum ns_status keep_labels(const struct retrain *r, const char *manifest, const int32_t *labels, int64_t kept)
{
	json_t *list = json_array(), *json;
	char path[NS_PATH_MAX];
	enum ns_status status;
	int64_t i;

	for (i = 0; i < r->s.rows; i++)
		json_array_append_new(list, json_integer(labels[i]));
	json = json_pack("{s:s, s:s, s:I, s:o}", "schema", "nightshift.labels/1", "manifest", manifest, "kept", (json_int_t)kept, "labels", list);
	status = labels_path(r, path);
	if (status == NS_OK)
		status = json ? ns_json_write(path, json) : ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
	json_decref(json);
	return status;
}

/* Rank 0 alone. *kept stays -1 where no labels of this manifest are kept. */
static enum ns_status find_labels(const struct retrain *r, const char *manifest, int32_t *labels, int64_t *kept)
{
	char path[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	json_t *json, *list;
	int64_t i, label;

	NS_TRY(labels_path(r, path));
	NS_TRY(ns_json_read_if_there(path, &json, "nightshift.labels/1"));
	if (!json)
		return NS_OK;
	list = json_object_get(json, "labels");
	if (!strcmp(ns_json_text(json, "manifest"), manifest) && (int64_t)json_array_size(list) == r->s.rows) {
		for (i = 0; i < r->s.rows && status == NS_OK; i++) {
			status = ns_json_int(json_array_get(list, (size_t)i), "labels", path, -1, r->base.class_count - 1, &label);
			labels[i] = (int32_t)label;
		}
		if (status == NS_OK)
			status = ns_json_get_int(json, "kept", path, 0, r->s.rows, kept);
	}
	json_decref(json);
	return status;
}

/*
 * Collective. A run that resumes in its second round uses the pseudo-labels it began with: on another processor a confidence near the
 * threshold could fall on its other side.
 */
static enum ns_status label(struct retrain *r, const char *manifest, const struct ns_model *first, int32_t *labels, int64_t *kept)
{
	int lead = r->job->comm->rank == 0;

	*kept = -1;
	NS_TRY(ns_job_agree(r->job, lead ? find_labels(r, manifest, labels, kept) : NS_OK));
	NS_TRY(ns_comm_broadcast(r->job->comm, kept, sizeof *kept, 0));
	if (*kept < 0) {
		NS_TRY(label_pool(r, first, labels, kept));
		NS_TRY(ns_job_agree(r->job, lead ? keep_labels(r, manifest, labels, *kept) : NS_OK));
		NS_TRY(ns_comm_broadcast(r->job->comm, kept, sizeof *kept, 0));
	}
	return ns_comm_broadcast(r->job->comm, labels, sizeof *labels * (size_t)r->s.rows, 0);
}

/* What taught the model lies in the registry beside it: the manifest, the selection, which files each data set had. */
static enum ns_status keep_lineage(const struct retrain *r, const char *manifest)
{
	const char *registry = ns_conf_text(r->job->conf, "registry");
	char path[NS_PATH_MAX], digest[NS_SHA256_HEX];
	enum ns_status status = NS_OK;
	int i;

	for (i = 0; i < r->set_count; i++)
		NS_TRY(ns_train_keep_data(r->job, r->sets[i]));
	if (r->job->comm->rank == 0) {
		status = ns_path(path, "%s/selection.h5", r->dir);
		if (status == NS_OK)
			status = ns_registry_put(registry, path, digest);
		if (status == NS_OK)
			status = ns_registry_put(registry, manifest, digest);
	}
	return ns_job_agree(r->job, status);
}

static enum ns_status execute(struct retrain *r, const char *manifest)
{
	int32_t *labels = malloc(sizeof *labels * (size_t)(r->s.rows + 1));
	struct ns_model first = {0}, second = {0};
	char hex[NS_SHA256_HEX];
	enum ns_status status;
	int64_t kept;

	if (!labels)
		return ns_fail(NS_NO_MEMORY, "out of memory for labels");
	NS_GO(ns_sha256_file(hex, manifest));
	NS_GO(run_round(r, 0, NULL, &first));
	NS_GO(label(r, hex, &first, labels, &kept));
	ns_log_event(r->job->log, "labelled", json_pack("{s:I, s:f}", "kept", (json_int_t)kept, "confidence", r->confidence));
	NS_GO(run_round(r, 1, labels, &second));
	json_object_set_new(second.facts, "parents", json_pack("[s]", r->base.digest));
	json_object_set_new(second.facts, "training_data", json_string(ns_json_text(json_object_get(r->predicate, "data"), "sha256")));
	json_object_set_new(second.facts, "manifest", json_string(hex));
	ns_job_input(r->job, "manifest", manifest, hex);
	ns_job_count(r->job, "labelled_by_model", kept);
	ns_job_count(r->job, "selected", r->s.rows);
	NS_GO(keep_lineage(r, manifest));
	status = ns_model_publish(r->job, &second);
out:
	ns_model_release(&first);
	ns_model_release(&second);
	free(labels);
	return status;
}

enum ns_status ns_retrain(struct ns_job *job, const char *manifest)
{
	struct retrain r = {.job = job};
	enum ns_status status = open_manifest(&r, manifest);
	int i;

	if (status == NS_OK)
		status = execute(&r, manifest);
	ns_selection_release(&r.s);
	for (i = 0; i < r.set_count; i++)
		ns_dataset_close(r.sets[i]);
	ns_model_release(&r.base);
	json_decref(r.manifest);
	return status;
}
