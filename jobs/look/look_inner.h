/* jobs/look/look_inner.h - what is found out about the sets, shared by the files of this room. */
#ifndef NS_LOOK_INNER_H
#define NS_LOOK_INNER_H

#include "datasets/shard/shard.h"
#include "host/report/report.h"
#include "jobs/look/look.h"

enum {
	NS_LOOK_SETS = 32,     /* of a folder, as many as ingest writes */
	NS_LOOK_TOP = 10,      /* rows of each kind of strangeness */
	NS_LOOK_BINS = 20,     /* of a histogram */
	NS_LOOK_SIDE = 256,    /* the longer side at which files are decoded to be measured */
	NS_LOOK_THUMB = 96,    /* the longer side on the page */
	NS_LOOK_DRAWN = 8,     /* images of a class on the contact sheet */
	NS_LOOK_UNNAMED = 48,  /* of a set without classes */
	NS_LOOK_CLASSES = 100, /* on the contact sheet */
	NS_LOOK_REASONS = 100  /* kinds of refusals; what is beyond is summed */
};
#define NS_LOOK_MILLION 1000000 /* measures of an image are kept in millionths, as whole numbers that add up in any order */

enum ns_look_odd { NS_LOOK_DARKEST, NS_LOOK_BRIGHTEST, NS_LOOK_FLATTEST, NS_LOOK_COLOURED, NS_LOOK_ODD };

/* What one pass over the pixels adds up. It has no member but int64_t, because ranks exchange it as an array of these. */
struct ns_look_measures {
	int64_t images, brightness, contrast, saturation; /* sums of millionths */
	int64_t square_high, square_low;		  /* of brightness: squares' sum in two parts, 2^20 high + low */
	int64_t bins[NS_LOOK_BINS];			  /* of brightness from 0 to 1 */
	int64_t found[NS_LOOK_ODD];
	struct ns_look_place {
		int64_t key, row; /* the smallest keys, in rising order; of equal ones the first rows */
	} top[NS_LOOK_ODD][NS_LOOK_TOP];
};

struct ns_look_key {
	uint64_t id;
	int64_t row;
};

struct ns_look_set {
	char folder[256]; /* below the folder of sets; "": the set itself was named */
	struct ns_dataset *data;
	struct ns_look_measures measures;
	struct ns_look_key *ids; /* of all rows, by id and row; rank 0's */
	json_t *figures;	 /* its part of look.json; rank 0's */
};

struct ns_look_job {
	struct ns_job *job;
	const char *path;
	struct ns_look_set sets[NS_LOOK_SETS];
	int count, folder; /* folder: the sets are folders below path */
	json_t *all;	   /* look.json; rank 0's */
};

/* Collective. One pass over the pixels of a set, each rank its shards; every rank gets the sums of all. */
enum ns_status ns_look_measure(struct ns_job *job, struct ns_look_set *set);
/* Adds a place to a list of the `most` smallest keys, in rising order, of equal keys the first rows; whatever the order in which they come. */
void ns_look_keep(struct ns_look_place *list, int64_t *n, int64_t most, struct ns_look_place p);
/* Sizes of row i of a shard as pixels: raw rows have theirs; of a file the longer side becomes `side`, unless it is shorter. */
void ns_look_size(const struct ns_shard *s, int64_t i, int side, int *h, int *w, int *c);

/* set->figures: everything that is told of one set */
enum ns_status ns_look_figures(struct ns_look_set *set);
/* What the rows' files were; null where no shard says. */
enum ns_status ns_look_files(const struct ns_look_set *set, json_t **json);
/* Sorts set->ids, and counts rows that another row equals. conflicts: the first of the images that are in several classes. */
enum ns_status ns_look_same(struct ns_look_set *set, json_t **duplicates, json_t **conflicts);
/* Pairs of sets, and what images both have. */
enum ns_status ns_look_between(const struct ns_look_job *look, json_t **json);
/* The largest, smallest and strangest rows; and the rows of the contact sheet, class by class. */
enum ns_status ns_look_strange(const struct ns_look_set *set, json_t **json);
enum ns_status ns_look_sheet(const struct ns_look_set *set, json_t **json);
/* The lines of `name` beside path, or in the folder above it, by reason; null where there is no such file. */
enum ns_status ns_look_refused(const char *path, const char *name, json_t **json);

/* {row, class, source}: class is null without a label */
json_t *ns_look_row(const struct ns_dataset *data, int64_t row);
/* the name of a row's class; NULL without a label */
const char *ns_look_class(const struct ns_dataset *data, int64_t row);
/* Counts by name: adds n to one; and a list [{name, rows}] by falling rows, of at most `most` (0: all). */
void ns_look_tally(json_t *tally, const char *name, int64_t n);
json_t *ns_look_ranked(const json_t *tally, size_t most);

/* Texts for people: 1234567 as 1,234,567; bytes as 1.2 MiB; seconds since 1970 as a date. */
const char *ns_look_number(char text[32], int64_t n);
const char *ns_look_bytes(char text[32], double bytes);
const char *ns_look_time(char text[32], int64_t seconds);

/* What is told on the terminal, and the page, both from look.json. */
void ns_look_tell(const struct ns_look_job *look);
enum ns_status ns_look_page(const struct ns_look_job *look, const char *path);
/* Sections of the page that show images: the contact sheet, and what is strange; each within its share of the page's bytes. */
enum ns_status ns_look_page_sheet(struct ns_html *h, const struct ns_look_job *look, const struct ns_look_set *set);
enum ns_status ns_look_page_strange(struct ns_html *h, const struct ns_look_job *look, const struct ns_look_set *set);
enum ns_status ns_look_page_leaks(struct ns_html *h, const struct ns_look_job *look);

/* Rank 0: tells what an ONNX file is. */
enum ns_status ns_look_onnx(struct ns_job *job, const char *path);

#endif
