/*
 * datasets/shard.h - one HDF5 file of images, nightshift.shard/1 (docs/formats.md).
 */
#ifndef NS_SHARD_H
#define NS_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#define NS_STRETCH ((size_t)1 << 20) /* bytes under one checksum */
#define NS_SHARD_ROWS 16777216	      /* at most: its columns are held in memory */

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
	struct ns_handle *handle; /* open while it is read */
	uint64_t *checksum;
	int64_t checksums;
};

/* A file alone: looked at in a child process first (datasets/look.h), then opened. */
enum ns_status ns_shard_open(struct ns_shard **shard, const char *path);
/* Look at several at once; below: they lie in a folder of ours, where symbolic links are refused. */
enum ns_status ns_shards_look(const char *const *paths, int count, int below);
/* One that was looked at, by this process or by another rank. */
enum ns_status ns_shard_open_seen(struct ns_shard **shard, const char *path, int below);
void ns_shard_close(struct ns_shard *shard);
/* Does an HDF5 file hold images, and neither predictions nor a user's columns beside them? It is looked at in a child process. */
enum ns_status ns_shard_is(const char *path, int *is);
/* pixels of rows [first, first + count), raw shards; one read */
enum ns_status ns_shard_read(const struct ns_shard *shard, int64_t first, int64_t count, uint8_t *pixels);
/* one encoded file; *bytes is its size, *buffer grows to hold it and belongs to the caller */
enum ns_status ns_shard_read_encoded(const struct ns_shard *shard, int64_t row, uint8_t **buffer, size_t *room,
				     size_t *bytes);
/* Read all image bytes, however they are stored, and compare their checksums. A foreign shard without checksums passes. */
enum ns_status ns_shard_verify(const struct ns_shard *shard);
const char *ns_shard_source(const struct ns_shard *shard, int64_t row, size_t *len);

/* Write rows with their images (raw pixels end to end, or encoded files with offsets) as a new file. */
enum ns_status ns_shard_write(const char *path, const struct ns_shard_head *head, const struct ns_rows *rows,
			      const uint8_t *image, const uint64_t *image_offset);

void ns_rows_release(struct ns_rows *rows);

#endif
