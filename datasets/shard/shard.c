#define _GNU_SOURCE
#include "datasets/shard/shard_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/h5/h5.h"
#include "host/base/base.h"

void ns_rows_release(struct ns_rows *r)
{
	int i;

	free(r->label);
	free(r->group);
	free(r->id);
	free(r->time);
	free(r->source_offset);
	free(r->source);
	free(r->annotation_offset);
	free(r->annotation);
	for (i = 0; i < NS_FILE_COLUMNS; i++)
		free(*(void **)(void *)((char *)&r->files + ns_file_columns[i].offset));
	memset(r, 0, sizeof *r);
}

void ns_shard_close(struct ns_shard *s)
{
	if (!s)
		return;
	if (s->handle)
		ns_handle_close(s->handle);
	free(s->handle);
	ns_texts_free(s->head.classes, s->head.class_count);
	ns_texts_free(s->head.groups, s->head.group_count);
	ns_texts_free(s->head.formats, s->head.format_count);
	ns_texts_free(s->head.cameras, s->head.camera_count);
	ns_rows_release(&s->rows);
	free(s->at);
	free(s->image_offset);
	free(s->checksum);
	free(s->path);
	free(s);
}

/* Verifies a column that was read whole against its checksums. */
static enum ns_status check_column(const struct ns_shard *s, hid_t file, const char *name, const void *data, size_t bytes)
{
	hsize_t n = (bytes + NS_CHECKSUM_BLOCK - 1) / NS_CHECKSUM_BLOCK, i;
	uint64_t *sums = NULL;
	enum ns_status status;

	if (!data || !ns_h5_has(file, name)) /* foreign files may lack columns */
		return NS_OK;
	NS_TRY(ns_shard_read_sums(s, file, name, bytes, &sums));
	if (!sums)
		return NS_OK;
	status = NS_OK;
	for (i = 0; i < n && status == NS_OK; i++) {
		size_t left = bytes - i * NS_CHECKSUM_BLOCK;

		if (ns_xxh3((const char *)data + i * NS_CHECKSUM_BLOCK, left < NS_CHECKSUM_BLOCK ? left : NS_CHECKSUM_BLOCK) != sums[i])
			status = ns_fail(NS_DIGEST, "%s: %s: bytes from %llu on do not match their checksum; the file is damaged or was changed",
					 s->path, name, (unsigned long long)(i * NS_CHECKSUM_BLOCK));
	}
	free(sums);
	return status;
}

/* A column of texts, and where each begins; NULL: there is none. */
static enum ns_status check_texts(const struct ns_shard *s, hid_t file, const char *name, const uint8_t *bytes, const uint64_t *offset)
{
	char offsets[64];

	if (!offset)
		return NS_OK;
	snprintf(offsets, sizeof offsets, "%s_offset", name);
	NS_TRY(check_column(s, file, offsets, offset, ((size_t)s->rows.rows + 1) * sizeof *offset));
	return check_column(s, file, name, bytes, (size_t)offset[s->rows.rows]);
}

static enum ns_status check_columns(const struct ns_shard *s, hid_t file)
{
	const struct ns_rows *r = &s->rows;
	size_t n = (size_t)r->rows;

	NS_TRY(check_column(s, file, "label", r->label, n * sizeof *r->label));
	NS_TRY(check_column(s, file, "id", r->id, n * sizeof *r->id));
	NS_TRY(check_column(s, file, "time", r->time, n * sizeof *r->time));
	NS_TRY(check_column(s, file, "group", r->group, n * sizeof *r->group));
	NS_TRY(check_column(s, file, "image_offset", s->image_offset, (n + 1) * sizeof *s->image_offset));
	NS_TRY(check_texts(s, file, "source", r->source, r->source_offset));
	return check_texts(s, file, "annotation", r->annotation, r->annotation_offset);
}

static enum ns_status read_rows(struct ns_shard *s, hid_t file)
{
	struct ns_rows *r = &s->rows;
	hsize_t n = (hsize_t)r->rows;
	int64_t i;

	NS_TRY(ns_h5_read(file, s->path, "label", NS_H5_I32, 1, n, (void **)&r->label));
	NS_TRY(ns_h5_read(file, s->path, "id", NS_H5_U64, 1, n, (void **)&r->id));
	/* foreign files may lack these two: 0 then */
	r->time = calloc((size_t)n + 1, sizeof *r->time);
	r->group = calloc((size_t)n + 1, sizeof *r->group);
	if (!r->time || !r->group)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its columns", s->path);
	if (ns_h5_has(file, "time")) {
		free(r->time);
		NS_TRY(ns_h5_read(file, s->path, "time", NS_H5_I64, 1, n, (void **)&r->time));
	}
	if (ns_h5_has(file, "group")) {
		free(r->group);
		NS_TRY(ns_h5_read(file, s->path, "group", NS_H5_I32, 1, n, (void **)&r->group));
	}
	for (i = 0; i < r->rows; i++)
		if (r->label[i] < -1 || r->label[i] >= s->head.class_count)
			return ns_fail(NS_BAD_DATA, "%s: label[%lld] = %d, but classes has %d", s->path, (long long)i, r->label[i],
				       s->head.class_count);
	for (i = 0; i < r->rows; i++)
		if (r->group[i] < 0 || (s->head.group_count && r->group[i] >= s->head.group_count))
			return ns_fail(NS_BAD_DATA, "%s: group[%lld] = %d, but groups has %d", s->path, (long long)i, r->group[i],
				       s->head.group_count);
	return NS_OK;
}

/* Offsets must ascend from 0 to the end, so that no read leaves the data. */
static enum ns_status check_offsets(const struct ns_shard *s, const char *name, const uint64_t *offset, uint64_t end)
{
	int64_t i;

	for (i = 0; i < s->rows.rows; i++)
		if (offset[i] > offset[i + 1])
			return ns_fail(NS_BAD_DATA, "%s: %s[%lld] = %llu, but the one before is %llu", s->path, name, (long long)i + 1,
				       (unsigned long long)offset[i + 1], (unsigned long long)offset[i]);
	if (offset[0] != 0 || offset[s->rows.rows] != end)
		return ns_fail(NS_BAD_DATA, "%s: %s spans %llu to %llu, but 0 to %llu is stored", s->path, name, (unsigned long long)offset[0],
			       (unsigned long long)offset[s->rows.rows], (unsigned long long)end);
	return NS_OK;
}

static enum ns_status read_texts(struct ns_shard *s, hid_t file, const char *name, uint8_t **bytes, uint64_t **offset)
{
	char offsets[64];
	hsize_t dims[4];
	int rank;

	snprintf(offsets, sizeof offsets, "%s_offset", name);
	if (!ns_h5_has(file, name) || !ns_h5_has(file, offsets))
		return NS_OK;
	NS_TRY(ns_h5_shape(file, s->path, name, &rank, dims));
	NS_TRY(ns_h5_read(file, s->path, name, NS_H5_U8, 1, HSIZE_UNDEF, (void **)bytes));
	NS_TRY(ns_h5_read(file, s->path, offsets, NS_H5_U64, 1, (hsize_t)s->rows.rows + 1, (void **)offset));
	return check_offsets(s, offsets, *offset, dims[0]);
}

/* What its rows' files were: all columns or none; older shards have none. */
static enum ns_status read_files(struct ns_shard *s, hid_t file)
{
	struct ns_row_files *f = &s->rows.files;
	int64_t i;
	int k;

	if (!ns_h5_has(file, ns_file_columns[0].name))
		return NS_OK;
	for (k = 0; k < NS_FILE_COLUMNS; k++) {
		const struct ns_file_column *c = &ns_file_columns[k];
		void **data = (void **)(void *)((char *)f + c->offset);

		NS_TRY(ns_h5_read(file, s->path, c->name, c->type, c->each > 1 ? 2 : 1, (hsize_t)s->rows.rows, data));
		if (c->each > 1) {
			hsize_t dims[4];
			int rank;

			NS_TRY(ns_h5_shape(file, s->path, c->name, &rank, dims));
			if (dims[1] != (hsize_t)c->each)
				return ns_fail(NS_BAD_DATA, "%s: %s has %llu values a row, expected %d", s->path, c->name,
					       (unsigned long long)dims[1], c->each);
		}
		NS_TRY(check_column(s, file, c->name, *data, (size_t)s->rows.rows * c->value * (size_t)c->each));
	}
	if (H5Aexists(file, "formats") > 0)
		NS_TRY(ns_h5_get_texts(file, s->path, "/", "formats", &s->head.formats, &s->head.format_count));
	NS_TRY(ns_shard_read_names(s, file, "cameras", "camera_names", &s->head.cameras, &s->head.camera_count));
	for (i = 0; i < s->rows.rows; i++)
		if (f->format[i] < 0 || f->format[i] >= s->head.format_count || f->camera[i] < -1 || f->camera[i] >= s->head.camera_count)
			return ns_fail(NS_BAD_DATA, "%s: row %lld: file_format = %d, file_camera = %d, but formats has %d, cameras %d", s->path,
				       (long long)i, f->format[i], f->camera[i], s->head.format_count, s->head.camera_count);
	return NS_OK;
}

static enum ns_status check_rows(struct ns_shard *s, hsize_t rows)
{
	s->rows.rows = (int64_t)rows;
	if (rows < 1)
		return ns_fail(NS_BAD_DATA, "%s: has no rows", s->path);
	return rows <= NS_SHARD_ROWS
		       ? NS_OK
		       : ns_fail(NS_BAD_DATA, "%s: claims %llu rows; a shard has at most %d", s->path, (unsigned long long)rows, NS_SHARD_ROWS);
}

static enum ns_status read_image_shape(struct ns_shard *s, hid_t file, const char *name)
{
	int raw = !strcmp(s->head.encoding, "raw"), rank;
	hsize_t dims[4] = {0};

	NS_TRY(ns_h5_shape(file, s->path, name, &rank, dims));
	if (!ns_h5_is(file, name, NS_H5_U8))
		return ns_fail(NS_BAD_DATA, "%s: %s: is not of type u8", s->path, name);
	s->image_at = ns_h5_offset(file, name);
	if (!raw) {
		s->image_bytes = (int64_t)dims[0];
		NS_TRY(ns_h5_shape(file, s->path, "image_offset", &rank, dims));
		if (dims[0] < 1)
			return ns_fail(NS_BAD_DATA, "%s: image_offset: is empty", s->path);
		NS_TRY(check_rows(s, dims[0] - 1));
		NS_TRY(ns_h5_read(file, s->path, "image_offset", NS_H5_U64, 1, dims[0], (void **)&s->image_offset));
		if (s->image_at < 0)
			return ns_fail(NS_BAD_DATA, "%s: image_bytes: is chunked, expected contiguous storage", s->path);
		return check_offsets(s, "image_offset", s->image_offset, (uint64_t)s->image_bytes);
	}
	if (rank != 4 || dims[1] < 1 || dims[1] > 8192 || dims[2] < 1 || dims[2] > 8192 || (dims[3] != 1 && dims[3] != 3))
		return ns_fail(NS_BAD_DATA, "%s: image: has shape (%llu,%llu,%llu,%llu), expected (N,H,W,1 or 3)", s->path,
			       (unsigned long long)dims[0], (unsigned long long)dims[1], (unsigned long long)dims[2], (unsigned long long)dims[3]);
	NS_TRY(check_rows(s, dims[0]));
	s->head.h = (int)dims[1];
	s->head.w = (int)dims[2];
	s->head.c = (int)dims[3];
	if (dims[0] > (hsize_t)INT64_MAX / (dims[1] * dims[2] * dims[3]))
		return ns_fail(NS_BAD_DATA, "%s: image: claims an impossible size", s->path);
	s->image_bytes = (int64_t)(dims[0] * dims[1] * dims[2] * dims[3]);
	return NS_OK;
}

static enum ns_status check_size(const struct ns_shard *s, const struct stat *st)
{
	if (s->image_at >= 0 && s->image_at + s->image_bytes > (int64_t)st->st_size)
		return ns_fail(NS_BAD_DATA, "%s: image data ends at byte %lld, the file at %lld; it is truncated", s->path,
			       (long long)(s->image_at + s->image_bytes), (long long)st->st_size);
	return NS_OK;
}

static enum ns_status fill(struct ns_shard *s, hid_t file, const struct stat *st)
{
	const char *name;

	NS_TRY(ns_shard_read_head(s, file));
	name = strcmp(s->head.encoding, "raw") ? "image_bytes" : "image";
	NS_TRY(read_image_shape(s, file, name));
	NS_TRY(check_size(s, st));
	NS_TRY(read_rows(s, file));
	NS_TRY(read_texts(s, file, "source", &s->rows.source, &s->rows.source_offset));
	NS_TRY(read_texts(s, file, "annotation", &s->rows.annotation, &s->rows.annotation_offset));
	NS_TRY(check_columns(s, file));
	NS_TRY(read_files(s, file));
	NS_TRY(ns_shard_read_sums(s, file, name, (size_t)s->image_bytes, &s->checksum));
	s->checksums = s->checksum ? (s->image_bytes + (int64_t)NS_CHECKSUM_BLOCK - 1) / (int64_t)NS_CHECKSUM_BLOCK : 0;
	return NS_OK;
}

static struct ns_shard *make(const char *path)
{
	struct ns_shard *s = calloc(1, sizeof *s);

	if (s && !(s->path = strdup(path))) {
		free(s);
		s = NULL;
	}
	if (!s)
		ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
	return s;
}

/* Chunked images are read through HDF5, so many rows at a time. */
static int64_t rows_at_once(const struct ns_shard *s)
{
	int64_t image = (int64_t)s->head.h * s->head.w * s->head.c, rows = (int64_t)NS_CHECKSUM_BLOCK / (image ? image : 1);

	return rows ? rows : 1;
}

static enum ns_status read_chunks(const struct ns_shard *s, hid_t file)
{
	int64_t image = (int64_t)s->head.h * s->head.w * s->head.c, step = rows_at_once(s), at, n;
	uint8_t *pixels = malloc((size_t)(step * image));
	enum ns_status status = pixels ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its images", s->path);
	hid_t set = -1;

	if (status == NS_OK)
		status = ns_h5_set_open(&set, file, s->path, "image");
	for (at = 0; status == NS_OK && at < s->rows.rows; at += n) {
		n = s->rows.rows - at < step ? s->rows.rows - at : step;
		status = ns_h5_set_read(set, s->path, "image", NS_H5_U8, (hsize_t)at, (hsize_t)n, pixels);
	}
	if (set >= 0)
		ns_h5_set_close(set);
	free(pixels);
	return status;
}

/* Runs in a child process: does all that opening and reading will do. */
static enum ns_status look(hid_t file, const char *path, const struct stat *st)
{
	struct ns_shard *s = make(path);
	enum ns_status status;

	if (!s)
		return NS_NO_MEMORY;
	status = fill(s, file, st);
	if (status == NS_OK && s->image_at < 0)
		status = read_chunks(s, file);
	ns_shard_close(s);
	return status;
}

enum ns_status ns_shards_look(const char *const *paths, int count, int below)
{
	return ns_look(paths, count, below, look);
}

static int holds_images(hid_t file)
{
	static const char *const columns[] = {"stats", "prob", "embedding", "pred"};
	size_t i;

	for (i = 0; i < sizeof columns / sizeof *columns; i++)
		if (ns_h5_has(file, columns[i]))
			return 0;
	return ns_h5_has(file, "image") || ns_h5_has(file, "image_bytes");
}

/* Asks libhdf5 only what the job will ask here. */
static enum ns_status look_for_images(hid_t file, const char *path, const struct stat *st)
{
	(void)path;
	(void)st;
	(void)holds_images(file);
	return NS_OK;
}

enum ns_status ns_shard_is(const char *path, int *is)
{
	enum ns_status status;
	hid_t file;

	*is = 0;
	if (strlen(path) > 4 && !strcmp(path + strlen(path) - 4, ".npy"))
		return NS_OK;
	status = ns_look(&path, 1, 0, look_for_images);
	if (status == NS_BAD_DATA) /* whoever opens it next reports why */
		return NS_OK;
	NS_TRY(status);
	NS_TRY(ns_h5_open(&file, path));
	*is = holds_images(file);
	ns_h5_file_close(file);
	return NS_OK;
}

static enum ns_status open_file(struct ns_shard *s, int below)
{
	enum ns_status status;
	struct stat st;
	hid_t file;
	int fd;

	NS_TRY(ns_open(&fd, s->path, below));
	status = fstat(fd, &st) ? ns_io_error(s->path, "cannot stat") : ns_h5_open_fd(&file, s->path, fd);
	close(fd);
	NS_TRY(status);
	status = fill(s, file, &st);
	ns_h5_file_close(file);
	NS_TRY(status);
	s->handle = malloc(sizeof *s->handle);
	if (!s->handle)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	ns_handle_init(s->handle, s->path, &st, below, s->image_at < 0);
	return NS_OK;
}

enum ns_status ns_shard_open_seen(struct ns_shard **shard, const char *path, int below)
{
	struct ns_shard *s = make(path);
	enum ns_status status;

	if (!s)
		return NS_NO_MEMORY;
	status = open_file(s, below);
	if (status != NS_OK)
		ns_shard_close(s);
	else
		*shard = s;
	return status;
}

enum ns_status ns_shard_open(struct ns_shard **shard, const char *path)
{
	NS_TRY(ns_shards_look(&path, 1, 0));
	return ns_shard_open_seen(shard, path, 0);
}
