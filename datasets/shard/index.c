/* datasets/shard/index.c - dataset.json: what a data set says of itself and of its shards. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/shard/shard_inner.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

static int by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* rows whose pixels another row has too */
static int64_t count_duplicates(const struct ns_dataset *d)
{
	uint64_t *ids = malloc(sizeof *ids * (size_t)(d->rows + 1));
	int64_t i, same = 0;
	int s;

	if (!ids)
		return -1;
	for (s = 0; s < d->count; s++)
		memcpy(ids + d->first[s], d->shards[s]->rows.id, (size_t)d->shards[s]->rows.rows * sizeof *ids);
	qsort(ids, (size_t)d->rows, sizeof *ids, by_id);
	for (i = 1; i < d->rows; i++)
		same += ids[i] == ids[i - 1];
	free(ids);
	return same;
}

static json_t *texts_json(char **texts, int n)
{
	json_t *list = json_array();
	int i;

	for (i = 0; i < n; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

/* The groups of all shards, each of which has its own list. */
static json_t *groups_json(const struct ns_dataset *d)
{
	struct ns_vocabulary all = {0};
	json_t *list;
	int i;

	for (i = 0; i < d->count; i++)
		if (ns_vocabulary_map(&all, d->shards[i]->head.groups, d->shards[i]->head.group_count, NULL, 0) != NS_OK)
			break;
	list = i < d->count ? NULL : texts_json(all.words, all.count);
	ns_vocabulary_release(&all);
	return list;
}

static json_t *describe(const struct ns_dataset *d, const char *name)
{
	const struct ns_shard_head *h = ns_dataset_head(d);
	json_t *json = json_object(), *histogram = json_array();
	int64_t i, *count = calloc((size_t)h->class_count + 1, sizeof *count);
	int k;

	json_object_set_new(json, "schema", json_string("nightshift.dataset/1"));
	json_object_set_new(json, "name", ns_json_string(name));
	json_object_set_new(json, "classes", texts_json(h->classes, h->class_count));
	json_object_set_new(json, "groups", groups_json(d));
	json_object_set_new(json, "encoding", json_string(h->encoding));
	json_object_set_new(json, "rows", json_integer(d->rows));
	for (i = 0; count && i < d->rows; i++)
		count[ns_dataset_label(d, i) + 1]++;
	json_object_set_new(json, "unlabelled", json_integer(count ? count[0] : -1));
	for (k = 0; count && k < h->class_count; k++)
		json_array_append_new(histogram, json_integer(count[k + 1]));
	json_object_set_new(json, "histogram", histogram);
	json_object_set_new(json, "duplicates", json_integer(count_duplicates(d)));
	free(count);
	return json;
}

struct digests { /* of a folder's shards; "" where there is none */
	const char *folder;
	char (*hex)[NS_SHA256_HEX];
};

static enum ns_status digest_one(void *context, int task, int worker)
{
	const struct digests *d = context;
	char path[NS_PATH_MAX];
	int is;

	(void)worker;
	NS_TRY(ns_path(path, "%s/shard-%05d.h5", d->folder, task));
	NS_TRY(ns_exists(path, &is));
	if (is)
		return ns_sha256_file(d->hex[task], path);
	*d->hex[task] = 0; /* nothing of this stretch was fit to keep */
	return NS_OK;
}

static enum ns_status write_index(struct ns_job *job, const char *folder, const char *name, int count, const struct digests *digests, json_t *parents,
				  json_t *made)
{
	struct ns_dataset *d = calloc(1, sizeof *d);
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	json_t *list = json_array(), *json = NULL;
	enum ns_status status;
	int i;

	if (!d || !(d->path = strdup(folder)) || ns_dataset_alloc(d, (size_t)count) != NS_OK) {
		ns_dataset_close(d);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its index", folder);
	}
	for (i = 0; i < count; i++) {
		NS_GO(ns_path(path, "%s/shard-%05d.h5", folder, i));
		if (!*digests->hex[i])
			continue;
		NS_GO(ns_dataset_open_shard(d, d->count, path, 1));
		d->first[d->count + 1] = d->rows += d->shards[d->count]->rows.rows;
		ns_job_digest(job, path, digests->hex[i]);
		json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "file", strrchr(path, '/') + 1, "rows",
						      (json_int_t)d->shards[d->count++]->rows.rows, "sha256", digests->hex[i]));
	}
	if (!d->count) {
		status = ns_fail(NS_BAD_DATA, "%s: no image was fit to keep", name);
		goto out;
	}
	json = describe(d, name);
	json_object_set(json, "shards", list);
	ns_json_digest(hex, list);
	json_object_set_new(json, "digest", json_string(hex));
	json_object_set(json, "parents", parents);
	json_object_set(json, "made", made);
	NS_GO(ns_path(path, "%s/dataset.json", folder));
	status = ns_json_write(path, json);
out:
	json_decref(json);
	json_decref(list);
	ns_dataset_close(d);
	return status;
}

/* The shards are read again, by all workers, so that the digests are those of what is on the disk. */
static enum ns_status index_folder(struct ns_job *job, const char *folder, const char *name, int count, json_t *parents, json_t *made)
{
	struct digests d = {folder, malloc((size_t)(count + 1) * sizeof *d.hex)};
	enum ns_status status = d.hex ? ns_workers_run(job->workers, count, digest_one, &d) : ns_fail(NS_NO_MEMORY, "out of memory for digests");

	if (status == NS_OK)
		status = write_index(job, folder, name, count, &d, parents, made);
	free(d.hex);
	return status;
}

enum ns_status ns_dataset_publish(struct ns_job *job, const char *folder, const char *name, int count, json_t *parents, json_t *made)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s%s%s", job->dir, folder ? "/" : "", folder ? folder : ""));
	NS_TRY(ns_comm_barrier(job->comm));
	return ns_job_agree(job, job->comm->rank == 0 ? index_folder(job, path, name, count, parents, made) : NS_OK);
}
