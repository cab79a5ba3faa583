/* datasets/shard/shard_read.c - the images of a shard: read by rows, one by one, and all against their checksums. */
#define _GNU_SOURCE
#include "datasets/shard/shard.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/h5/h5.h"
#include "host/base/base.h"

static enum ns_status read_rows(const struct ns_shard *s, int64_t first, int64_t count, uint8_t *pixels)
{
	int64_t image = (int64_t)s->head.h * s->head.w * s->head.c;
	enum ns_status status;

	NS_TRY(ns_handle_acquire(s->handle));
	if (s->image_at < 0)
		status = ns_h5_read_rows(s->handle->file, s->path, "image", NS_H5_U8, (hsize_t)first, (hsize_t)count, pixels);
	else
		status = ns_read_at(s->handle->fd, s->path, pixels, (size_t)(count * image), (uint64_t)(s->image_at + first * image));
	ns_handle_release(s->handle);
	return status;
}

enum ns_status ns_shard_read(const struct ns_shard *s, int64_t first, int64_t count, uint8_t *pixels)
{
	int64_t image = (int64_t)s->head.h * s->head.w * s->head.c, i, n;

	if (first < 0 || count < 0 || first + count > s->rows.rows || !image)
		return ns_fail(NS_INVALID, "%s: rows %lld to %lld are not in its %lld raw rows", s->path, (long long)first,
			       (long long)(first + count), (long long)s->rows.rows);
	if (!s->at)
		return read_rows(s, first, count, pixels);
	for (i = 0; i < count; i += n) { /* those that follow each other in the file at once */
		for (n = 1; i + n < count && s->at[first + i + n] == s->at[first + i] + n; n++)
			;
		NS_TRY(read_rows(s, s->at[first + i], n, pixels + i * image));
	}
	return NS_OK;
}

/* bytes of a file that is stored in one piece */
static enum ns_status read_bytes(const struct ns_shard *s, uint64_t at, size_t n, uint8_t *bytes)
{
	enum ns_status status;

	NS_TRY(ns_handle_acquire(s->handle));
	status = ns_read_at(s->handle->fd, s->path, bytes, n, (uint64_t)s->image_at + at);
	ns_handle_release(s->handle);
	return status;
}

enum ns_status ns_shard_read_encoded(const struct ns_shard *s, int64_t row, uint8_t **buffer, size_t *capacity, size_t *bytes)
{
	int64_t at = s->at ? s->at[row] : row;
	uint64_t begin = s->image_offset[at];

	*bytes = (size_t)(s->image_offset[at + 1] - begin);
	if (*capacity < *bytes) {
		uint8_t *more = realloc(*buffer, *bytes);

		if (!more)
			return ns_fail(NS_NO_MEMORY, "%s: row %lld: out of memory for %zu bytes", s->path, (long long)at, *bytes);
		*buffer = more;
		*capacity = *bytes;
	}
	return read_bytes(s, begin, *bytes, *buffer);
}

/* Reads image bytes [at, at + n); where they are chunked, by way of the whole rows that hold them. */
static enum ns_status read_stretch(const struct ns_shard *s, int64_t at, size_t n, uint8_t *rows, uint8_t *bytes)
{
	int64_t image = (int64_t)s->head.h * s->head.w * s->head.c, first, end;

	if (s->image_at >= 0)
		return read_bytes(s, (uint64_t)at, n, bytes);
	first = at / image;
	end = (at + (int64_t)n + image - 1) / image;
	NS_TRY(read_rows(s, first, end - first, rows)); /* whichever were chosen: checksums are of all */
	memcpy(bytes, rows + (at - first * image), n);
	return NS_OK;
}

enum ns_status ns_shard_verify(const struct ns_shard *s)
{
	size_t image = (size_t)s->head.h * (size_t)s->head.w * (size_t)s->head.c;
	uint8_t *buffer, *rows = NULL;
	enum ns_status status = NS_OK;
	int64_t i;

	if (!s->checksum)
		return NS_OK;
	buffer = malloc(NS_CHECKSUM_BLOCK);
	if (s->image_at < 0)
		rows = malloc(NS_CHECKSUM_BLOCK + 2 * image);
	if (!buffer || (s->image_at < 0 && !rows))
		status = ns_fail(NS_NO_MEMORY, "%s: out of memory while verifying it", s->path);
	for (i = 0; i < s->checksums && status == NS_OK; i++) {
		int64_t at = i * (int64_t)NS_CHECKSUM_BLOCK, left = s->image_bytes - at;
		size_t n = left < (int64_t)NS_CHECKSUM_BLOCK ? (size_t)left : NS_CHECKSUM_BLOCK;

		status = read_stretch(s, at, n, rows, buffer);
		if (status == NS_OK && ns_xxh3(buffer, n) != s->checksum[i])
			status = ns_fail(NS_DIGEST, "%s: image bytes %lld to %lld do not match their checksum; the file is damaged", s->path,
					 (long long)at, (long long)at + (long long)n);
	}
	free(buffer);
	free(rows);
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
