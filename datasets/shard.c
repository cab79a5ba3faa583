#define _GNU_SOURCE
#include "datasets/shard.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "datasets/h5.h"
#include "host/file.h"

void ns_rows_release(struct ns_rows *r)
{
	free(r->label);
	free(r->group);
	free(r->id);
	free(r->time);
	free(r->source_offset);
	free(r->source);
	memset(r, 0, sizeof *r);
}

void ns_shard_close(struct ns_shard *s)
{
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->file >= 0)
		H5Fclose((hid_t)s->file);
	ns_texts_free(s->head.classes, s->head.class_count);
	ns_texts_free(s->head.groups, s->head.group_count);
	ns_rows_release(&s->rows);
	free(s->image_offset);
	free(s->checksum);
	free(s->path);
	free(s);
}

static enum ns_status read_head(struct ns_shard *s, hid_t file)
{
	char *schema = ns_h5_get_text(file, "/", "schema"), *encoding = ns_h5_get_text(file, "/", "encoding");
	char *name = ns_h5_get_text(file, "/", "dataset");
	enum ns_status status = NS_OK;

	if (!schema || strcmp(schema, "nightshift.shard/1"))
		status = ns_fail(NS_BAD_DATA, "%s: schema is '%s', wanted 'nightshift.shard/1'", s->path, schema ? schema : "");
	else if (!encoding || (strcmp(encoding, "raw") && strcmp(encoding, "jpeg") && strcmp(encoding, "png")))
		status = ns_fail(NS_BAD_DATA, "%s: encoding is '%s', wanted raw, jpeg or png", s->path, encoding ? encoding : "");
	else
		snprintf(s->head.encoding, sizeof s->head.encoding, "%s", encoding);
	snprintf(s->head.dataset, sizeof s->head.dataset, "%s", name ? name : "");
	free(schema);
	free(encoding);
	free(name);
	NS_TRY(status);
	NS_TRY(ns_h5_get_texts(file, s->path, "/", "classes", &s->head.classes, &s->head.class_count));
	if (H5Aexists(file, "groups") > 0)
		NS_TRY(ns_h5_get_texts(file, s->path, "/", "groups", &s->head.groups, &s->head.group_count));
	return NS_OK;
}

/* A column that was read whole, against its checksums where the file has them. */
static enum ns_status check_column(const struct ns_shard *s, hid_t file, const char *name, const void *data, size_t bytes)
{
	hsize_t n = (bytes + NS_STRETCH - 1) / NS_STRETCH, i;
	uint64_t *sums = NULL;
	char check[64];
	enum ns_status status;

	snprintf(check, sizeof check, "checksum/%s", name);
	if (!data || !ns_h5_has(file, "checksum") || !ns_h5_has(file, check))
		return NS_OK;
	status = ns_h5_read(file, s->path, check, NS_H5_U64, 1, n, (void **)&sums);
	for (i = 0; i < n && status == NS_OK; i++) {
		size_t left = bytes - i * NS_STRETCH;

		if (ns_xxh3((const char *)data + i * NS_STRETCH, left < NS_STRETCH ? left : NS_STRETCH) != sums[i])
			status = ns_fail(NS_DIGEST, "%s: %s: bytes from %llu on do not match their checksum; the file is damaged or was changed",
					 s->path, name, (unsigned long long)(i * NS_STRETCH));
	}
	free(sums);
	return status;
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
	if (!r->source_offset)
		return NS_OK;
	NS_TRY(check_column(s, file, "source_offset", r->source_offset, (n + 1) * sizeof *r->source_offset));
	return check_column(s, file, "source", r->source, (size_t)r->source_offset[n]);
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
		return ns_fail(NS_NO_MEMORY, "%s: no memory for its columns", s->path);
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

/* offsets must rise from 0 to the end: whoever follows them stays inside */
static enum ns_status check_offsets(const struct ns_shard *s, const char *name, const uint64_t *offset, uint64_t end)
{
	int64_t i;

	for (i = 0; i < s->rows.rows; i++)
		if (offset[i] > offset[i + 1])
			return ns_fail(NS_BAD_DATA, "%s: %s[%lld] = %llu, but the one before is %llu", s->path, name, (long long)i + 1,
				       (unsigned long long)offset[i + 1], (unsigned long long)offset[i]);
	if (offset[0] != 0 || offset[s->rows.rows] != end)
		return ns_fail(NS_BAD_DATA, "%s: %s spans %llu to %llu, but 0 to %llu is stored", s->path, name,
			       (unsigned long long)offset[0], (unsigned long long)offset[s->rows.rows], (unsigned long long)end);
	return NS_OK;
}

static enum ns_status read_source(struct ns_shard *s, hid_t file)
{
	struct ns_rows *r = &s->rows;
	hsize_t dims[4];
	int rank;

	if (!ns_h5_has(file, "source") || !ns_h5_has(file, "source_offset"))
		return NS_OK;
	NS_TRY(ns_h5_shape(file, s->path, "source", &rank, dims));
	NS_TRY(ns_h5_read(file, s->path, "source", NS_H5_U8, 1, HSIZE_UNDEF, (void **)&r->source));
	NS_TRY(ns_h5_read(file, s->path, "source_offset", NS_H5_U64, 1, (hsize_t)r->rows + 1, (void **)&r->source_offset));
	return check_offsets(s, "source_offset", r->source_offset, dims[0]);
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
		s->rows.rows = (int64_t)dims[0] - 1;
		NS_TRY(ns_h5_read(file, s->path, "image_offset", NS_H5_U64, 1, dims[0], (void **)&s->image_offset));
		if (s->image_at < 0)
			return ns_fail(NS_BAD_DATA, "%s: image_bytes: is chunked; contiguous is wanted", s->path);
		return check_offsets(s, "image_offset", s->image_offset, (uint64_t)s->image_bytes);
	}
	if (rank != 4 || dims[1] < 1 || dims[1] > 8192 || dims[2] < 1 || dims[2] > 8192 || (dims[3] != 1 && dims[3] != 3))
		return ns_fail(NS_BAD_DATA, "%s: image: is of shape (%llu,%llu,%llu,%llu), (N,H,W,1 or 3) is wanted", s->path,
			       (unsigned long long)dims[0], (unsigned long long)dims[1], (unsigned long long)dims[2],
			       (unsigned long long)dims[3]);
	s->rows.rows = (int64_t)dims[0];
	s->head.h = (int)dims[1];
	s->head.w = (int)dims[2];
	s->head.c = (int)dims[3];
	if (dims[0] > (hsize_t)INT64_MAX / (dims[1] * dims[2] * dims[3]))
		return ns_fail(NS_BAD_DATA, "%s: image: claims an impossible size", s->path);
	s->image_bytes = (int64_t)(dims[0] * dims[1] * dims[2] * dims[3]);
	return NS_OK;
}

static enum ns_status check_size(struct ns_shard *s)
{
	struct stat st;

	s->fd = open(s->path, O_RDONLY | O_CLOEXEC);
	if (s->fd < 0 || fstat(s->fd, &st))
		return ns_fail(NS_IO, "%s: cannot open", s->path);
	if (s->image_at >= 0 && s->image_at + s->image_bytes > (int64_t)st.st_size)
		return ns_fail(NS_BAD_DATA, "%s: image data ends at byte %lld, the file at %lld; it is truncated", s->path,
			       (long long)(s->image_at + s->image_bytes), (long long)st.st_size);
	return NS_OK;
}

static enum ns_status fill(struct ns_shard *s, hid_t file)
{
	const char *name;
	char check[64];

	NS_TRY(read_head(s, file));
	name = strcmp(s->head.encoding, "raw") ? "image_bytes" : "image";
	NS_TRY(read_image_shape(s, file, name));
	NS_TRY(check_size(s));
	NS_TRY(read_rows(s, file));
	NS_TRY(read_source(s, file));
	NS_TRY(check_columns(s, file));
	snprintf(check, sizeof check, "checksum/%s", name);
	if (ns_h5_has(file, "checksum") && ns_h5_has(file, check)) {
		s->checksums = (s->image_bytes + (int64_t)NS_STRETCH - 1) / (int64_t)NS_STRETCH;
		NS_TRY(ns_h5_read(file, s->path, check, NS_H5_U64, 1, (hsize_t)s->checksums, (void **)&s->checksum));
	}
	return NS_OK;
}

enum ns_status ns_shard_open(struct ns_shard **shard, const char *path)
{
	struct ns_shard *s = calloc(1, sizeof *s);
	enum ns_status status;
	hid_t file = -1;

	if (!s || !(s->path = strdup(path))) {
		free(s);
		return ns_fail(NS_NO_MEMORY, "%s: no memory", path);
	}
	s->fd = -1;
	s->file = -1;
	status = ns_h5_open(&file, path);
	if (status == NS_OK)
		status = fill(s, file);
	if (status == NS_OK && s->image_at < 0)
		s->file = file; /* chunked: reading goes through HDF5 */
	else if (file >= 0)
		H5Fclose(file);
	if (status != NS_OK)
		ns_shard_close(s);
	else
		*shard = s;
	return status;
}

enum ns_status ns_shard_read(const struct ns_shard *s, int64_t first, int64_t count, uint8_t *pixels)
{
	int64_t image = (int64_t)s->head.h * s->head.w * s->head.c;

	if (first < 0 || count < 0 || first + count > s->rows.rows || !image)
		return ns_fail(NS_INVALID, "%s: rows %lld to %lld of %lld raw rows", s->path, (long long)first,
			       (long long)(first + count), (long long)s->rows.rows);
	if (s->image_at < 0)
		return ns_h5_read_rows((hid_t)s->file, s->path, "image", NS_H5_U8, (hsize_t)first, (hsize_t)count, pixels);
	return ns_read_at(s->fd, s->path, pixels, (size_t)(count * image), (uint64_t)(s->image_at + first * image));
}

enum ns_status ns_shard_read_encoded(const struct ns_shard *s, int64_t row, uint8_t **buffer, size_t *room, size_t *bytes)
{
	uint64_t begin = s->image_offset[row];

	*bytes = (size_t)(s->image_offset[row + 1] - begin);
	if (*room < *bytes) {
		uint8_t *more = realloc(*buffer, *bytes);

		if (!more)
			return ns_fail(NS_NO_MEMORY, "%s: row %lld: no memory for %zu bytes", s->path, (long long)row, *bytes);
		*buffer = more;
		*room = *bytes;
	}
	return ns_read_at(s->fd, s->path, *buffer, *bytes, (uint64_t)s->image_at + begin);
}

enum ns_status ns_shard_verify(const struct ns_shard *s)
{
	uint8_t *buffer;
	enum ns_status status = NS_OK;
	int64_t i;

	if (!s->checksum || s->image_at < 0)
		return NS_OK;
	buffer = malloc(NS_STRETCH);
	if (!buffer)
		return ns_fail(NS_NO_MEMORY, "%s: no memory to verify it", s->path);
	for (i = 0; i < s->checksums && status == NS_OK; i++) {
		int64_t at = i * (int64_t)NS_STRETCH, left = s->image_bytes - at;
		size_t n = left < (int64_t)NS_STRETCH ? (size_t)left : NS_STRETCH;

		status = ns_read_at(s->fd, s->path, buffer, n, (uint64_t)(s->image_at + at));
		if (status == NS_OK && ns_xxh3(buffer, n) != s->checksum[i])
			status = ns_fail(NS_DIGEST, "%s: image bytes %lld to %lld do not match their checksum; the file is damaged",
					 s->path, (long long)at, (long long)at + (long long)n);
	}
	free(buffer);
	return status;
}

const char *ns_shard_source(const struct ns_shard *s, int64_t row, size_t *len)
{
	*len = 0;
	if (!s->rows.source_offset)
		return "";
	*len = (size_t)(s->rows.source_offset[row + 1] - s->rows.source_offset[row]);
	return (const char *)s->rows.source + s->rows.source_offset[row];
}

/* --- writing --- */

static enum ns_status write_checked(hid_t file, const char *path, const char *name, enum ns_h5_type type, int rank,
				    const hsize_t *dims, const void *data, size_t bytes)
{
	hsize_t n = (bytes + NS_STRETCH - 1) / NS_STRETCH, i;
	uint64_t *sums = malloc((n + 1) * sizeof *sums);
	enum ns_status status;
	char check[64];

	if (!sums)
		return ns_fail(NS_NO_MEMORY, "%s: no memory for checksums", path);
	for (i = 0; i < n; i++) {
		size_t left = bytes - i * NS_STRETCH;

		sums[i] = ns_xxh3((const char *)data + i * NS_STRETCH, left < NS_STRETCH ? left : NS_STRETCH);
	}
	snprintf(check, sizeof check, "checksum/%s", name);
	status = ns_h5_write(file, path, name, type, rank, dims, data);
	if (status == NS_OK)
		status = ns_h5_write(file, path, check, NS_H5_U64, 1, &n, sums);
	free(sums);
	return status;
}

/* `created` is the time of the newest row, not the clock's: the same input makes the same bytes */
static enum ns_status write_head(hid_t file, const char *path, const struct ns_shard_head *head, const struct ns_rows *r)
{
	time_t newest = 0;
	struct tm tm;
	char text[32];
	int64_t i;

	for (i = 0; i < r->rows; i++)
		newest = r->time[i] > newest ? r->time[i] : newest;
	gmtime_r(&newest, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	NS_TRY(ns_h5_set_text(file, path, "/", "schema", "nightshift.shard/1"));
	NS_TRY(ns_h5_set_text(file, path, "/", "dataset", head->dataset));
	NS_TRY(ns_h5_set_text(file, path, "/", "encoding", head->encoding));
	NS_TRY(ns_h5_set_text(file, path, "/", "created", text));
	NS_TRY(ns_h5_set_texts(file, path, "/", "classes", (const char *const *)head->classes, head->class_count));
	if (!head->group_count)
		return NS_OK;
	return ns_h5_set_texts(file, path, "/", "groups", (const char *const *)head->groups, head->group_count);
}

static enum ns_status write_all(hid_t file, const char *path, const struct ns_shard_head *head, const struct ns_rows *r,
				const uint8_t *image, const uint64_t *offset)
{
	hsize_t n = (hsize_t)r->rows, more = n + 1, bytes;
	hsize_t dims[4] = {n, (hsize_t)head->h, (hsize_t)head->w, (hsize_t)head->c};

	NS_TRY(write_head(file, path, head, r));
	if (offset) {
		bytes = offset[n];
		NS_TRY(write_checked(file, path, "image_bytes", NS_H5_U8, 1, &bytes, image, bytes));
		NS_TRY(write_checked(file, path, "image_offset", NS_H5_U64, 1, &more, offset, more * 8));
	} else {
		NS_TRY(write_checked(file, path, "image", NS_H5_U8, 4, dims, image, n * dims[1] * dims[2] * dims[3]));
	}
	NS_TRY(write_checked(file, path, "label", NS_H5_I32, 1, &n, r->label, n * 4));
	NS_TRY(write_checked(file, path, "id", NS_H5_U64, 1, &n, r->id, n * 8));
	NS_TRY(write_checked(file, path, "time", NS_H5_I64, 1, &n, r->time, n * 8));
	NS_TRY(write_checked(file, path, "group", NS_H5_I32, 1, &n, r->group, n * 4));
	if (!r->source_offset)
		return NS_OK;
	bytes = r->source_offset[n];
	NS_TRY(write_checked(file, path, "source", NS_H5_U8, 1, &bytes, r->source, bytes));
	return write_checked(file, path, "source_offset", NS_H5_U64, 1, &more, r->source_offset, more * 8);
}

enum ns_status ns_shard_write(const char *path, const struct ns_shard_head *head, const struct ns_rows *rows,
			      const uint8_t *image, const uint64_t *image_offset)
{
	enum ns_status status, closed;
	hid_t file;

	NS_TRY(ns_h5_create(&file, path));
	status = write_all(file, path, head, rows, image, image_offset);
	closed = ns_h5_close(file, path);
	if (status == NS_OK)
		status = closed;
	if (status != NS_OK)
		unlink(path);
	return status;
}
