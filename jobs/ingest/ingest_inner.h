/* jobs/ingest/ingest_inner.h - one ingestion, shared by ingest.c and plan.c. */
#ifndef NS_INGEST_INNER_H
#define NS_INGEST_INNER_H

#include "datasets/decode/decode.h"
#include "datasets/shard/shard.h"
#include "datasets/source/source.h"
#include "jobs/ingest/ingest.h"

struct ns_ingest_set { /* one data set to write */
	char name[128];
	int64_t first, rows, labelled; /* positions; labelled -1: all */
	int64_t *items;		       /* of a split that was found: its items; NULL: positions from first on */
	int shards;
};

struct ns_ingest {
	struct ns_job *job;
	/* settings, of the keys in the table of ingest.c */
	const char *name, *group, *group_by, *size, *wanted; /* wanted: auto, raw or encoded; name and size may be NULL */
	const char *like;				     /* folder of a data set or a model whose classes these are, or NULL */
	const char *splits;				     /* auto, pool, or the name of one */
	const char *follow;				     /* a list of what was taken before, or NULL */
	struct ns_follow *before;			     /* what it says */
	const char *orientation, *behind;		     /* exif or ignore; colour behind what is transparent, NULL: alpha is dropped */
	int64_t max_pixels;
	double refuse_share;
	int keep_gps; /* where images were taken */
	const json_t *split, *labelled, *classes;
	uint64_t seed;
	int64_t shard_rows, image_bytes; /* image_bytes: of a stored image, or their mean */
	struct ns_source source;
	struct ns_ingest_set sets[32];
	int set_count, permuted, folders, raw, sized, files; /* folders: each set has its own; sized: --size was given, images are scaled to it */
	char first_reason[512];				     /* why the first image was refused here */
	int h, w, c;					     /* of raw images */
	const char *encoding;				     /* of files as they came: jpeg, png or files */
	int as_stored, background;			     /* of ns_decode() */
	/* images that were taken here: with an EXIF orientation, with transparency, with a colour profile, with a decoder's warnings */
	int64_t turned, transparent, profiles, warned;
	int64_t refused, taken, grouped; /* grouped: rows that have what group_by names */
	char *quarantine;		 /* a line of JSON for each image that was refused here */
	size_t quarantine_bytes, quarantine_capacity;
};

/* an item on its way into a shard */
struct ns_taken {
	struct ns_item item; /* its data are NULL; they are in `data` */
	int64_t number;
	int keep_label;
	enum ns_status status; /* NS_BAD_DATA: `said` is why */
	char said[1024];
	char *annotation;	/* or NULL */
	uint8_t *data, *pixels; /* the file's bytes or pixels; what was made of them, or NULL */
	int h, w, c;		/* of the pixels that its id is of: `pixels`, or `data` */
	const uint8_t *stored;	/* one of the two: what the shard keeps */
	size_t stored_bytes;
	struct ns_image image;
	uint64_t id;
	unsigned char sha256[32]; /* of a file */
};

enum { NS_BATCH_CAMERAS = 4096, NS_BATCH_GROUPS = 4096 };

struct ns_batch {     /* a shard being filled */
	int64_t most; /* rows that there may be */
	struct ns_rows rows;
	struct ns_vocabulary formats, cameras, groups; /* of its files; of cameras those beyond the first are not said */
	const char *group, *group_by;		       /* of a row: what the annotation says under group_by, if it is given, else group */
	int64_t grouped;
	uint8_t *image;
	uint64_t *offset;
	size_t bytes, capacity, source_capacity, annotation_capacity;
};

/* image_bytes: about how many an image is stored in; files: they are kept with what their files were */
enum ns_status ns_batch_init(struct ns_batch *b, int64_t rows, int64_t image_bytes, int files);
void ns_batch_release(struct ns_batch *b);
enum ns_status ns_batch_append(struct ns_batch *b, const struct ns_taken *t);
/* Takes n items, pairs of number and whether the label is kept, into the batch; before: of items that went before, for those who wait. */
enum ns_status ns_ingest_take(struct ns_ingest *g, struct ns_batch *b, const int64_t *items, int64_t n, int64_t before);

/* After its id is known: the file that will be kept says nothing of where it was taken. NS_BAD_DATA: its pixels would suffer. */
enum ns_status ns_ingest_forget_place(const struct ns_ingest *g, struct ns_taken *t);
/* Adds "gps": [latitude, longitude] to the annotation. */
enum ns_status ns_ingest_add_place(struct ns_taken *t);
/* Decides from the configuration and the first images how images are stored: raw or encoded, and their size. */
enum ns_status ns_ingest_encoding(struct ns_ingest *g);
/* Decides from ingest.name or ingest.split which data sets are written. */
enum ns_status ns_ingest_sets(struct ns_ingest *g);

/* *p, of *capacity bytes, holds `need` bytes afterwards; p is the address of a pointer. */
enum ns_status ns_ingest_grow(void *p, size_t *capacity, size_t need);
/* A line of this rank's quarantine. */
enum ns_status ns_ingest_refuse(struct ns_ingest *g, const struct ns_taken *t);
enum ns_status ns_ingest_write_quarantine(const struct ns_ingest *g);
/* Rank 0: joins every rank's quarantined images in one file. */
enum ns_status ns_ingest_join_quarantine(struct ns_ingest *g);
/* passed.jsonl: what was seen in the source and is neither a row nor in quarantine */
enum ns_status ns_ingest_write_passed(const struct ns_ingest *g);
/* What the source was taken for, before the work begins. */
void ns_ingest_tell_source(const struct ns_ingest *g);
/* sums, over all ranks: images taken, refused, with an orientation, with transparency, with a profile, with warnings, with a group of group_by's */
void ns_ingest_tell_done(const struct ns_ingest *g, const int64_t sums[7]);
/* NS_BAD_DATA: more were refused than ingest.refuse_share. */
enum ns_status ns_ingest_check_share(const struct ns_ingest *g, const int64_t sums[7]);

#endif
