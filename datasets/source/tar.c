/*
 * datasets/source/tar.c - a tar of class/file images, plain, gzip or zstd, through libarchive. It is read front to
 * back; asking for an earlier item starts again. The class is the folder that holds the file.
 */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/source/stream_inner.h"
#include "host/base/base.h"

#define FILE_MAX ((int64_t)1 << 30)

#define PIECE	 ((size_t)1 << 18)

struct tar {
	struct archive *archive;
	struct ns_stream *stream;
	uint8_t *piece;
	enum ns_status failed; /* of the reading below libarchive, and its message */
	char said[1024];
	int64_t next; /* number of the item that the archive will give next */
	uint8_t *data;
	size_t capacity;
};

static enum ns_status tar_takes(const char *path, int *takes)
{
	static const char *const ends[] = {".tar", ".tar.gz", ".tgz", ".tar.zst"};
	size_t n = strlen(path), i;
	int folder;

	for (*takes = 0, i = 0; i < sizeof ends / sizeof *ends; i++)
		*takes |= n > strlen(ends[i]) && !strcmp(path + n - strlen(ends[i]), ends[i]);
	NS_TRY(ns_is_dir(path, &folder));
	*takes &= !folder;
	return NS_OK;
}

/* --- libarchive reads through our stream, so that an error of the disk is told from a damaged archive --- */

static la_ssize_t give(struct archive *a, void *context, const void **data)
{
	struct tar *t = context;
	size_t got;

	*data = t->piece;
	t->failed = ns_stream_read(t->stream, t->piece, PIECE, &got);
	if (t->failed == NS_OK)
		return (la_ssize_t)got;
	snprintf(t->said, sizeof t->said, "%s", ns_message());
	archive_set_error(a, 5, "cannot be read");
	return -1;
}

static la_int64_t skip(struct archive *a, void *context, la_int64_t bytes)
{
	struct tar *t = context;
	int64_t skipped;

	t->failed = ns_stream_skip(t->stream, bytes, &skipped);
	if (t->failed == NS_OK)
		return skipped;
	snprintf(t->said, sizeof t->said, "%s", ns_message());
	archive_set_error(a, 5, "cannot be read");
	return -1;
}

static enum ns_status tar_error(const struct ns_source *s, const struct tar *t)
{
	const char *why = archive_error_string(t->archive);

	if (t->failed != NS_OK)
		return ns_fail(t->failed, "%s", t->said);
	return ns_fail(NS_BAD_DATA, "%s: after %lld files: %s", s->path, (long long)t->next, why ? why : "the archive is damaged");
}

static enum ns_status start(struct ns_source *s, struct tar *t)
{
	if (t->archive)
		archive_read_free(t->archive);
	ns_stream_close(t->stream);
	t->stream = NULL;
	t->next = 0;
	t->failed = NS_OK;
	t->archive = archive_read_new();
	if (!t->piece)
		t->piece = malloc(PIECE);
	if (!t->archive || !t->piece)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory while reading it", s->path);
	NS_TRY(ns_stream_open(&t->stream, s->path));
	archive_read_support_format_tar(t->archive);
	archive_read_support_format_empty(t->archive);
	/* `cat a.tar b.tar` is an archive of both; and reading goes on to the end of what is packed, where its checksum is */
	archive_read_set_options(t->archive, "tar:read_concatenated_archives");
	archive_read_set_read_callback(t->archive, give);
	archive_read_set_skip_callback(t->archive, skip);
	archive_read_set_callback_data(t->archive, t);
	if (archive_read_open1(t->archive) != ARCHIVE_OK)
		return tar_error(s, t);
	return NS_OK;
}

/* An archive ends in zeros: only their absence shows that one was cut between two files. */
static enum ns_status check_end(const struct ns_source *s, const struct tar *t)
{
	uint8_t tail[NS_STREAM_TAIL];
	size_t got, i;

	NS_TRY(ns_stream_tail(t->stream, tail, &got));
	for (i = 0; i < got && !tail[i]; i++)
		;
	if (got && (i < got || got < NS_STREAM_TAIL))
		return ns_fail(NS_BAD_DATA,
			       "%s: after %lld files: ends without tar's end mark (blocks of zeros), so it was cut short; if all is there, add them: "
			       "truncate -s +1024",
			       s->path, (long long)t->next);
	return NS_OK;
}

static int is_item(struct archive_entry *e)
{
	const char *name = archive_entry_pathname(e), *base;

	if (!name || archive_entry_filetype(e) != AE_IFREG)
		return 0;
	base = strrchr(name, '/');
	return (base ? base[1] : name[0]) != '.';
}

/* The next file; *e NULL at the end. After a damaged header an unknown number of entries is lost, so it ends the job. */
static enum ns_status advance(struct ns_source *s, struct tar *t, struct archive_entry **e)
{
	for (;;) {
		int code = archive_read_next_header(t->archive, e);

		if (code == ARCHIVE_EOF) {
			*e = NULL;
			return t->failed == NS_OK ? check_end(s, t) : tar_error(s, t);
		}
		if (code != ARCHIVE_OK && code != ARCHIVE_WARN) /* a warning is of a name that this locale cannot represent */
			return tar_error(s, t);
		if (is_item(*e)) {
			t->next++;
			return NS_OK;
		}
	}
}

/* the folder that holds the file */
static void class_of(const char *name, char *class_name, size_t size)
{
	const char *end = strrchr(name, '/'), *begin;

	*class_name = 0;
	if (!end)
		return;
	for (begin = end; begin > name && begin[-1] != '/'; begin--)
		;
	if (end > begin && !(end - begin == 1 && *begin == '.'))
		snprintf(class_name, size, "%.*s", (int)(end - begin), begin);
}

static void tar_close(struct ns_source *s)
{
	struct tar *t = s->state;

	if (t->archive)
		archive_read_free(t->archive);
	ns_stream_close(t->stream);
	free(t->piece);
	free(t->data);
	free(t);
}

static enum ns_status list_classes(struct ns_source *s, struct tar *t)
{
	char **names = NULL, name[128];
	int64_t count = 0, i;
	struct archive_entry *e;
	enum ns_status status;

	for (;;) {
		NS_GO(advance(s, t, &e));
		if (!e)
			break;
		class_of(archive_entry_pathname(e), name, sizeof name);
		for (i = 0; i < count && strcmp(names[i], name); i++)
			;
		if (i == count) {
			char **more = realloc(names, sizeof *names * (size_t)(count + 1));

			if (!more) {
				status = ns_fail(NS_NO_MEMORY, "%s: out of memory for class names", s->path);
				goto out;
			}
			names = more;
			names[count++] = strdup(name);
		}
	}
	s->items = t->next;
	status = ns_source_found_classes(s, (const char *const *)names, count);
out:
	for (i = 0; i < count; i++)
		free(names[i]);
	free(names);
	return status;
}

static enum ns_status tar_open(struct ns_source *s)
{
	struct tar *t = s->state = calloc(1, sizeof *t);

	if (!t)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	NS_TRY(start(s, t));
	NS_TRY(list_classes(s, t));
	return start(s, t);
}

static enum ns_status tar_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct tar *t = s->state;
	struct archive_entry *e = NULL;
	int64_t bytes;

	if (item < t->next)
		NS_TRY(start(s, t));
	while (t->next <= item) {
		enum ns_status status = advance(s, t, &e);

		if (status != NS_OK)
			return status == NS_BAD_DATA ? ns_fail_in(NS_IO, "the archive cannot be read on") : status;
		if (!e)
			return ns_fail(NS_IO, "%s: changed while it was read", s->path);
	}
	snprintf(out->name, sizeof out->name, "%.511s", archive_entry_pathname(e));
	class_of(archive_entry_pathname(e), out->class_name, sizeof out->class_name);
	out->label = ns_source_label(s, out->class_name);
	out->time = (int64_t)archive_entry_mtime(e);
	bytes = archive_entry_size(e);
	if (bytes < 0 || bytes > FILE_MAX)
		return ns_fail(NS_BAD_DATA, "claims %lld bytes; at most %lld are taken", (long long)bytes, (long long)FILE_MAX);
	if (t->capacity < (size_t)bytes) {
		uint8_t *more = realloc(t->data, (size_t)bytes);

		if (!more)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld bytes", out->name, (long long)bytes);
		t->data = more;
		t->capacity = (size_t)bytes;
	}
	if (archive_read_data(t->archive, t->data, (size_t)bytes) != bytes)
		return t->failed != NS_OK ? tar_error(s, t) : ns_fail(NS_BAD_DATA, "is cut short in the archive");
	out->data = t->data;
	out->bytes = (size_t)bytes;
	return NS_OK;
}

const struct ns_source_kind ns_source_tar = {"tar", tar_takes, tar_open, tar_get, tar_close};
