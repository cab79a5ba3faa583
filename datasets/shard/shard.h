/*
 * datasets/shard/shard.h - shards, data sets made of them, and views of their rows.
 */
#ifndef NS_SHARD_H
#define NS_SHARD_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "datasets/decode/decode.h"
#include "host/run/run.h"
#include "kernels/status.h"
#include "datasets/h5/h5.h"

/*
 * --- shard: one HDF5 file of images, nightshift.shard/1 (docs/formats.md).
 */

#define NS_CHECKSUM_BLOCK ((size_t)1 << 20) /* bytes under one checksum */
#define NS_SHARD_ROWS	  16777216	    /* at most: its columns are held in memory */

/* What each row's file was, before it was decoded and scaled: columns file_height and so on, (rows) each. */
struct ns_row_files {
	int32_t *height, *width, *channels; /* as stored in the file */
	int64_t *bytes;
	int32_t *format;      /* index into the head's formats */
	int32_t *orientation; /* of EXIF, 1 to 8 */
	int64_t *captured;    /* EXIF's time, as if it were UTC; 0: not said */
	int32_t *camera;      /* index into the head's cameras; -1: not said */
	int32_t *position;    /* 1: EXIF says where it was taken; the place is not kept */
	uint8_t *sha256;      /* (rows, 32): of the file's bytes */
};

/* Rows to be written into a shard, or the small columns of one that was opened. */
struct ns_rows {
	int64_t rows;
	int32_t *label, *group;
	uint64_t *id;
	int64_t *time;
	uint64_t *source_offset; /* (rows + 1) into source; NULL: none */
	uint8_t *source;
	uint64_t *annotation_offset; /* (rows + 1) into annotation, JSON of each row, of no bytes where nothing was said; NULL: none has any */
	uint8_t *annotation;
	struct ns_row_files files; /* all NULL: not kept, as of rows that were no files */
};

struct ns_shard_head {
	char encoding[8];	   /* raw, or files as they came: jpeg, png, or files, which are of any kinds */
	int as_stored, background; /* how files are decoded: the options of ns_decode() */
	char dataset[128];
	char **classes, **groups, **formats, **cameras; /* formats and cameras of its rows' files */
	int class_count, group_count, format_count, camera_count;
	int h, w, c; /* of raw images; 0 where encoded */
};

struct ns_shard {
	char *path;
	struct ns_shard_head head;
	struct ns_rows rows;
	int64_t *at;		/* (rows): the row in the file, of a shard of which some were chosen; NULL: all are there */
	uint64_t *image_offset; /* (rows of the file + 1), encoded only */
	int64_t image_at;	/* byte in the file; -1: chunked, read through HDF5 */
	int64_t image_bytes;
	struct ns_handle *handle; /* open while it is read */
	uint64_t *checksum;
	int64_t checksums;
};

/* A file alone: looked at in a child process first (datasets/h5/h5.h), then opened. */
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
enum ns_status ns_shard_read_encoded(const struct ns_shard *shard, int64_t row, uint8_t **buffer, size_t *capacity, size_t *bytes);
/* Read all image bytes, however they are stored, and compare their checksums. A foreign shard without checksums passes. */
enum ns_status ns_shard_verify(const struct ns_shard *shard);
const char *ns_shard_source(const struct ns_shard *shard, int64_t row, size_t *len);

/* Write rows with their images (raw pixels end to end, or encoded files with offsets) as a new file. */
enum ns_status ns_shard_write(const char *path, const struct ns_shard_head *head, const struct ns_rows *rows, const uint8_t *image,
			      const uint64_t *image_offset);

void ns_rows_release(struct ns_rows *rows);
/* Room for what the files of n rows were. */
enum ns_status ns_rows_add_files(struct ns_rows *rows, int64_t n);

/*
 * --- dataset: shards as one data set, and views of its rows.
 */

struct ns_dataset {
	char *path;
	struct ns_shard **shards;    /* NULL where another task of an array reads it */
	const struct ns_shard *head; /* the first that is open */
	int count, alone;	     /* alone: a single file, and no folder */
	int64_t rows, *first;	     /* first[s]: global number of shard s's first row; first[count] = rows */
	char digest[NS_SHA256_HEX];  /* of a list of several: of `list` */
	char name[128];
	json_t *list; /* nightshift.sets/1 without paths; NULL: it is a folder or a file, or a list of one of those as it is */
};

/*
 * Collective (job NULL: alone). A folder with dataset.json, or a single shard. Every digest that dataset.json states is verified before libhdf5
 * reads a byte: NS_DIGEST where a shard or the list was changed. Classes, encoding and sizes must agree between shards.
 * mine: a task of an array reads only its own shards, and the first.
 *
 * Or a list of them, nightshift.sets/1 (docs/formats.md), which is read as one data set: of each its rows, or those that the list names, with their
 * labels, or those that the list gives them. Labels are by the list's classes, or else by those of the first set that has any; what is of no class of
 * these is unlabelled. Images must be all raw and of one size, or all files.
 */
enum ns_status ns_dataset_open(struct ns_job *job, struct ns_dataset **data, const char *path, int mine);
/* a data set or a single shard: images, and neither predictions nor a user's columns beside them */
enum ns_status ns_dataset_is(const char *path, int *is);
void ns_dataset_close(struct ns_dataset *data);
/* Collective: the checksums of a single file, which has no digest to be compared with; a folder's were when it was opened. */
enum ns_status ns_dataset_verify(struct ns_job *job, const struct ns_dataset *data);
const struct ns_shard_head *ns_dataset_head(const struct ns_dataset *data);
/* which shard holds global row `row`; *in_shard is its number there */
const struct ns_shard *ns_dataset_at(const struct ns_dataset *data, int64_t row, int64_t *in_shard);
int32_t ns_dataset_label(const struct ns_dataset *data, int64_t row);
uint64_t ns_dataset_id(const struct ns_dataset *data, int64_t row);
/*
 * One row as (h, w, c) pixels: raw rows as they are (their size must match), encoded ones decoded, scaled to cover
 * and cropped in the middle. buffer, capacity: scratch that grows; the caller frees it.
 */
enum ns_status ns_dataset_pixels(const struct ns_dataset *data, int64_t row, int h, int w, int c, uint8_t *pixels, uint8_t **buffer,
				 size_t *capacity);
/* One row whole, as it was seen: its own size, c channels. *pixels: of the caller. */
enum ns_status ns_dataset_image(const struct ns_dataset *data, int64_t row, int c, int *h, int *w, uint8_t **pixels, uint8_t **buffer,
				size_t *capacity);
/* Are its images files as they came, and not raw pixels? */
int ns_dataset_has_files(const struct ns_dataset *data);
/*
 * One row of such a set: of its image, h x w as it stands upright, choose() says which part is wanted, and that is scaled to (h, w, c) pixels; where it
 * returns 0, as ns_dataset_pixels().
 */
typedef int (*ns_part_choice)(void *context, int h, int w, struct ns_part *part);
enum ns_status ns_dataset_part(const struct ns_dataset *data, int64_t row, ns_part_choice choose, void *context, int h, int w, int c, uint8_t *pixels,
			       uint8_t **buffer, size_t *capacity);
/* NS_BAD_DATA with both lists unless the class names are the same in the same order */
enum ns_status ns_classes_agree(const char *const *a, int na, const char *where_a, const char *const *b, int nb, const char *where_b);

/*
 * Collective: dataset.json in job->dir/`folder` (or job->dir itself where folder is NULL) over the `count` shards
 * that lie there.
 */
enum ns_status ns_dataset_publish(struct ns_job *job, const char *folder, const char *name, int count, json_t *parents, json_t *made);

/* first 8 bytes, big-endian, of the SHA-256 of the pixels followed by h, w, c as little-endian u32 */
enum ns_status ns_pixel_id(const uint8_t *pixels, int h, int w, int c, uint64_t *id);
/* The same for who computes several digests at once: what follows the pixels, and the id of the digest. */
enum { NS_PIXEL_TAIL = 12 };
void ns_pixel_tail(int h, int w, int c, unsigned char tail[NS_PIXEL_TAIL]);
uint64_t ns_pixel_id_of(const unsigned char digest[32]);

/* --- views: rows of one or more data sets, relabelled and repeated --- */

struct ns_pick {
	int64_t row;
	int32_t label;
	uint16_t set, repeat; /* repeat: 0 for a row's first appearance */
};

struct ns_view {
	struct ns_dataset **sets; /* borrowed */
	int set_count;
	struct ns_pick *picks; /* NULL: all rows of sets[0] as they are */
	int64_t rows;
};

void ns_view_get(const struct ns_view *view, int64_t index, struct ns_pick *pick);
void ns_view_release(struct ns_view *view);

#endif
