/* jobs/evaluate/evaluate.c - accuracy with intervals; two models on the same rows are compared in pairs. */
#include "jobs/evaluate/evaluate_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/judge/judge.h"
#include "host/stat/stat.h"

#include "kernels/formula/random.h"
#include "datasets/labels/labels.h"
#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"
#include "jobs/curate/curate.h"

/* Rows that count: how many, how many of them are right; and both, and the sum of squares, by their weights. */
struct counted {
	int64_t rows, hits;
	double all, right, squares;
};

/* Of rows that were drawn with unequal chances each by its weight, with the interval of as many as they are worth (Kish). */
static json_t *accuracy(const struct counted *c)
{
	double low, high, worth = c->rows ? c->all * c->all / c->squares : 0;

	ns_stat_wilson((int64_t)(c->rows ? c->right / c->all * worth + .5 : 0), (int64_t)(worth + .5), &low, &high);
	return json_pack("{s:I, s:I, s:f, s:o, s:f, s:f}", "correct", (json_int_t)c->hits, "rows", (json_int_t)c->rows, "worth", worth, "accuracy",
			 c->rows ? json_real(c->right / c->all) : json_null(), "low", low, "high", high);
}

#define BLOCK 1024 /* rows whose probabilities are read together */

/* expected calibration error: mean |confidence - accuracy| over 15 bins of equal width (Guo et al. 2017) */
static enum ns_status calibration_error(const struct ns_predictions *p, const uint8_t *gate, double *error)
{
	double conf[15] = {0}, hit[15] = {0}, all = 0;
	float *prob = malloc(sizeof *prob * BLOCK * (size_t)p->prob.d);
	enum ns_status status = prob ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for probabilities");
	int64_t first, i;
	int b;

	for (first = 0; status == NS_OK && first < p->rows; first += BLOCK) {
		int64_t rows = p->rows - first < BLOCK ? p->rows - first : BLOCK;

		status = ns_predictions_prob(p, first, rows, prob);
		for (i = first; status == NS_OK && i < first + rows; i++) {
			double c = (double)prob[(i - first) * p->prob.d + p->pred[i]];

			if (!ns_evaluate_counts(p, i, gate))
				continue;
			b = c >= 1 ? 14 : (int)(c * 15);
			conf[b] += c;
			hit[b] += p->pred[i] == p->label[i];
			all++;
		}
	}
	for (*error = 0, b = 0; b < 15; b++)
		*error += fabs(conf[b] - hit[b]);
	*error = all > 0 ? *error / all : 0;
	free(prob);
	return status;
}

static enum ns_status judge(const struct ns_predictions *p, const uint8_t *gate, int empty, json_t *json)
{
	struct counted c = {0, 0, 0, 0, 0};
	double error, weight;
	int64_t i;

	if (!p->label || !p->pred || !p->id || !p->prob.d)
		return ns_fail(NS_BAD_DATA, "evaluate: predictions need id, label, pred and prob");
	for (i = 0; i < p->rows; i++) {
		if (p->label[i] >= p->prob.d || p->pred[i] < 0 || p->pred[i] >= p->prob.d)
			return ns_fail(NS_BAD_DATA, "row %lld: label %d, prediction %d, but there are %d classes", (long long)i, p->label[i],
				       p->pred[i], p->prob.d);
		if (!ns_evaluate_counts(p, i, gate))
			continue;
		weight = p->weight ? (double)p->weight[i] : 1;
		c.rows++;
		c.hits += p->label[i] == p->pred[i];
		c.all += weight;
		c.right += weight * (p->label[i] == p->pred[i]);
		c.squares += weight * weight;
	}
	if (!c.rows && !empty)
		return ns_fail(NS_BAD_DATA, "evaluate: no row has a label");
	json_object_update_new(json, accuracy(&c));
	NS_TRY(calibration_error(p, gate, &error));
	json_object_set_new(json, "calibration_error", json_real(error));
	return ns_evaluate_confusion(p, gate, json);
}

/* Change of accuracy from `q` to `p` on the same images: exact McNemar test, the interval of the difference, and what it is evidence of. */
static enum ns_status compare(const struct ns_predictions *p, const struct ns_predictions *q, const uint8_t *gate, double seconds, json_t *json)
{
	int64_t count[3];
	double low, high;
	json_t *worse;

	if (p->rows != q->rows || !q->pred || !q->id)
		return ns_fail(NS_BAD_DATA, "evaluate: %lld rows against %lld, expected the same rows", (long long)p->rows, (long long)q->rows);
	if (p->names && q->names)
		NS_TRY(ns_classes_agree((const char *const *)p->names, p->class_names, "the predictions", (const char *const *)q->names,
					q->class_names, "those they are held against"));
	NS_TRY(ns_evaluate_pairs(p, q, gate, seconds, count, &worse));
	ns_stat_paired(count[0], count[1], count[2], &low, &high);
	json_object_set_new(
		json, "against",
		NS_JSON_OBJECT({"rows", json_integer((json_int_t)count[0])}, {"better", json_integer((json_int_t)count[1])},
			       {"worse", json_integer((json_int_t)count[2])},
			       {"change", ns_json_real((double)(count[1] - count[2]) / (double)count[0])}, {"low", ns_json_real(low)},
			       {"high", ns_json_real(high)}, {"p", json_real(ns_stat_mcnemar(count[1], count[2]))},
			       {"log_evidence", json_real(ns_gate_evidence(count[1], count[2]))}, {"worse_classes", worse},
			       {"test", json_string("McNemar, exact, two-sided; interval by the score, and exact given the disagreements; one vote "
						    "an image and a sequence; evidence: mixture e-value against no gain")}));
	return NS_OK;
}

/* With a manifest: the answers and sequences that it knew, so that the gate's half is the one that was not trained on. "any" and the configuration's without. */
static enum ns_status of_manifest(const struct ns_conf *conf, char until[NS_SHA256_HEX], double *seconds)
{
	const char *path = ns_conf_text(conf, "evaluate.manifest");
	json_t *manifest = NULL;
	const json_t *query;

	snprintf(until, NS_SHA256_HEX, "any");
	*seconds = ns_conf_real(conf, "drift.sequence_seconds");
	if (!path)
		return NS_OK;
	NS_TRY(ns_json_read(path, &manifest, NULL));
	query = json_object_get(json_object_get(json_object_get(manifest, "predicate"), "data"), "query");
	snprintf(until, NS_SHA256_HEX, "%s", ns_json_text(query, "labels"));
	*seconds = ns_json_number(query, "sequence_seconds", 0);
	json_decref(manifest);
	return NS_OK;
}

static enum ns_status gate_half(const struct ns_predictions *p, double seconds, uint64_t seed, uint8_t **gate)
{
	int32_t *block;
	int64_t blocks;

	NS_TRY(ns_predictions_sequences(p, seconds, &block, &blocks));
	*gate = ns_gate_rows(p->id, p->label, block, p->rows, seed);
	free(block);
	return *gate ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the gate's rows");
}

/* Answers of another task than classify, against the annotations of --data. */
static enum ns_status evaluate_answers(struct ns_job *job, const char *path)
{
	const char *data = ns_conf_text(job->conf, "data");
	struct ns_predictions p = {0};
	struct ns_dataset *set = NULL;
	char file[NS_PATH_MAX];
	json_t *json = NULL;
	enum ns_status status;

	if (!data)
		return ns_fail(NS_USAGE, "evaluate: --data is required: the data set of these predictions, whose annotations say what is right");
	if (ns_conf_text(job->conf, "evaluate.against"))
		return ns_fail(NS_CONFIG, "evaluate.against: only predictions of classes are compared in pairs");
	NS_GO(ns_predictions_open_results(&p, path));
	NS_GO(ns_dataset_open(job, &set, data, 0));
	NS_GO(ns_job_begin(job, 0));
	json = NS_JSON_OBJECT({"schema", json_string("nightshift.evaluation/1")}, {"model", json_string(p.model)},
			      {"predictions", json_string(p.digest)});
	NS_GO(json ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for an evaluation"));
	NS_GO(ns_evaluate_answers(&p, set, ns_conf_text(job->conf, "evaluate.truth"), ns_conf_bool(job->conf, "evaluate.empty"), json));
	NS_GO(ns_path(file, "%s/evaluation.json", job->dir));
	NS_GO(ns_job_agree(job, job->comm->rank == 0 ? ns_json_write(file, json) : NS_OK));
	ns_log_event(job->log, "evaluated", json_incref(json));
	ns_job_input(job, "predictions", path, p.digest);
	ns_job_input(job, "dataset", data, set->digest);
	ns_job_count(job, "rows", p.rows);
	status = ns_job_publish(job);
out:
	json_decref(json);
	ns_dataset_close(set);
	ns_predictions_release(&p);
	return status;
}

enum ns_status ns_job_evaluate(struct ns_job *job, int argc, char **argv)
{
	const char *path, *against = ns_conf_text(job->conf, "evaluate.against"), *rows = ns_conf_text(job->conf, "evaluate.rows");
	const char *registry = ns_conf_text(job->conf, "registry");
	char labels[NS_SHA256_HEX], until[NS_SHA256_HEX];
	int64_t joined;
	double seconds;
	uint64_t seed = (uint64_t)ns_conf_int(job->conf, "seed");
	struct ns_predictions p = {0}, q = {0};
	json_t *json = NULL;
	char file[NS_PATH_MAX];
	enum ns_status status;
	uint8_t *gate = NULL;

	(void)argv;
	if (argc)
		return ns_fail(NS_USAGE, "evaluate: takes no operand; --predictions is required");
	NS_TRY(ns_job_require(job, "evaluate.predictions", "predictions", &path));
	if (strcmp(rows, "all") && strcmp(rows, "gate"))
		return ns_fail(NS_CONFIG, "evaluate.rows = '%s', expected all or gate", rows);
	NS_GO(ns_predictions_open(&p, path));
	if (*p.task) {
		ns_predictions_release(&p);
		return evaluate_answers(job, path);
	}
	NS_GO(of_manifest(job->conf, until, &seconds));
	NS_GO(ns_labels_join(job, registry, until, &p, &joined, labels));
	if (against)
		NS_GO(ns_predictions_open(&q, against));
	if (against) /* the same answers on both sides, whatever comes meanwhile */
		NS_GO(ns_labels_join(job, registry, labels, &q, &joined, labels));
	if (*labels)
		ns_job_input(job, "labels", registry, labels);
	if (!strcmp(rows, "gate") && p.id && p.label)
		NS_GO(gate_half(&p, seconds, seed, &gate));
	NS_GO(ns_job_begin(job, 0));
	json = json_pack("{s:s}", "schema", "nightshift.evaluation/1");
	NS_GO(judge(&p, gate, ns_conf_bool(job->conf, "evaluate.empty"), json));
	json_object_set_new(json, "half", json_string(rows));
	json_object_set_new(json, "model", json_string(p.model));
	json_object_set_new(json, "predictions", json_string(p.digest));
	if (against)
		NS_GO(compare(&p, &q, gate, seconds, json));
	NS_GO(ns_path(file, "%s/evaluation.json", job->dir));
	NS_GO(ns_job_agree(job, job->comm->rank == 0 ? ns_json_write(file, json) : NS_OK));
	ns_job_input(job, "predictions", path, p.digest);
	if (against)
		ns_job_input(job, "against", against, q.digest);
	ns_job_count(job, "rows", (int64_t)ns_json_number(json, "rows", 0));
	status = ns_job_publish(job);
out:
	free(gate);
	json_decref(json);
	ns_predictions_release(&p);
	ns_predictions_release(&q);
	return status;
}
