/*
 * jobs/drift/open.c - opens a window: predictions, a user's own HDF5 columns, or a data set without predictions, whose image
 * statistics are measured here.
 */
#define _POSIX_C_SOURCE 200809L
#include "jobs/drift/drift_inner.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"
#include "host/run/run.h"
#include "kernels/formula/stats.h"
#include "datasets/shard/shard.h"

#define BATCH 256

struct measure {
	struct ns_job *job;
	const struct ns_dataset *data;
	float *stats;
	int h, w, c;
	struct ns_plan **plans; /* one a worker */
};

static enum ns_status one_batch(void *context, int task, int worker)
{
	struct measure *m = context;
	int64_t first = (int64_t)task * BATCH, n = m->data->rows - first < BATCH ? m->data->rows - first : BATCH, i;
	size_t image = (size_t)m->h * (size_t)m->w * (size_t)m->c, capacity = 0;
	uint8_t *pixels = calloc(BATCH, image), *buffer = NULL;
	float part[BATCH * NS_STAT_COUNT];
	struct ns_staged io = {{pixels}, {BATCH * image}, {part}, {sizeof part}};
	enum ns_status status = pixels ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d images", BATCH);

	for (i = 0; i < n && status == NS_OK; i++)
		status = ns_dataset_pixels(m->data, first + i, m->h, m->w, m->c, pixels + (size_t)i * image, &buffer, &capacity);
	if (status == NS_OK)
		status = ns_staged_plan(m->job->set->devices[worker], m->job->set->queues[worker], m->plans[worker], &io);
	if (status == NS_OK)
		memcpy(m->stats + first * NS_STAT_COUNT, part, (size_t)n * NS_STAT_COUNT * sizeof *part);
	free(pixels);
	free(buffer);
	return status;
}

/* encoded images may differ in size: all are scaled to the size of the first */
static enum ns_status size_of(struct measure *m)
{
	const struct ns_shard *s = m->data->shards[0];
	uint8_t *file = NULL;
	struct ns_image image;
	size_t capacity = 0, bytes;
	enum ns_status status;

	m->h = s->head.h;
	m->w = s->head.w;
	m->c = s->head.c;
	if (m->h && m->w)
		return NS_OK;
	status = ns_shard_read_encoded(s, 0, &file, &capacity, &bytes);
	if (status == NS_OK)
		status = ns_image_look(file, bytes, &image);
	if (status == NS_OK) {
		int turned = !s->head.as_stored && image.orientation > 4;

		m->h = turned ? image.w : image.h;
		m->w = turned ? image.h : image.w;
		m->c = image.c;
	}
	free(file);
	return status;
}

static enum ns_status measure_all(struct measure *m)
{
	struct ns_op op = {.kind = NS_OP_STATS};
	int i, workers = ns_workers_count(m->job->workers);
	enum ns_status status;

	NS_TRY(size_of(m));
	op.u.stats = (struct ns_op_stats){BATCH, m->h, m->w, m->c};
	m->plans = calloc((size_t)workers, sizeof *m->plans);
	if (!m->plans)
		return ns_fail(NS_NO_MEMORY, "out of memory for plans");
	for (i = 0; i < workers; i++)
		NS_GO(ns_plan_make(&m->plans[i], m->job->set->devices[i], &op));
	status = ns_workers_run(m->job->workers, (int)((m->data->rows + BATCH - 1) / BATCH), one_batch, m);
out:
	for (i = 0; i < workers; i++)
		ns_plan_free(m->plans[i]);
	free(m->plans);
	return status;
}

static enum ns_status name_columns(struct ns_predictions *p, const struct ns_shard_head *head)
{
	static const char *const names[] = NS_STAT_NAMES;
	int i;

	p->stats_names = calloc(NS_STAT_COUNT + 1, sizeof *p->stats_names);
	p->names = calloc((size_t)head->class_count + 1, sizeof *p->names);
	if (!p->stats_names || !p->names)
		return ns_fail(NS_NO_MEMORY, "out of memory for names");
	for (i = 0; i < NS_STAT_COUNT; i++)
		p->stats_names[p->stats_named++] = strdup(names[i]);
	for (i = 0; i < head->class_count; i++)
		p->names[p->class_names++] = strdup(head->classes[i]);
	return NS_OK;
}

static enum ns_status from_dataset(struct ns_job *job, struct ns_predictions *p, const struct ns_dataset *data)
{
	struct measure m = {.job = job, .data = data};
	int64_t i, at;

	p->rows = data->rows;
	p->temperature = 1;
	memcpy(p->digest, data->digest, sizeof p->digest);
	memcpy(p->dataset, data->digest, sizeof p->dataset);
	p->stats = (struct ns_matrix){.rows = p->rows, .d = NS_STAT_COUNT, .data = calloc((size_t)p->rows + 1, NS_STAT_COUNT * sizeof(float))};
	m.stats = p->stats.data;
	p->id = calloc((size_t)p->rows + 1, sizeof *p->id);
	p->label = calloc((size_t)p->rows + 1, sizeof *p->label);
	p->group = calloc((size_t)p->rows + 1, sizeof *p->group);
	p->time = calloc((size_t)p->rows + 1, sizeof *p->time);
	if (!m.stats || !p->id || !p->label || !p->group || !p->time)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld rows", data->path, (long long)p->rows);
	for (i = 0; i < p->rows; i++) {
		const struct ns_shard *s = ns_dataset_at(data, i, &at);

		p->id[i] = s->rows.id[at];
		p->label[i] = s->rows.label[at];
		p->group[i] = s->rows.group[at];
		if (at + 1 == s->rows.rows && s->head.group_count) /* each shard has its own list */
			NS_TRY(ns_vocabulary_map(&p->groups, s->head.groups, s->head.group_count, p->group + i - at, s->rows.rows));
		p->time[i] = s->rows.time[at];
	}
	NS_TRY(name_columns(p, ns_dataset_head(data)));
	return measure_all(&m);
}

enum ns_status ns_drift_open(struct ns_job *job, struct ns_predictions *p, const char *path)
{
	struct ns_dataset *data = NULL;
	enum ns_status status;
	int images;

	NS_TRY(ns_job_agree(job, ns_dataset_is(path, &images)));
	NS_TRY(ns_comm_broadcast(job->comm, &images, sizeof images, 0));
	if (!images)
		return ns_predictions_open(p, path);
	memset(p, 0, sizeof *p);
	NS_TRY(ns_device_set_open(job->set, job->conf, job->workers));
	NS_TRY(ns_dataset_open(job, &data, path, 0));
	status = ns_dataset_verify(job, data);
	if (status == NS_OK)
		status = from_dataset(job, p, data);
	ns_dataset_close(data);
	return status;
}
