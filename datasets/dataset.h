/*
 * datasets/dataset.h - shards as one data set, and views of its rows.
 */
#ifndef NS_DATASET_H
#define NS_DATASET_H

#include <jansson.h>

#include "datasets/shard.h"
#include "host/job.h"

struct ns_dataset {
	char *path;
	struct ns_shard **shards; /* NULL where another task of an array reads it */
	const struct ns_shard *head; /* the first that is open */
	int count, alone;	     /* alone: a single file, and no folder */
	int64_t rows, *first; /* first[s]: global number of shard s's first row; first[count] = rows */
	char digest[NS_SHA256_HEX];
	char name[128];
};

/*
 * Collective (job NULL: alone). A folder with dataset.json, or a single shard. Every digest that dataset.json gives is computed before libhdf5
 * sees a byte: NS_DIGEST where a shard or the list is not what it was. Classes, encoding and sizes must agree between shards.
 * mine: of an array's task, only the shards that are its own are read.
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
 * and cropped in the middle. buffer, room: scratch that grows; the caller frees it.
 */
enum ns_status ns_dataset_pixels(const struct ns_dataset *data, int64_t row, int h, int w, int c, uint8_t *pixels,
				 uint8_t **buffer, size_t *room);
/* NS_BAD_DATA with both lists unless the class names are the same in the same order */
enum ns_status ns_classes_agree(const char *const *a, int na, const char *where_a, const char *const *b, int nb,
				const char *where_b);

/*
 * Collective: dataset.json in job->dir/`folder` (or job->dir itself where folder is NULL) over the `count` shards
 * that lie there.
 */
enum ns_status ns_dataset_publish(struct ns_job *job, const char *folder, const char *name, int count,
				  json_t *parents, json_t *made);

/* first 8 bytes, big-endian, of the SHA-256 of the pixels followed by h, w, c as little-endian u32 */
uint64_t ns_pixel_id(const uint8_t *pixels, int h, int w, int c);

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
