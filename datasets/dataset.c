#define _POSIX_C_SOURCE 200809L
#include "datasets/dataset.h"
#include "datasets/h5.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/decode.h"

void ns_dataset_close(struct ns_dataset *d)
{
	int i;

	if (!d)
		return;
	for (i = 0; i < d->count; i++)
		ns_shard_close(d->shards[i]);
	free(d->shards);
	free(d->first);
	free(d->path);
	free(d);
}

enum ns_status ns_classes_agree(const char *const *a, int na, const char *where_a, const char *const *b, int nb,
				const char *where_b)
{
	int i;

	if (na != nb)
		return ns_fail(NS_BAD_DATA, "%s has %d classes, but %s has %d", where_a, na, where_b, nb);
	for (i = 0; i < na; i++)
		if (strcmp(a[i], b[i]))
			return ns_fail(NS_BAD_DATA, "%s: class %d is '%s', but in %s it is '%s'; the order must agree", where_a, i,
				       a[i], where_b, b[i]);
	return NS_OK;
}

static enum ns_status add_shard(struct ns_dataset *d, const char *path)
{
	struct ns_shard *s;
	const struct ns_shard_head *h, *first;

	NS_TRY(ns_shard_open(&s, path));
	d->shards[d->count++] = s;
	d->first[d->count] = d->first[d->count - 1] + s->rows.rows;
	d->rows = d->first[d->count];
	h = &s->head;
	first = &d->shards[0]->head;
	NS_TRY(ns_classes_agree((const char *const *)h->classes, h->class_count, path, (const char *const *)first->classes,
				first->class_count, d->shards[0]->path));
	if (strcmp(h->encoding, first->encoding) || h->h != first->h || h->w != first->w || h->c != first->c)
		return ns_fail(NS_BAD_DATA, "%s: %s %dx%dx%d, but %s is %s %dx%dx%d", path, h->encoding, h->h, h->w, h->c,
			       d->shards[0]->path, first->encoding, first->h, first->w, first->c);
	return NS_OK;
}

static enum ns_status alloc_shards(struct ns_dataset *d, size_t n)
{
	d->shards = calloc(n + 1, sizeof *d->shards);
	d->first = calloc(n + 2, sizeof *d->first);
	return d->shards && d->first ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: no memory for %zu shards", d->path, n);
}

static enum ns_status open_folder(struct ns_dataset *d)
{
	char path[NS_PATH_MAX];
	json_t *json, *list, *item;
	enum ns_status status;
	size_t i;

	NS_TRY(ns_path(path, "%s/dataset.json", d->path));
	if (!ns_path_exists(path))
		return ns_fail(NS_IO, "%s: is no data set (it has no dataset.json)", d->path);
	NS_TRY(ns_json_read(path, &json, "nightshift.dataset/1"));
	list = json_object_get(json, "shards");
	snprintf(d->digest, sizeof d->digest, "%s", ns_json_text(json, "digest"));
	snprintf(d->name, sizeof d->name, "%s", ns_json_text(json, "name"));
	status = json_array_size(list) ? alloc_shards(d, json_array_size(list))
				       : ns_fail(NS_BAD_DATA, "%s: lists no shards", path);
	for (i = 0; status == NS_OK && i < json_array_size(list); i++) {
		const char *file = ns_json_text(item = json_array_get(list, i), "file");
		char shard[NS_PATH_MAX];
		int64_t rows = (int64_t)ns_json_number(item, "rows", -1);

		if (!*file || strchr(file, '/'))
			status = ns_fail(NS_BAD_DATA, "%s: shard %zu: '%s' is no file name", path, i, file);
		if (status == NS_OK)
			status = ns_path(shard, "%s/%s", d->path, file);
		if (status == NS_OK)
			status = add_shard(d, shard);
		if (status == NS_OK && rows != d->shards[i]->rows.rows)
			status = ns_fail(NS_BAD_DATA, "%s: has %lld rows, but %s says %lld", shard,
					 (long long)d->shards[i]->rows.rows, path, (long long)rows);
	}
	json_decref(json);
	return status;
}

int ns_dataset_is(const char *path)
{
	static const char *const columns[] = {"stats", "prob", "embedding", "pred"};
	char list[NS_PATH_MAX];
	hid_t file;
	size_t i;
	int images;

	if (ns_path_is_dir(path))
		return ns_path(list, "%s/predictions.json", path) == NS_OK && !ns_path_exists(list) &&
		       ns_path(list, "%s/dataset.json", path) == NS_OK && ns_path_exists(list);
	if (ns_h5_open(&file, path) != NS_OK)
		return 0; /* whoever opens it next says why */
	images = ns_h5_has(file, "image") || ns_h5_has(file, "image_bytes");
	for (i = 0; i < sizeof columns / sizeof *columns; i++)
		images &= !ns_h5_has(file, columns[i]);
	H5Fclose(file);
	return images;
}

enum ns_status ns_dataset_open(struct ns_dataset **data, const char *path)
{
	struct ns_dataset *d = calloc(1, sizeof *d);
	enum ns_status status;

	if (!d || !(d->path = strdup(path))) {
		free(d);
		return ns_fail(NS_NO_MEMORY, "%s: no memory", path);
	}
	if (ns_path_is_dir(path)) {
		status = open_folder(d);
	} else {
		status = alloc_shards(d, 1);
		if (status == NS_OK)
			status = add_shard(d, path);
		if (status == NS_OK)
			status = ns_sha256_file(d->digest, path);
	}
	if (status != NS_OK)
		ns_dataset_close(d);
	else
		*data = d;
	return status;
}

enum ns_status ns_dataset_verify(struct ns_job *job, const struct ns_dataset *d)
{
	enum ns_status status = NS_OK;
	int i;

	for (i = 0; i < d->count && status == NS_OK; i++)
		if (ns_job_turn(job, i))
			status = ns_shard_verify(d->shards[i]);
	return ns_job_agree(job, status);
}

const struct ns_shard_head *ns_dataset_head(const struct ns_dataset *d)
{
	return &d->shards[0]->head;
}

const struct ns_shard *ns_dataset_at(const struct ns_dataset *d, int64_t row, int64_t *in_shard)
{
	int low = 0, high = d->count - 1;

	while (low < high) {
		int mid = (low + high + 1) / 2;

		if (d->first[mid] <= row)
			low = mid;
		else
			high = mid - 1;
	}
	*in_shard = row - d->first[low];
	return d->shards[low];
}

int32_t ns_dataset_label(const struct ns_dataset *d, int64_t row)
{
	int64_t i;
	const struct ns_shard *s = ns_dataset_at(d, row, &i);

	return s->rows.label[i];
}

uint64_t ns_dataset_id(const struct ns_dataset *d, int64_t row)
{
	int64_t i;
	const struct ns_shard *s = ns_dataset_at(d, row, &i);

	return s->rows.id[i];
}

enum ns_status ns_dataset_pixels(const struct ns_dataset *d, int64_t row, int h, int w, int c, uint8_t *pixels,
				 uint8_t **buffer, size_t *room)
{
	int64_t i;
	const struct ns_shard *s = ns_dataset_at(d, row, &i);
	int ih, iw, ic = c;
	enum ns_status status;
	uint8_t *decoded;
	size_t bytes;

	if (!s->image_offset) {
		if (s->head.h != h || s->head.w != w || s->head.c != c)
			return ns_fail(NS_BAD_DATA, "%s: images are %dx%dx%d, but %dx%dx%d is wanted", s->path, s->head.h, s->head.w,
				       s->head.c, h, w, c);
		return ns_shard_read(s, i, 1, pixels);
	}
	NS_TRY(ns_shard_read_encoded(s, i, buffer, room, &bytes));
	status = ns_decode(*buffer, bytes, &ih, &iw, &ic, &decoded);
	if (status != NS_OK)
		return ns_fail_in(status, "%s: row %lld", s->path, (long long)i);
	status = ns_resize(decoded, ih, iw, c, pixels, h, w);
	free(decoded);
	return status;
}

uint64_t ns_pixel_id(const uint8_t *pixels, int h, int w, int c)
{
	uint32_t shape[3] = {(uint32_t)h, (uint32_t)w, (uint32_t)c};
	unsigned char tail[12], hash[32];
	uint64_t id = 0;
	uint8_t *all;
	size_t n = (size_t)h * (size_t)w * (size_t)c;
	int i;

	for (i = 0; i < 12; i++)
		tail[i] = (unsigned char)(shape[i / 4] >> (8 * (i % 4)));
	all = malloc(n + 12);
	if (!all)
		return 0;
	memcpy(all, pixels, n);
	memcpy(all + n, tail, 12);
	SHA256(all, n + 12, hash);
	free(all);
	for (i = 0; i < 8; i++)
		id = id << 8 | hash[i];
	return id;
}

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

static json_t *describe(const struct ns_dataset *d, const char *name)
{
	const struct ns_shard_head *h = ns_dataset_head(d);
	json_t *json = json_object(), *histogram = json_array();
	int64_t i, *count = calloc((size_t)h->class_count + 1, sizeof *count);
	int k;

	json_object_set_new(json, "schema", json_string("nightshift.dataset/1"));
	json_object_set_new(json, "name", json_string(name));
	json_object_set_new(json, "classes", texts_json(h->classes, h->class_count));
	json_object_set_new(json, "groups", texts_json(h->groups, h->group_count));
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

static enum ns_status write_index(const char *folder, const char *name, int count, json_t *parents, json_t *made)
{
	struct ns_dataset *d = calloc(1, sizeof *d);
	char path[NS_PATH_MAX], hex[NS_SHA256_HEX];
	json_t *list = json_array(), *json = NULL;
	enum ns_status status;
	int i;

	if (!d || !(d->path = strdup(folder)) || alloc_shards(d, (size_t)count) != NS_OK) {
		ns_dataset_close(d);
		return ns_fail(NS_NO_MEMORY, "%s: no memory for its index", folder);
	}
	for (i = 0; i < count; i++) {
		NS_GO(ns_path(path, "%s/shard-%05d.h5", folder, i));
		if (!ns_path_exists(path))
			continue; /* nothing of this stretch was fit to keep */
		NS_GO(add_shard(d, path));
		NS_GO(ns_sha256_file(hex, path));
		json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "file", strrchr(path, '/') + 1, "rows",
						      (json_int_t)d->shards[d->count - 1]->rows.rows, "sha256", hex));
	}
	if (!d->count) {
		status = ns_fail(NS_BAD_DATA, "%s: no image was fit to keep; quarantine.jsonl says why", name);
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

enum ns_status ns_dataset_publish(struct ns_job *job, const char *folder, const char *name, int count, json_t *parents,
				  json_t *made)
{
	char path[NS_PATH_MAX];

	NS_TRY(ns_path(path, "%s%s%s", job->dir, folder ? "/" : "", folder ? folder : ""));
	NS_TRY(ns_comm_barrier(job->comm));
	return ns_job_agree(job, job->comm->rank == 0 ? write_index(path, name, count, parents, made) : NS_OK);
}

void ns_view_get(const struct ns_view *v, int64_t index, struct ns_pick *pick)
{
	if (v->picks) {
		*pick = v->picks[index];
		return;
	}
	*pick = (struct ns_pick){index, ns_dataset_label(v->sets[0], index), 0, 0};
}

void ns_view_release(struct ns_view *v)
{
	free(v->picks);
	v->picks = NULL;
}
