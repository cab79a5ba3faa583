#define _POSIX_C_SOURCE 200809L
#include "datasets/source/stream_inner.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "host/base/base.h"

#define PIECE ((size_t)1 << 17)

enum kind { PLAIN, GZIP, ZSTD };

struct ns_stream {
	char *path;
	int fd;
	enum kind kind;
	int64_t at, size; /* of the file: next byte to be read, and its end */
	uint8_t *buffer;  /* packed bytes, PIECE of them */
	z_stream z;
	int z_ready, in_member; /* in_member: its end with the checksum is still to come */
	struct archive *archive;
	enum ns_status failed;	      /* of the reading below libarchive; */
	char said[1024];	      /* and its message */
	uint8_t tail[NS_STREAM_TAIL]; /* the last bytes that were given out, where the file is packed */
	size_t tail_bytes;
};

/* the next bytes of the file itself */
static enum ns_status next_piece(struct ns_stream *s, void *data, size_t most, size_t *got)
{
	*got = s->size - s->at < (int64_t)most ? (size_t)(s->size - s->at) : most;
	NS_TRY(ns_read_at(s->fd, s->path, data, *got, (uint64_t)s->at));
	s->at += (int64_t)*got;
	return NS_OK;
}

/* --- gzip --- */

static enum ns_status fill(struct ns_stream *s)
{
	size_t got;

	if (s->z.avail_in)
		return NS_OK;
	NS_TRY(next_piece(s, s->buffer, PIECE, &got));
	s->z.next_in = s->buffer;
	s->z.avail_in = (unsigned)got;
	return NS_OK;
}

/* After a member's end comes another one, zeros (with which tapes are padded), or the file's end; *more 0: nothing follows. */
static enum ns_status next_member(struct ns_stream *s, int *more)
{
	for (*more = 0;;) {
		NS_TRY(fill(s));
		if (!s->z.avail_in)
			return NS_OK;
		if (*s->z.next_in)
			break;
		s->z.next_in++;
		s->z.avail_in--;
	}
	if (*s->z.next_in != 0x1f || inflateReset(&s->z) != Z_OK)
		return ns_fail(NS_BAD_DATA, "%s: after the end of its gzip data something else follows", s->path);
	*more = s->in_member = 1;
	return NS_OK;
}

static enum ns_status read_gzip(struct ns_stream *s, void *data, size_t bytes, size_t *got)
{
	int more, code;

	s->z.next_out = data;
	s->z.avail_out = (unsigned)bytes;
	while (s->z.avail_out) {
		if (!s->in_member) {
			NS_TRY(next_member(s, &more));
			if (!more)
				break;
		}
		NS_TRY(fill(s));
		if (!s->z.avail_in)
			return ns_fail(NS_BAD_DATA, "%s: is cut short: the end of its gzip data, with the checksum, is not there", s->path);
		code = inflate(&s->z, Z_NO_FLUSH);
		if (code == Z_STREAM_END)
			s->in_member = 0;
		else if (code == Z_MEM_ERROR)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory while unpacking it", s->path);
		else if (code != Z_OK && code != Z_BUF_ERROR)
			return ns_fail(NS_BAD_DATA, "%s: gzip: %s", s->path, s->z.msg ? s->z.msg : "is damaged");
	}
	*got = bytes - s->z.avail_out;
	return NS_OK;
}

/* --- zstd, by libarchive: its format "raw" gives what a filter unpacks --- */

static la_ssize_t give(struct archive *a, void *context, const void **data)
{
	struct ns_stream *s = context;
	size_t got;

	*data = s->buffer;
	s->failed = next_piece(s, s->buffer, PIECE, &got);
	if (s->failed == NS_OK)
		return (la_ssize_t)got;
	snprintf(s->said, sizeof s->said, "%s", ns_message());
	archive_set_error(a, 5, "cannot be read");
	return -1;
}

static enum ns_status packed_error(struct ns_stream *s)
{
	const char *why = archive_error_string(s->archive);

	return s->failed != NS_OK ? ns_fail(s->failed, "%s", s->said) : ns_fail(NS_BAD_DATA, "%s: %s", s->path, why ? why : "cannot be unpacked");
}

static enum ns_status open_packed(struct ns_stream *s)
{
	struct archive_entry *entry;

	s->archive = archive_read_new();
	if (!s->archive)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory while unpacking it", s->path);
	archive_read_support_filter_zstd(s->archive);
	archive_read_support_format_raw(s->archive);
	if (archive_read_open(s->archive, s, NULL, give, NULL) != ARCHIVE_OK || archive_read_next_header(s->archive, &entry) != ARCHIVE_OK)
		return packed_error(s);
	return NS_OK;
}

static enum ns_status read_packed(struct ns_stream *s, void *data, size_t bytes, size_t *got)
{
	la_ssize_t n = 1;

	for (*got = 0; n && *got < bytes; *got += (size_t)n) {
		n = archive_read_data(s->archive, (char *)data + *got, bytes - *got);
		if (n < 0)
			return packed_error(s);
	}
	return NS_OK;
}

/* --- any --- */

static enum ns_status begin(struct ns_stream *s)
{
	uint8_t magic[4] = {0};
	struct stat st;
	size_t n;

	NS_TRY(ns_open(&s->fd, s->path, 0));
	if (fstat(s->fd, &st))
		return ns_io_error(s->path, "cannot stat");
	s->size = (int64_t)st.st_size;
	n = s->size < 4 ? (size_t)s->size : 4;
	NS_TRY(ns_read_at(s->fd, s->path, magic, n, 0));
	if (n > 1 && magic[0] == 0x1f && magic[1] == 0x8b)
		s->kind = GZIP;
	else if (n == 4 && !memcmp(magic, "\x28\xb5\x2f\xfd", 4))
		s->kind = ZSTD;
	if (s->kind == PLAIN)
		return NS_OK;
	s->buffer = malloc(PIECE);
	if (!s->buffer)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory while unpacking it", s->path);
	if (s->kind == ZSTD)
		return open_packed(s);
	s->z_ready = inflateInit2(&s->z, 15 + 16) == Z_OK; /* 16: gzip's header and end, checked by zlib */
	s->in_member = 1;
	return s->z_ready ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory while unpacking it", s->path);
}

enum ns_status ns_stream_open(struct ns_stream **stream, const char *path)
{
	struct ns_stream *s = calloc(1, sizeof *s);
	enum ns_status status;

	if (!s || !(s->path = strdup(path))) {
		free(s);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
	}
	s->fd = -1;
	status = begin(s);
	if (status != NS_OK)
		ns_stream_close(s);
	else
		*stream = s;
	return status;
}

void ns_stream_close(struct ns_stream *s)
{
	if (!s)
		return;
	if (s->z_ready)
		inflateEnd(&s->z);
	if (s->archive)
		archive_read_free(s->archive);
	if (s->fd >= 0)
		close(s->fd);
	free(s->buffer);
	free(s->path);
	free(s);
}

static void keep_tail(struct ns_stream *s, const uint8_t *data, size_t n)
{
	size_t keep = n < NS_STREAM_TAIL ? NS_STREAM_TAIL - n : 0;

	keep = keep < s->tail_bytes ? keep : s->tail_bytes;
	memmove(s->tail, s->tail + s->tail_bytes - keep, keep);
	n = n < NS_STREAM_TAIL ? n : (data += n - NS_STREAM_TAIL, (size_t)NS_STREAM_TAIL);
	memcpy(s->tail + keep, data, n);
	s->tail_bytes = keep + n;
}

enum ns_status ns_stream_read(struct ns_stream *s, void *data, size_t bytes, size_t *got)
{
	*got = 0;
	if (!bytes)
		return NS_OK;
	if (s->kind == PLAIN)
		return next_piece(s, data, bytes, got);
	NS_TRY(s->kind == GZIP ? read_gzip(s, data, bytes, got) : read_packed(s, data, bytes, got));
	keep_tail(s, data, *got);
	return NS_OK;
}

enum ns_status ns_stream_skip(struct ns_stream *s, int64_t bytes, int64_t *skipped)
{
	uint8_t drop[1 << 14];
	size_t got = 1;

	*skipped = 0;
	if (s->kind == PLAIN) {
		*skipped = s->size - s->at < bytes ? s->size - s->at : bytes;
		s->at += *skipped;
		return NS_OK;
	}
	while (got && *skipped < bytes) {
		NS_TRY(ns_stream_read(s, drop, bytes - *skipped < (int64_t)sizeof drop ? (size_t)(bytes - *skipped) : sizeof drop, &got));
		*skipped += (int64_t)got;
	}
	return NS_OK;
}

int64_t ns_stream_seek(struct ns_stream *s, int64_t offset, int whence)
{
	int64_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? s->at : s->size;

	if (s->kind != PLAIN || from + offset < 0 || from + offset > s->size)
		return -1;
	return s->at = from + offset;
}

enum ns_status ns_stream_tail(struct ns_stream *s, uint8_t tail[NS_STREAM_TAIL], size_t *got)
{
	if (s->kind != PLAIN) {
		*got = s->tail_bytes;
		memcpy(tail, s->tail, s->tail_bytes);
		return NS_OK;
	}
	*got = s->size < NS_STREAM_TAIL ? (size_t)s->size : NS_STREAM_TAIL;
	return ns_read_at(s->fd, s->path, tail, *got, (uint64_t)(s->size - (int64_t)*got));
}
