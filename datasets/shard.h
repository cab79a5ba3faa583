/*
 * datasets/shard.h - one HDF5 file of images, nightshift.shard/1 (docs/formats.md).
 */
#ifndef NS_SHARD_H
#define NS_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#define NS_STRETCH ((size_t)1 << 20) /* bytes under one checksum */

/* Rows on their way into a shard, or the small columns of one that was opened. */
struct ns_rows {
	int64_t rows;
	int32_t *label, *group;
	uint64_t *id;
	int64_t *time;
	uint64_t *source_offset; /* (rows + 1) into source; NULL: none */
	uint8_t *source;
};

struct ns_shard_head {
	char encoding[8]; /* raw, jpeg, png */
	char dataset[128];
	char **classes, **groups;
	int class_count, group_count;
	int h, w, c; /* of raw images; 0 where encoded */
};

struct ns_shard {
	char *path;
	struct ns_shard_head head;
	struct ns_rows rows;
	uint64_t *image_offset; /* (rows + 1), encoded only */
	int64_t image_at;	  /* byte in the file; -1: chunked, read through HDF5 */
	int64_t image_bytes;
	int fd;
	int64_t file; /* hid_t, open only where image_at < 0 */
	uint64_t *checksum;
	int64_t checksums;
};

enum ns_status ns_shard_open(struct ns_shard **shard, const char *path);
void ns_shard_close(struct ns_shard *shard);
/* pixels of rows [first, first + count), raw shards; one read */
enum ns_status ns_shard_read(const struct ns_shard *shard, int64_t first, int64_t count, uint8_t *pixels);
/* one encoded file; *bytes is its size, *buffer grows to hold it and belongs to the caller */
enum ns_status ns_shard_read_encoded(const struct ns_shard *shard, int64_t row, uint8_t **buffer, size_t *room,
				     size_t *bytes);
/* Read all image bytes and compare their checksums. A foreign shard without checksums passes. */
enum ns_status ns_shard_verify(const struct ns_shard *shard);
const char *ns_shard_source(const struct ns_shard *shard, int64_t row, size_t *len);

/* Write rows with their images (raw pixels end to end, or encoded files with offsets) as a new file. */
enum ns_status ns_shard_write(const char *path, const struct ns_shard_head *head, const struct ns_rows *rows,
			      const uint8_t *image, const uint64_t *image_offset);

void ns_rows_release(struct ns_rows *rows);

#endif
