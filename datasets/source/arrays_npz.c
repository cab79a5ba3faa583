/*
 * datasets/source/arrays_npz.c - a .npz of images and labels: a zip of .npy, stored or packed, through libarchive. It is read front to back; asking
 * for an earlier image starts again. Opening it reads all of it once, so that what is damaged is known before anything is written.
 */
#define _POSIX_C_SOURCE 200809L
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "datasets/source/arrays_inner.h"
#include "datasets/source/stream_inner.h"
#include "host/base/base.h"

#define PIECE	   ((size_t)1 << 18)
#define MEMBERS	   4096
#define LABELS_MAX ((int64_t)1 << 30) /* bytes of labels, which are held in memory */

struct npz {
	struct ns_arrays arrays;
	struct archive *archive;
	struct ns_stream *stream;
	uint8_t *piece;
	enum ns_status failed; /* of the reading below libarchive, and its message */
	char said[1024];
	int64_t member; /* number of the one that is being read, from 1 */
	int64_t row;	/* of it, which comes next */
};

static enum ns_status npz_takes(const char *path, int *takes)
{
	size_t n = strlen(path);

	NS_TRY(ns_is_dir(path, takes));
	*takes = !*takes && n > 4 && !strcasecmp(path + n - 4, ".npz");
	return NS_OK;
}

/* Its file and libarchive's memory; the next image starts from the front. */
static void npz_rest(struct ns_source *s)
{
	struct npz *z = s->state;

	if (z->archive)
		archive_read_free(z->archive);
	ns_stream_close(z->stream);
	z->archive = NULL;
	z->stream = NULL;
	z->member = z->row = 0;
	z->failed = NS_OK;
}

static void npz_close(struct ns_source *s)
{
	struct npz *z = s->state;

	npz_rest(s);
	ns_arrays_release(&z->arrays);
	free(z->piece);
	free(z);
}

/* libarchive reads through our stream, so that an error of the disk is told from a damaged file. */
static la_ssize_t give(struct archive *a, void *context, const void **data)
{
	struct npz *z = context;
	size_t got;

	*data = z->piece;
	z->failed = ns_stream_read(z->stream, z->piece, PIECE, &got);
	if (z->failed == NS_OK)
		return (la_ssize_t)got;
	snprintf(z->said, sizeof z->said, "%s", ns_message());
	archive_set_error(a, 5, "cannot be read");
	return -1;
}

static enum ns_status zip_error(const struct ns_source *s, const struct npz *z)
{
	const char *why = archive_error_string(z->archive);

	if (z->failed != NS_OK)
		return ns_fail(z->failed, "%s", z->said);
	return ns_fail(NS_BAD_DATA, "%s: in array %lld: %s", s->path, (long long)z->member, why ? why : "the zip is damaged");
}

static enum ns_status start(struct ns_source *s, struct npz *z)
{
	npz_rest(s);
	z->archive = archive_read_new();
	if (!z->piece)
		z->piece = malloc(PIECE);
	if (!z->archive || !z->piece)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory while reading it", s->path);
	NS_TRY(ns_stream_open(&z->stream, s->path));
	archive_read_support_format_zip_streamable(z->archive);
	archive_read_set_read_callback(z->archive, give);
	archive_read_set_callback_data(z->archive, z);
	return archive_read_open1(z->archive) == ARCHIVE_OK ? NS_OK : zip_error(s, z);
}

/* The next member; *e NULL at the end. */
static enum ns_status advance(struct ns_source *s, struct npz *z, struct archive_entry **e)
{
	int code = archive_read_next_header(z->archive, e);

	if (code == ARCHIVE_EOF)
		*e = NULL;
	else if (code != ARCHIVE_OK && code != ARCHIVE_WARN) /* a warning is of a name that this locale cannot represent */
		return zip_error(s, z);
	z->member++;
	z->row = 0;
	return z->failed == NS_OK ? NS_OK : zip_error(s, z);
}

/* Up to `bytes` of the member; *got is less only at its end, whose checksum is then right. */
static enum ns_status read_member(struct ns_source *s, struct npz *z, uint8_t *data, size_t bytes, size_t *got)
{
	la_ssize_t n = 1;

	for (*got = 0; n && *got < bytes; *got += (size_t)n) {
		n = archive_read_data(z->archive, data + *got, bytes - *got);
		if (n < 0)
			return zip_error(s, z);
	}
	return NS_OK;
}

static enum ns_status read_header(struct ns_source *s, struct npz *z, const char *where, struct ns_array *a)
{
	uint8_t head[NS_ARRAY_PREAMBLE];
	size_t at, bytes, have, got;
	enum ns_status status;
	char *text;

	NS_TRY(read_member(s, z, head, sizeof head, &got));
	if (got < sizeof head)
		return ns_fail(NS_BAD_DATA, "%s: has %zu bytes, expected an array as numpy.save() writes it", where, got);
	NS_TRY(ns_array_preamble(where, head, &at, &bytes));
	have = sizeof head - at;
	text = calloc(1, bytes + 1);
	if (!text)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its header", where);
	memcpy(text, head + at, have);
	NS_GO(read_member(s, z, (uint8_t *)text + have, bytes - have, &got));
	if (got < bytes - have)
		status = ns_fail(NS_BAD_DATA, "%s: ends within its header", where);
	else
		status = ns_array_header(where, text, a);
	a->offset = at + bytes;
out:
	free(text);
	return status;
}

/* Reads the member to its end: its values must be as many as the header says. Those of labels are kept, as the zip may have them before the images. */
static enum ns_status read_values(struct ns_source *s, struct npz *z, const char *where, struct ns_array *a)
{
	int64_t want = ns_array_bytes(a), total = 0;
	int keep = ns_arrays_role(a->key) == NS_ARRAY_LABELS && want >= 0 && want <= LABELS_MAX && strchr("uibSU", a->kind);
	size_t capacity = 0, got = 1;
	char said[NS_ARRAY_SAID];
	uint8_t drop[1 << 14];

	while (got) {
		if (keep && (size_t)total == capacity) {
			uint8_t *more = realloc(a->data, capacity = capacity ? 2 * capacity : PIECE);

			if (!more)
				return ns_fail(NS_NO_MEMORY, "%s: out of memory for labels", where);
			a->data = more;
		}
		NS_TRY(read_member(s, z, keep ? a->data + total : drop, keep ? capacity - (size_t)total : sizeof drop, &got));
		total += (int64_t)got;
		keep = keep && total <= want;
	}
	if (a->kind == 'O' || a->kind == '?' || a->rank > NS_ARRAY_RANK || total == want)
		return NS_OK;
	return ns_fail(NS_BAD_DATA, "%s: holds %lld bytes of values, expected %lld of %s", where, (long long)total, (long long)want,
		       ns_array_said(a, said));
}

static enum ns_status list_members(struct ns_source *s, struct npz *z)
{
	for (;;) {
		struct archive_entry *e;
		struct ns_array *a;
		char key[NS_ARRAY_TEXT], where[NS_ARRAY_TEXT];
		const char *name;
		size_t n;

		NS_TRY(advance(s, z, &e));
		if (!e)
			return NS_OK;
		if (z->member > MEMBERS)
			return ns_fail(NS_BAD_DATA, "%s: holds more than %d arrays, expected one of all images", s->path, MEMBERS);
		name = archive_entry_pathname(e) ? archive_entry_pathname(e) : archive_entry_pathname_utf8(e);
		n = name ? strlen(name) : 0;
		if (n < 5 || strcmp(name + n - 4, ".npy") || n > 1024) {
			NS_TRY(ns_source_pass_over(s, name ? name : "?", "is no .npy in the zip"));
			continue;
		}
		snprintf(key, sizeof key, "%.*s", (int)n - 4, name);
		NS_TRY(ns_arrays_add(&z->arrays, key, &a));
		a->number = z->member;
		ns_arrays_where(s, &z->arrays, a, where);
		NS_TRY(read_header(s, z, where, a));
		NS_TRY(read_values(s, z, where, a));
	}
}

static enum ns_status npz_open(struct ns_source *s)
{
	struct npz *z = s->state = calloc(1, sizeof *z);
	const struct ns_array_set *set;
	char where[NS_ARRAY_TEXT];
	int i;

	if (!z)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	z->arrays.keyed = 1;
	NS_TRY(start(s, z));
	NS_TRY(list_members(s, z));
	NS_TRY(ns_arrays_plan(s, &z->arrays));
	for (i = 0; i < z->arrays.set_count; i++) {
		set = &z->arrays.set[i];
		if (!set->labels)
			continue;
		ns_arrays_where(s, &z->arrays, set->labels, where);
		if (!set->labels->data)
			return ns_fail(NS_BAD_DATA, "%s: has %lld bytes, expected at most %lld", where, (long long)ns_array_bytes(set->labels),
				       (long long)LABELS_MAX);
		NS_TRY(ns_arrays_values(s, &z->arrays, set, 0, set->n, set->labels->data));
	}
	for (i = 0; i < z->arrays.count; i++) {
		free(z->arrays.array[i].data);
		z->arrays.array[i].data = NULL;
	}
	NS_TRY(ns_arrays_label(s, &z->arrays));
	npz_rest(s);
	return ns_arrays_make_row(s, &z->arrays);
}

/* Goes to the first row of an array. */
static enum ns_status go_to(struct ns_source *s, struct npz *z, const struct ns_array *a)
{
	struct archive_entry *e = NULL;
	uint8_t drop[1 << 10];
	uint64_t at;
	size_t got;

	if (!z->archive || z->member >= a->number)
		NS_TRY(start(s, z));
	while (z->member < a->number) {
		NS_TRY(advance(s, z, &e));
		if (!e)
			return ns_fail(NS_IO, "%s: changed while it was read", s->path);
	}
	for (at = 0; at < a->offset; at += got) {
		NS_TRY(read_member(s, z, drop, a->offset - at < sizeof drop ? (size_t)(a->offset - at) : sizeof drop, &got));
		if (!got)
			return ns_fail(NS_IO, "%s: changed while it was read", s->path);
	}
	return NS_OK;
}

static enum ns_status read_rows(struct ns_source *s, const struct ns_array_set *set, int64_t row)
{
	struct npz *z = s->state;
	size_t bytes = (size_t)set->h * (size_t)set->w * (size_t)set->c, got;

	if (z->member != set->images->number || row < z->row)
		NS_TRY(go_to(s, z, set->images));
	for (; z->row <= row; z->row++) {
		NS_TRY(read_member(s, z, z->arrays.row, bytes, &got));
		if (got < bytes)
			return ns_fail(NS_IO, "%s: changed while it was read", s->path);
	}
	return NS_OK;
}

/* All was read before and found whole: what is not now, ends the job. */
static enum ns_status read_row(struct ns_source *s, const struct ns_array_set *set, int64_t row)
{
	enum ns_status status = read_rows(s, set, row);

	return status == NS_BAD_DATA ? ns_fail_in(NS_IO, "was changed while it was read") : status;
}

static enum ns_status npz_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct npz *z = s->state;

	return ns_arrays_get(s, &z->arrays, item, out, read_row);
}

const struct ns_source_kind ns_source_npz = {"npz", npz_takes, npz_open, npz_get, npz_close, npz_rest, 1, NULL};
