/* datasets/shard/shard_write.c - a shard as a new file: columns, the checksums of each MiB of them, attributes. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "datasets/h5/h5.h"
#include "datasets/shard/shard_inner.h"
#include "host/base/base.h"

static enum ns_status write_sums(hid_t file, const char *path, const char *name, const uint64_t *sums, hsize_t n)
{
	char check[64];

	snprintf(check, sizeof check, "checksum/%s", name);
	return ns_h5_write(file, path, check, NS_H5_U64, 1, &n, sums);
}

static enum ns_status write_checked(hid_t file, const char *path, const char *name, enum ns_h5_type type, int rank, const hsize_t *dims,
				    const void *data, size_t bytes)
{
	hsize_t n = (bytes + NS_CHECKSUM_BLOCK - 1) / NS_CHECKSUM_BLOCK, i;
	uint64_t *sums = malloc((n + 1) * sizeof *sums);
	enum ns_status status;

	if (!sums)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for checksums", path);
	for (i = 0; i < n; i++) {
		size_t left = bytes - i * NS_CHECKSUM_BLOCK;

		sums[i] = ns_xxh3((const char *)data + i * NS_CHECKSUM_BLOCK, left < NS_CHECKSUM_BLOCK ? left : NS_CHECKSUM_BLOCK);
	}
	status = ns_h5_write(file, path, name, type, rank, dims, data);
	if (status == NS_OK)
		status = write_sums(file, path, name, sums, n);
	free(sums);
	return status;
}

/* Names, with checksums where they are a data set. */
static enum ns_status write_names(hid_t file, const char *path, const char *attribute, const char *set, char **texts, int n)
{
	const char *const *names = (const char *const *)texts;
	size_t size = ns_h5_names_size(names, n);
	enum ns_status status;
	uint64_t *sums;
	hsize_t count;

	NS_TRY(ns_h5_write_names(file, path, attribute, set, names, n));
	if (!size)
		return NS_OK;
	NS_TRY(ns_shard_name_sums(path, names, n, size, &sums, &count));
	status = write_sums(file, path, set, sums, count);
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
	if (!gmtime_r(&newest, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm)) /* a year that no calendar has */
		snprintf(text, sizeof text, "%lld", (long long)newest);
	NS_TRY(ns_h5_set_text(file, path, "/", "schema", "nightshift.shard/1"));
	NS_TRY(ns_h5_set_text(file, path, "/", "dataset", head->dataset));
	NS_TRY(ns_h5_set_text(file, path, "/", "encoding", head->encoding));
	NS_TRY(ns_h5_set_text(file, path, "/", "created", text));
	if (strcmp(head->encoding, "raw")) {
		NS_TRY(ns_h5_set_text(file, path, "/", "orientation", head->as_stored ? "stored" : "exif"));
		snprintf(text, sizeof text, "#%06x", (unsigned)(head->background - 1) & 0xffffff);
		NS_TRY(ns_h5_set_text(file, path, "/", "background", head->background ? text : "none"));
	}
	NS_TRY(write_names(file, path, "classes", "class_names", head->classes, head->class_count));
	return head->group_count ? write_names(file, path, "groups", "group_names", head->groups, head->group_count) : NS_OK;
}

static enum ns_status write_files(hid_t file, const char *path, const struct ns_shard_head *head, const struct ns_rows *r)
{
	int k;

	if (!r->files.height)
		return NS_OK;
	for (k = 0; k < NS_FILE_COLUMNS; k++) {
		const struct ns_file_column *c = &ns_file_columns[k];
		hsize_t dims[2] = {(hsize_t)r->rows, (hsize_t)c->each};
		const void *data = *(void *const *)(const void *)((const char *)&r->files + c->offset);

		NS_TRY(write_checked(file, path, c->name, c->type, c->each > 1 ? 2 : 1, dims, data, (size_t)r->rows * c->value * (size_t)c->each));
	}
	NS_TRY(ns_h5_set_texts(file, path, "/", "formats", (const char *const *)head->formats, head->format_count));
	return head->camera_count ? write_names(file, path, "cameras", "camera_names", head->cameras, head->camera_count) : NS_OK;
}

/* A column of texts, and where each begins; offset NULL: there is none. */
static enum ns_status write_texts(hid_t file, const char *path, hsize_t n, const char *name, const uint8_t *texts, const uint64_t *offset)
{
	char offsets[64];
	hsize_t more = n + 1, bytes;

	if (!offset)
		return NS_OK;
	snprintf(offsets, sizeof offsets, "%s_offset", name);
	bytes = offset[n];
	NS_TRY(write_checked(file, path, name, NS_H5_U8, 1, &bytes, texts, bytes));
	return write_checked(file, path, offsets, NS_H5_U64, 1, &more, offset, more * 8);
}

static enum ns_status write_all(hid_t file, const char *path, const struct ns_shard_head *head, const struct ns_rows *r, const uint8_t *image,
				const uint64_t *offset)
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
	NS_TRY(write_files(file, path, head, r));
	NS_TRY(write_texts(file, path, n, "source", r->source, r->source_offset));
	return write_texts(file, path, n, "annotation", r->annotation, r->annotation_offset);
}

enum ns_status ns_shard_write(const char *path, const struct ns_shard_head *head, const struct ns_rows *rows, const uint8_t *image,
			      const uint64_t *image_offset)
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
