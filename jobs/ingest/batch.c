/* jobs/ingest/batch.c - a shard being filled. */
#define _DEFAULT_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "jobs/ingest/ingest_inner.h"

void ns_batch_release(struct ns_batch *b)
{
	ns_vocabulary_release(&b->formats);
	ns_vocabulary_release(&b->cameras);
	ns_vocabulary_release(&b->groups);
	ns_rows_release(&b->rows);
	free(b->image);
	free(b->offset);
}

#define HUGE	     ((size_t)1 << 21)
#define RESERVE_MOST ((int64_t)1 << 30)

/* Room for so many bytes of images in all: in huge pages, because a shard of 512 MiB is 131,072 faults of pages of 4 KiB. */
static enum ns_status reserve(struct ns_batch *b, size_t bytes)
{
	size_t capacity = (bytes + HUGE - 1) / HUGE * HUGE;
	uint8_t *image = aligned_alloc(HUGE, capacity);

	if (!image)
		return ns_fail(NS_NO_MEMORY, "out of memory for %zu bytes of a shard; a smaller ingest.shard_rows needs less", capacity);
	(void)madvise(image, capacity, MADV_HUGEPAGE); /* a hint: nothing depends on it */
	if (b->bytes)
		memcpy(image, b->image, b->bytes);
	free(b->image);
	b->image = image;
	b->capacity = capacity;
	return NS_OK;
}

enum ns_status ns_batch_init(struct ns_batch *b, int64_t rows, int64_t image_bytes, int files)
{
	int64_t most = image_bytes < RESERVE_MOST / rows ? image_bytes * rows : RESERVE_MOST;
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
	NS_TRY(reserve(b, (size_t)(most + most / 8 + 1))); /* what it does not come to costs nothing */
	return files ? ns_rows_add_files(&b->rows, rows) : NS_OK;
}

static enum ns_status keep_file(struct ns_batch *b, int64_t i, const struct ns_taken *t)
{
	struct ns_row_files *f = &b->rows.files;
	const char *camera = t->image.camera;

	f->height[i] = t->image.h;
	f->width[i] = t->image.w;
	f->channels[i] = t->image.c;
	f->bytes[i] = (int64_t)t->item.bytes;
	NS_TRY(ns_vocabulary_add(&b->formats, t->image.kind, &f->format[i]));
	f->orientation[i] = t->image.orientation;
	f->captured[i] = t->image.time;
	f->camera[i] = -1;
	if (*camera && (b->cameras.count < NS_BATCH_CAMERAS || json_object_get(b->cameras.places, camera)))
		NS_TRY(ns_vocabulary_add(&b->cameras, camera, &f->camera[i]));
	f->position[i] = t->image.position;
	memcpy(f->sha256 + 32 * i, t->sha256, 32);
	return NS_OK;
}

/* What the annotation says under group_by, as text; or its camera, of EXIF. The caller frees it; NULL: nothing is said. */
static char *group_said(const struct ns_batch *b, const struct ns_taken *t)
{
	json_t *json = t->annotation ? json_loads(t->annotation, 0, NULL) : NULL;
	const json_t *value = json_object_get(json, b->group_by);
	char *text = NULL;

	if (json_is_string(value))
		text = strdup(json_string_value(value));
	else if (json_is_number(value) || json_is_boolean(value))
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	else if (!strcmp(b->group_by, "camera") && *t->image.camera)
		text = strdup(t->image.camera);
	json_decref(json);
	return text;
}

static enum ns_status keep_group(struct ns_batch *b, int64_t i, const struct ns_taken *t)
{
	char *said = b->group_by ? group_said(b, t) : NULL;
	enum ns_status status;

	if (said && strlen(said) > 255)
		status = ns_fail(NS_BAD_DATA, "%s: ingest.group_by: '%s' has %zu bytes, which is no name of a slice", t->item.name, b->group_by,
				 strlen(said));
	else
		status = ns_vocabulary_add(&b->groups, said && *said ? said : b->group, &b->rows.group[i]);
	b->grouped += said && *said;
	free(said);
	if (status == NS_OK && b->groups.count > NS_BATCH_GROUPS)
		status = ns_fail(NS_BAD_DATA, "ingest.group_by: '%s' has more than %d values in a shard; a slice has few", b->group_by,
				 NS_BATCH_GROUPS);
	return status;
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

	if (b->bytes + t->stored_bytes > b->capacity)
		NS_TRY(reserve(b, 2 * (b->bytes + t->stored_bytes)));
	NS_TRY(ns_ingest_grow(&b->rows.source, &b->source_capacity, (size_t)b->rows.source_offset[i] + len));
	memcpy(b->image + b->bytes, t->stored, t->stored_bytes);
	b->rows.id[i] = t->id;
	b->rows.label[i] = t->keep_label ? t->item.label : -1;
	b->rows.time[i] = t->item.time;
	memcpy(b->rows.source + b->rows.source_offset[i], t->item.name, len);
	b->rows.source_offset[i + 1] = b->rows.source_offset[i] + len;
	NS_TRY(keep_annotation(b, i, t->annotation));
	NS_TRY(keep_group(b, i, t));
	if (b->rows.files.height)
		NS_TRY(keep_file(b, i, t));
	b->bytes += t->stored_bytes;
	b->offset[i + 1] = b->bytes;
	b->rows.rows++;
	return NS_OK;
}
