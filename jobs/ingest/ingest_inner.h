/* jobs/ingest/ingest_inner.h - one ingestion, shared by ingest.c and plan.c. */
#ifndef NS_INGEST_INNER_H
#define NS_INGEST_INNER_H

#include "datasets/source/source.h"
#include "jobs/ingest/ingest.h"

struct ns_ingest_set { /* one data set to write */
	char name[128];
	int64_t first, rows, labelled; /* positions; labelled -1: all */
	int shards;
};

struct ns_ingest {
	struct ns_job *job;
	/* settings, of the keys in the table of ingest.c */
	const char *name, *group, *size, *wanted; /* wanted: auto, raw or encoded; name and size may be NULL */
	const char *orientation, *behind;	  /* exif or ignore; colour behind what is transparent, NULL: alpha is dropped */
	int64_t max_pixels;
	double refuse_share;
	const json_t *split, *labelled, *classes;
	uint64_t seed;
	int64_t shard_rows;
	struct ns_source source;
	struct ns_ingest_set sets[32];
	int set_count, permuted, raw, sized; /* sized: --size was given, images are scaled to it */
	char first_reason[512];		     /* why the first image was refused here */
	int h, w, c;			     /* of raw images */
	const char *encoding;		     /* of files as they came: jpeg, png or files */
	int as_stored, background;	     /* of ns_decode() */
	/* images that were taken here: with an EXIF orientation, with transparency, with a colour profile, with a decoder's warnings */
	int64_t turned, transparent, profiles, warned;
	int64_t refused, taken;
	char *quarantine; /* a line of JSON for each image that was refused here */
	size_t quarantine_bytes, quarantine_capacity;
};

/* Decides from the configuration and the first images how images are stored: raw or encoded, and their size. */
enum ns_status ns_ingest_encoding(struct ns_ingest *g);
/* Decides from ingest.name or ingest.split which data sets are written. */
enum ns_status ns_ingest_sets(struct ns_ingest *g);

#endif
