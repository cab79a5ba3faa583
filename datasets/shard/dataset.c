#define _POSIX_C_SOURCE 200809L
#include "datasets/shard/shard_inner.h"
#include "datasets/h5/h5.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"

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
	json_decref(d->list);
	free(d);
}

enum ns_status ns_classes_agree(const char *const *a, int na, const char *where_a, const char *const *b, int nb, const char *where_b)
{
	int i;

	if (na != nb)
		return ns_fail(NS_BAD_DATA, "%s has %d classes, but %s has %d", where_a, na, where_b, nb);
	for (i = 0; i < na; i++)
		if (strcmp(a[i], b[i]))
			return ns_fail(NS_BAD_DATA, "%s: class %d is '%s', but in %s it is '%s'; the order must agree", where_a, i, a[i], where_b,
				       b[i]);
	return NS_OK;
}

/* Opens shard number i of the list; all must agree with the first that is opened. */
enum ns_status ns_dataset_open_shard(struct ns_dataset *d, int i, const char *path, int below)
{
	const struct ns_shard_head *h, *first;

	NS_TRY(ns_shard_open_seen(&d->shards[i], path, below));
	if (!d->head)
		d->head = d->shards[i];
	h = &d->shards[i]->head;
	first = &d->head->head;
	NS_TRY(ns_classes_agree((const char *const *)h->classes, h->class_count, path, (const char *const *)first->classes, first->class_count,
				d->head->path));
	if (strcmp(h->encoding, first->encoding) || h->h != first->h || h->w != first->w || h->c != first->c)
		return ns_fail(NS_BAD_DATA, "%s: %s %dx%dx%d, but %s is %s %dx%dx%d", path, h->encoding, h->h, h->w, h->c, d->head->path,
			       first->encoding, first->h, first->w, first->c);
	return NS_OK;
}

enum ns_status ns_dataset_alloc(struct ns_dataset *d, size_t n)
{
	d->shards = calloc(n + 1, sizeof *d->shards);
	d->first = calloc(n + 2, sizeof *d->first);
	return d->shards && d->first ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu shards", d->path, n);
}

/* --- a folder --- */

struct listed {			/* dataset.json's shards, and which of them this job reads */
	char path[NS_PATH_MAX]; /* of dataset.json */
	const json_t *list;
	char **file; /* whole path of each that is read, else NULL */
	int count;
};

static void listed_release(struct listed *l)
{
	int i;

	for (i = 0; l->file && i < l->count; i++)
		free(l->file[i]);
	free(l->file);
}

/* one line of the list: a file's own name, its digest, its rows; none twice, neither by name nor by content */
static enum ns_status check_line(const struct listed *l, json_t *seen, int i, int64_t *rows)
{
	const json_t *item = json_array_get(l->list, (size_t)i);
	const char *file = ns_json_text(item, "file"), *sha256 = ns_json_text(item, "sha256");
	char where[NS_PATH_MAX];

	NS_TRY(ns_path(where, "%s: shards[%d]", l->path, i));
	if (!*file || strchr(file, '/') || *file == '.')
		return ns_fail(NS_BAD_DATA, "%s: invalid file name '%s'", where, file);
	if (!ns_is_sha256(sha256))
		return ns_fail(NS_BAD_DATA, "%s: sha256 is '%.70s', expected 64 hexadecimal digits", where, sha256);
	if (json_object_get(seen, file) || json_object_get(seen, sha256))
		return ns_fail(NS_BAD_DATA, "%s: %s is listed twice", where, file);
	json_object_set_new(seen, file, json_true());
	json_object_set_new(seen, sha256, json_true());
	return ns_json_get_int(item, "rows", where, 1, NS_SHARD_ROWS, rows);
}

static enum ns_status read_list(struct ns_job *job, struct ns_dataset *d, struct listed *l, const json_t *json, int mine)
{
	json_t *seen = json_object();
	char hex[NS_SHA256_HEX], file[NS_PATH_MAX];
	enum ns_status status;
	int64_t rows, total;
	int i;

	l->list = json_object_get(json, "shards");
	l->count = (int)json_array_size(l->list);
	NS_GO(l->count ? ns_dataset_alloc(d, (size_t)l->count) : ns_fail(NS_BAD_DATA, "%s: lists no shards", l->path));
	l->file = calloc((size_t)l->count, sizeof *l->file);
	NS_GO(l->file ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for %d shards", l->path, l->count));
	d->count = l->count;
	for (i = 0; i < l->count; i++) {
		NS_GO(check_line(l, seen, i, &rows));
		d->first[i + 1] = d->first[i] + rows;
		if (i && mine && job && !ns_job_part_of(job, i)) /* another task's; the first is opened by all, which must agree with it */
			continue;
		NS_GO(ns_path(file, "%s/%s", d->path, ns_json_text(json_array_get(l->list, (size_t)i), "file")));
		NS_GO((l->file[i] = strdup(file)) ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for %d shards", l->path, l->count));
	}
	d->rows = d->first[d->count];
	NS_GO(ns_json_get_int(json, "rows", l->path, 1, INT64_MAX, &total));
	ns_json_digest(hex, l->list);
	snprintf(d->digest, sizeof d->digest, "%s", ns_json_text(json, "digest"));
	snprintf(d->name, sizeof d->name, "%s", ns_json_text(json, "name"));
	if (strcmp(hex, d->digest))
		status = ns_fail(NS_DIGEST, "%s: digest is '%.16s..', but its list of shards has %.16s..; it was changed", l->path, d->digest, hex);
	else if (total != d->rows)
		status = ns_fail(NS_BAD_DATA, "%s: rows is %lld, but its shards have %lld together", l->path, (long long)total, (long long)d->rows);
out:
	json_decref(seen);
	return status;
}

/*
 * Before libhdf5 sees a shard, its digest must be the one in dataset.json, and then a child process looks at it. The shards are distributed
 * over the ranks, which trust each other.
 */
static enum ns_status verify_shards(struct ns_job *job, const struct listed *l)
{
	const char **paths = calloc((size_t)l->count, sizeof *paths);
	enum ns_status status = paths ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for %d shards", l->path, l->count);
	int i, n = 0, turn = 0;

	for (i = 0; i < l->count && status == NS_OK; i++) {
		if (!l->file[i] || (job && turn++ % job->comm->size != job->comm->rank))
			continue;
		status = ns_sha256_check(l->file[i], ns_json_text(json_array_get(l->list, (size_t)i), "sha256"), l->path);
		paths[n++] = l->file[i];
	}
	if (status == NS_OK)
		status = ns_shards_look(paths, n, 1);
	free(paths);
	return status;
}

static enum ns_status open_listed(struct ns_dataset *d, const struct listed *l)
{
	int i;

	for (i = 0; i < l->count; i++) {
		if (!l->file[i])
			continue;
		NS_TRY(ns_dataset_open_shard(d, i, l->file[i], 1));
		if (d->shards[i]->rows.rows != d->first[i + 1] - d->first[i])
			return ns_fail(NS_BAD_DATA, "%s: has %lld rows, but %s says %lld", l->file[i], (long long)d->shards[i]->rows.rows, l->path,
				       (long long)(d->first[i + 1] - d->first[i]));
	}
	return NS_OK;
}

/* the classes of dataset.json are those of its shards */
static enum ns_status check_classes(const struct ns_dataset *d, const struct listed *l, const json_t *json)
{
	const json_t *classes = json_object_get(json, "classes");
	const struct ns_shard_head *h = ns_dataset_head(d);
	int i;

	for (i = 0; classes && i < h->class_count; i++)
		if (!json_is_string(json_array_get(classes, (size_t)i)) ||
		    strcmp(json_string_value(json_array_get(classes, (size_t)i)), h->classes[i]))
			break;
	if (classes && (i < h->class_count || (int)json_array_size(classes) != h->class_count))
		return ns_fail(NS_BAD_DATA, "%s: its classes are not those of %s", l->path, d->head->path);
	return NS_OK;
}

static enum ns_status agree(struct ns_job *job, enum ns_status status)
{
	return job ? ns_job_agree(job, status) : status;
}

enum ns_status ns_dataset_open_folder(struct ns_job *job, struct ns_dataset *d, int mine)
{
	struct listed l = {0};
	json_t *json = NULL;
	enum ns_status status;

	status = ns_path(l.path, "%s/dataset.json", d->path);
	if (status == NS_OK)
		status = ns_json_read_if_there(l.path, &json, "nightshift.dataset/1");
	if (status == NS_OK && !json)
		status = ns_fail(NS_IO, "%s: is not a data set (it has no dataset.json)", d->path);
	if (status == NS_OK)
		status = read_list(job, d, &l, json, mine);
	if (status == NS_OK)
		status = verify_shards(job, &l);
	NS_GO(agree(job, status));
	NS_GO(open_listed(d, &l));
	status = check_classes(d, &l, json);
out:
	listed_release(&l);
	json_decref(json);
	return status;
}

enum ns_status ns_dataset_open_file(struct ns_dataset *d)
{
	NS_TRY(ns_dataset_alloc(d, 1));
	NS_TRY(ns_shards_look((const char *const *)&d->path, 1, 0));
	d->count = 1;
	NS_TRY(ns_dataset_open_shard(d, 0, d->path, 0));
	d->first[1] = d->rows = d->shards[0]->rows.rows;
	d->alone = 1;
	return ns_sha256_file(d->digest, d->path);
}

enum ns_status ns_dataset_verify(struct ns_job *job, const struct ns_dataset *d)
{
	/* a folder's shards were hashed whole when it was opened: see verify_shards() */
	return ns_job_agree(job, d->alone && job->comm->rank == 0 ? ns_shard_verify(d->shards[0]) : NS_OK);
}

const struct ns_shard_head *ns_dataset_head(const struct ns_dataset *d)
{
	return &d->head->head;
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

int ns_dataset_has_files(const struct ns_dataset *d)
{
	return strcmp(ns_dataset_head(d)->encoding, "raw") != 0;
}

/* Reads the file of a row, and how it is decoded. */
static enum ns_status read_file(const struct ns_shard *s, int64_t i, int c, uint8_t **buffer, size_t *capacity, size_t *bytes,
				struct ns_decode_options *options)
{
	*options = (struct ns_decode_options){.c = c,
					      .as_stored = s->head.as_stored,
					      .background = s->head.background,
					      .pixels_max = (int64_t)NS_SIDE_MAX * NS_SIDE_MAX};
	return ns_shard_read_encoded(s, i, buffer, capacity, bytes);
}

static enum ns_status in_row(enum ns_status status, const struct ns_shard *s, int64_t i)
{
	return status == NS_OK ? NS_OK : ns_fail_in(status, "%s: row %lld", s->path, (long long)(s->at ? s->at[i] : i));
}

enum ns_status ns_dataset_pixels(const struct ns_dataset *d, int64_t row, int h, int w, int c, uint8_t *pixels, uint8_t **buffer, size_t *capacity)
{
	int64_t i;
	const struct ns_shard *s = ns_dataset_at(d, row, &i);
	struct ns_decode_options options;
	size_t bytes;

	if (!s->image_offset) {
		if (s->head.h != h || s->head.w != w || s->head.c != c)
			return ns_fail(NS_BAD_DATA, "%s: images are %dx%dx%d, expected %dx%dx%d", s->path, s->head.h, s->head.w, s->head.c, h, w, c);
		return ns_shard_read(s, i, 1, pixels);
	}
	NS_TRY(read_file(s, i, c, buffer, capacity, &bytes, &options));
	return in_row(ns_decode_cover(*buffer, bytes, &options, h, w, pixels, NULL), s, i);
}

enum ns_status ns_dataset_image(const struct ns_dataset *d, int64_t row, int c, int *h, int *w, uint8_t **pixels, uint8_t **buffer, size_t *capacity)
{
	int64_t i;
	const struct ns_shard *s = ns_dataset_at(d, row, &i);
	struct ns_decode_options options;
	enum ns_status status;
	uint8_t *stored;
	size_t bytes;
	int had;

	if (s->image_offset) {
		NS_TRY(read_file(s, i, c, buffer, capacity, &bytes, &options));
		return in_row(ns_decode(*buffer, bytes, &options, h, w, &had, pixels, NULL), s, i);
	}
	*h = s->head.h;
	*w = s->head.w;
	stored = malloc((size_t)*h * (size_t)*w * (size_t)s->head.c);
	if (!stored)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for an image", s->path);
	status = ns_shard_read(s, i, 1, stored);
	if (status == NS_OK)
		status = ns_channels(stored, *h, *w, s->head.c, c, pixels);
	free(stored);
	return status;
}

enum ns_status ns_dataset_part(const struct ns_dataset *d, int64_t row, ns_part_choice choose, void *context, int h, int w, int c, uint8_t *pixels,
			       uint8_t **buffer, size_t *capacity)
{
	int64_t i;
	const struct ns_shard *s = ns_dataset_at(d, row, &i);
	struct ns_decode_options options;
	struct ns_image image;
	struct ns_part part;
	size_t bytes;
	int turned;

	NS_TRY(read_file(s, i, c, buffer, capacity, &bytes, &options));
	NS_TRY(in_row(ns_image_look(*buffer, bytes, &image), s, i));
	turned = !options.as_stored && image.orientation > 4;
	if (choose(context, turned ? image.w : image.h, turned ? image.h : image.w, &part))
		return in_row(ns_decode_part(*buffer, bytes, &options, &part, h, w, pixels), s, i);
	return in_row(ns_decode_cover(*buffer, bytes, &options, h, w, pixels, NULL), s, i);
}

void ns_pixel_tail(int h, int w, int c, unsigned char tail[NS_PIXEL_TAIL])
{
	uint32_t shape[3] = {(uint32_t)h, (uint32_t)w, (uint32_t)c};
	int i;

	for (i = 0; i < NS_PIXEL_TAIL; i++)
		tail[i] = (unsigned char)(shape[i / 4] >> (8 * (i % 4)));
}

uint64_t ns_pixel_id_of(const unsigned char digest[32])
{
	uint64_t id = 0;
	int i;

	for (i = 0; i < 8; i++)
		id = id << 8 | digest[i];
	return id;
}

enum ns_status ns_pixel_id(const uint8_t *pixels, int h, int w, int c, uint64_t *id)
{
	unsigned char tail[NS_PIXEL_TAIL], digest[32];

	ns_pixel_tail(h, w, c, tail);
	NS_TRY(ns_sha256_concat(digest, pixels, (size_t)h * (size_t)w * (size_t)c, tail, sizeof tail));
	*id = ns_pixel_id_of(digest);
	return NS_OK;
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
