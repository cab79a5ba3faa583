/*
 * datasets/source/arrays_inner.h - images that are rows of an array, as NumPy and HDF5 store them, beside an array of their labels. What is taken:
 * images of uint8 (N,H,W), (N,H,W,C) or (N,C,H,W) with C 1 or 3; labels of N whole numbers or texts.
 *
 * A kind fills in what arrays its file has, lets them be planned, gives the labels' values, and reads one row when it is asked for.
 */
#ifndef NS_SOURCE_ARRAYS_INNER_H
#define NS_SOURCE_ARRAYS_INNER_H

#include "datasets/source/source.h"

#define NS_ARRAY_RANK	   8
#define NS_ARRAY_SIDE	   16384
#define NS_ARRAY_TEXT	   4096 /* bytes of a label */
#define NS_ARRAY_PREAMBLE  12	/* bytes of a .npy that say how long its header is */
#define NS_ARRAY_CLASS_MAX ((int64_t)1 << 20)

enum ns_array_role { NS_ARRAY_NEITHER, NS_ARRAY_IMAGES, NS_ARRAY_LABELS };

struct ns_array {
	char *key;     /* its name in the file, or the path of the file that it is alone in */
	char kind;     /* NumPy's letter: u, i, b, f, S, U, O; '?': any other */
	char type[32]; /* for messages: uint8, float32 */
	int bytes;     /* of a value */
	int big;       /* big-endian */
	int fortran;   /* the first index runs fastest */
	int rank;      /* of more than NS_ARRAY_RANK sizes the rest is not kept */
	int64_t dims[NS_ARRAY_RANK];
	int64_t number;	 /* by which the kind finds it again */
	uint64_t offset; /* of its first value in the file */
	uint8_t *data;	 /* the values, where the kind had to read them already */
};

/* --- arrays_header.c --- */

/* What a .npy begins with: where its header is, and of how many bytes. NS_BAD_DATA: it is none. */
enum ns_status ns_array_preamble(const char *where, const uint8_t head[NS_ARRAY_PREAMBLE], size_t *offset, size_t *bytes);
/* Reads a header, a Python dictionary that is ended by 0, into kind, type, bytes, big, fortran, rank and dims. */
enum ns_status ns_array_header(const char *where, const char *text, struct ns_array *array);
/* How many bytes its values have; -1: more than 2^62. */
int64_t ns_array_bytes(const struct ns_array *array);
/* "uint8 (60000, 28, 28)", for messages */
#define NS_ARRAY_SAID 256
const char *ns_array_said(const struct ns_array *array, char said[NS_ARRAY_SAID]);

/* --- arrays.c --- */

struct ns_array_set {				/* the images of one split */
	const struct ns_array *images, *labels; /* labels: NULL where there are none */
	int split;				/* -1: none */
	int64_t first, n;			/* its items */
	int h, w, c, chw;			/* chw: channels come first */
};

struct ns_arrays {
	struct ns_array *array; /* all of the file */
	int count;
	int keyed; /* the file holds arrays by key */
	struct ns_array_set *set;
	int set_count;
	int64_t *number; /* of each item, -1: none; or NULL */
	char **text;	 /* of each item, or NULL */
	int32_t *label;	 /* of each item, or NULL */
	uint8_t *row, *turned;
	size_t row_bytes; /* of the largest image */
};

/* Another array, empty but for its key, to be filled in; what was added before may move. */
enum ns_status ns_arrays_add(struct ns_arrays *arrays, const char *key, struct ns_array **added);
/* "FILE[KEY]", or the file's path where it holds one array. */
void ns_arrays_where(const struct ns_source *source, const struct ns_arrays *arrays, const struct ns_array *array, char where[NS_ARRAY_TEXT]);
/* Adds a set, whose array may not move any more: checks both arrays' types and sizes, adds its items, and notes what the images are taken for. */
enum ns_status ns_arrays_add_set(struct ns_source *source, struct ns_arrays *arrays, const struct ns_array *images, const struct ns_array *labels,
				 int split);
/* The label's value of a row; NS_BAD_DATA where no label can be so. */
enum ns_status ns_arrays_number(struct ns_source *source, struct ns_arrays *arrays, const struct ns_array_set *set, int64_t row, int64_t value);
enum ns_status ns_arrays_text(struct ns_source *source, struct ns_arrays *arrays, const struct ns_array_set *set, int64_t row, const char *text);
/* The same of n rows from `row` on, as a .npy stores them. */
enum ns_status ns_arrays_values(struct ns_source *source, struct ns_arrays *arrays, const struct ns_array_set *set, int64_t row, int64_t n,
				const uint8_t *data);
/* After all values: finds classes and labels. */
enum ns_status ns_arrays_label(struct ns_source *source, struct ns_arrays *arrays);
/* Memory for a row, once the kind has seen that the file holds so many bytes. */
enum ns_status ns_arrays_make_row(struct ns_source *source, struct ns_arrays *arrays);
/* An item, whose row `read` puts into arrays->row. */
typedef enum ns_status ns_arrays_read_fn(struct ns_source *source, const struct ns_array_set *set, int64_t row);
enum ns_status ns_arrays_get(struct ns_source *source, struct ns_arrays *arrays, int64_t item, struct ns_item *out, ns_arrays_read_fn *read);
void ns_arrays_release(struct ns_arrays *arrays);

/* --- arrays_keys.c --- */

/* What an array is by its key: images, x, X, data.. and labels, y, target.., with the name of a split before or behind it, or as its folder. */
enum ns_array_role ns_arrays_role(const char *key);
/* Decides which arrays are the images and labels of which split; the rest is passed over. NS_BAD_DATA: none are images. */
enum ns_status ns_arrays_plan(struct ns_source *source, struct ns_arrays *arrays);

#endif
