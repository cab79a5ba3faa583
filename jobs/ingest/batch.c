/* jobs/ingest/batch.c - a shard being filled. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "jobs/ingest/ingest_inner.h"

void ns_batch_release(struct ns_batch *b)
{
	int i;

	for (i = 0; i < b->format_count; i++)
		free(b->formats[i]);
	for (i = 0; i < b->camera_count; i++)
		free(b->cameras[i]);
	ns_rows_release(&b->rows);
	free(b->image);
	free(b->offset);
}

enum ns_status ns_batch_init(struct ns_batch *b, int64_t rows, int files)
{
	size_t n = (size_t)rows + 1;

	memset(b, 0, sizeof *b);
	b->most = rows;
	b->rows.label = malloc(n * sizeof(int32_t));
	b->rows.group = calloc(n, sizeof(int32_t));
	b->rows.id = malloc(n * sizeof(uint64_t));
	b->rows.time = malloc(n * sizeof(int64_t));
	b->rows.source_offset = calloc(n, sizeof(uint64_t));
	b->offset = calloc(n, sizeof(uint64_t));
	if (!b->rows.label || !b->rows.group || !b->rows.id || !b->rows.time || !b->rows.source_offset || !b->offset)
		return ns_fail(NS_NO_MEMORY, "out of memory for a shard of %lld rows", (long long)rows);
	return files ? ns_rows_add_files(&b->rows, rows) : NS_OK;
}

/* Index of a text in a list, to which it is added; -1: there is none, or no place for it. */
static int32_t index_of(char **list, int *count, int most, const char *text)
{
	int i;

	for (i = 0; i < *count && strcmp(list[i], text) != 0;)
		i++;
	if (i < *count)
		return i;
	if (!*text || *count == most)
		return -1;
	list[*count] = strdup(text);
	return list[*count] ? (*count)++ : -1;
}

static void keep_file(struct ns_batch *b, int64_t i, const struct ns_taken *t)
{
	struct ns_row_files *f = &b->rows.files;

	f->height[i] = t->image.h;
	f->width[i] = t->image.w;
	f->channels[i] = t->image.c;
	f->bytes[i] = (int64_t)t->item.bytes;
	f->format[i] = index_of(b->formats, &b->format_count, NS_BATCH_FORMATS, t->image.kind);
	f->orientation[i] = t->image.orientation;
	f->captured[i] = t->image.time;
	f->camera[i] = index_of(b->cameras, &b->camera_count, NS_BATCH_CAMERAS, t->image.camera);
	f->position[i] = t->image.position;
	memcpy(f->sha256 + 32 * i, t->sha256, 32);
}

/* The column begins with the first row that has an annotation. */
static enum ns_status keep_annotation(struct ns_batch *b, int64_t i, const char *text)
{
	size_t n = text ? strlen(text) : 0, begin;

	if (!b->rows.annotation_offset && !n)
		return NS_OK;
	if (!b->rows.annotation_offset && !(b->rows.annotation_offset = calloc((size_t)b->most + 1, sizeof *b->rows.annotation_offset)))
		return ns_fail(NS_NO_MEMORY, "out of memory for the annotations of %lld rows", (long long)b->most);
	begin = (size_t)b->rows.annotation_offset[i];
	NS_TRY(ns_ingest_grow(&b->rows.annotation, &b->annotation_capacity, begin + n));
	if (n)
		memcpy(b->rows.annotation + begin, text, n);
	b->rows.annotation_offset[i + 1] = begin + n;
	return NS_OK;
}

enum ns_status ns_batch_append(struct ns_batch *b, const struct ns_taken *t)
{
	int64_t i = b->rows.rows;
	size_t len = strlen(t->item.name);

	NS_TRY(ns_ingest_grow(&b->image, &b->capacity, b->bytes + t->stored_bytes));
	NS_TRY(ns_ingest_grow(&b->rows.source, &b->source_capacity, (size_t)b->rows.source_offset[i] + len));
	memcpy(b->image + b->bytes, t->stored, t->stored_bytes);
	b->rows.id[i] = t->id;
	b->rows.label[i] = t->keep_label ? t->item.label : -1;
	b->rows.time[i] = t->item.time;
	memcpy(b->rows.source + b->rows.source_offset[i], t->item.name, len);
	b->rows.source_offset[i + 1] = b->rows.source_offset[i] + len;
	NS_TRY(keep_annotation(b, i, t->annotation));
	if (b->rows.files.height)
		keep_file(b, i, t);
	b->bytes += t->stored_bytes;
	b->offset[i + 1] = b->bytes;
	b->rows.rows++;
	return NS_OK;
}
