/*
 * datasets/source/stream_inner.h - the unpacked bytes of a file: plain, gzip or zstd, by its first bytes. gzip is read to the end of each of its
 * members, whose checksum and length must be right: a truncated or changed file is NS_BAD_DATA, an error of the disk NS_IO.
 */
#ifndef NS_STREAM_H
#define NS_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

struct ns_stream;

enum ns_status ns_stream_open(struct ns_stream **stream, const char *path);
void ns_stream_close(struct ns_stream *stream);
/* Up to `bytes`; *got is less only at the end, and 0 after it. */
enum ns_status ns_stream_read(struct ns_stream *stream, void *data, size_t bytes, size_t *got);
/* Skip as many; a plain file is not read for it. *skipped is less only at the end. */
enum ns_status ns_stream_skip(struct ns_stream *stream, int64_t bytes, int64_t *skipped);
/* As lseek() moves; the new place, or -1: a packed file has no places. */
int64_t ns_stream_seek(struct ns_stream *stream, int64_t offset, int whence);
/* The last bytes of what was read to its end, up to `size`: *got of them. */
#define NS_STREAM_TAIL 512
enum ns_status ns_stream_tail(struct ns_stream *stream, uint8_t tail[NS_STREAM_TAIL], size_t *got);

#endif
