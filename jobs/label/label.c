/* jobs/label/label.c - the verb label: `--predictions P --data D --out Q` asks, `--queue Q --answers FILE...` takes what was answered. */
#include "jobs/label/label_inner.h"

#include <stdlib.h>

static void release(struct ns_label_queue *q)
{
	ns_predictions_release(&q->p);
	ns_dataset_close(q->data);
	ns_labels_release(&q->known);
	free(q->rows);
}

/* Predictions of these images, in their order. */
static enum ns_status check_pair(const struct ns_label_queue *q)
{
	int64_t i;

	if (!q->p.id || !q->p.names)
		return ns_fail(NS_BAD_DATA, "label: the predictions need id and the names of classes");
	if (q->p.rows != q->data->rows)
		return ns_fail(NS_BAD_DATA, "label: %lld predictions, but %s has %lld images", (long long)q->p.rows, q->data->path,
			       (long long)q->data->rows);
	for (i = 0; i < q->p.rows; i++)
		if (q->p.id[i] != ns_dataset_id(q->data, i))
			return ns_fail(NS_BAD_DATA, "label: row %lld is image %016llx in the predictions, %016llx in %s", (long long)i,
				       (unsigned long long)q->p.id[i], (unsigned long long)ns_dataset_id(q->data, i), q->data->path);
	return NS_OK;
}

static enum ns_status write_all(const struct ns_label_queue *q, int show)
{
	char path[NS_PATH_MAX], digest[NS_SHA256_HEX];

	NS_TRY(ns_label_write(q));
	NS_TRY(ns_path(path, "%s/queue.json", q->job->dir));
	NS_TRY(ns_sha256_file(digest, path));
	return ns_label_page(q, digest, show);
}

static enum ns_status ask(struct ns_job *job)
{
	const struct ns_conf *c = job->conf;
	const char *predictions, *data, *registry = ns_conf_text(c, "registry");
	struct ns_label_queue q = {.job = job};
	enum ns_status status;

	NS_TRY(ns_job_require(job, "evaluate.predictions", "predictions", &predictions));
	NS_TRY(ns_job_require(job, "data", "data", &data));
	if (!ns_conf_text(c, "out"))
		return ns_fail(NS_USAGE, "label: --out is required");
	NS_GO(ns_predictions_open(&q.p, predictions));
	NS_GO(ns_dataset_open(job, &q.data, data, 0));
	NS_GO(check_pair(&q));
	NS_GO(ns_job_agree(job, ns_labels_read(&q.known, registry, NULL)));
	NS_GO(ns_job_begin(job, 0));
	if (job->comm->rank == 0) {
		status = ns_label_choose(&q, ns_conf_int(c, "label.rows"), ns_conf_real(c, "label.measure"), ns_conf_text(c, "label.strata"),
					 ns_conf_text(c, "label.drift"), (uint64_t)ns_conf_int(c, "seed"));
		if (status == NS_OK)
			status = q.count ? write_all(&q, ns_conf_bool(c, "label.show"))
					 : ns_fail(NS_BAD_DATA, "label: every image of %s has a label", data);
	}
	NS_GO(ns_job_agree(job, status));
	ns_job_input(job, "predictions", predictions, q.p.digest);
	ns_job_input(job, "data", data, q.data->digest);
	ns_job_count(job, "rows", q.count);
	ns_job_count(job, "candidates", q.candidates);
	status = ns_job_publish(job);
out:
	release(&q);
	return status;
}

enum ns_status ns_job_label(struct ns_job *job, int argc, char **argv)
{
	const char *answers = ns_conf_text(job->conf, "label.answers"), *queue = ns_conf_text(job->conf, "label.queue");
	const char *by = ns_conf_text(job->conf, "label.by");
	const char **files;
	char who[NS_WHO];
	enum ns_status status;
	int i;

	if (!answers && argc)
		return ns_fail(NS_USAGE, "label: takes no operand without --answers");
	if (!answers)
		return ask(job);
	if (!queue)
		return ns_fail(NS_USAGE, "label: --queue is required: the folder of the queue that asked");
	files = malloc(sizeof *files * ((size_t)argc + 1));
	if (!files)
		return ns_fail(NS_NO_MEMORY, "label: out of memory");
	files[0] = answers;
	for (i = 0; i < argc; i++)
		files[i + 1] = argv[i];
	status =
		job->comm->rank == 0 ? ns_label_take(job, queue, files, argc + 1, by ? by : ns_who(who), ns_conf_text(job->conf, "registry")) : NS_OK;
	free(files);
	return ns_job_agree(job, status);
}
