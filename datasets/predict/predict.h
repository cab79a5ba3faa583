/*
 * datasets/predict/predict.h - predictions and their matrices, and what a retrain manifest selected.
 */
#ifndef NS_PREDICT_H
#define NS_PREDICT_H

#include <hdf5.h>
#include <stdint.h>
#include <sys/stat.h>

#include "host/run/run.h"
#include "kernels/status.h"

/*
 * --- matrix: rows of floats that need not fit into memory: data sets of HDF5 files, concatenated, a .npy file, or memory.
 *
 * What is stored as little-endian float32 in one piece is read by pread, by any number of threads; anything else (chunks, filters, other
 * types) through HDF5, which serves one at a time. Files are open only while they are read, and must not change meanwhile: NS_DIGEST.
 * Zeroed is empty: a matrix that is not there has d = 0.
 */

struct ns_matrix {
	int64_t rows;
	int d;
	float *data; /* (rows, d), owned; NULL: in `parts` */
	struct ns_matrix_part *parts;
	int part_count;
	struct ns_matrix_open *open;
};

void ns_matrix_release(struct ns_matrix *m);
/* Append the `rows` rows of a data set; d must be that of the rows before. The file, whose status is `st`, may be closed afterwards. */
enum ns_status ns_matrix_add_h5(struct ns_matrix *m, hid_t file, const char *path, const char *name, int64_t rows, const struct stat *st);
/* Read and drop all rows that libhdf5 has to unpack from `file`, the matrix' only part, to see that they can be read. */
enum ns_status ns_matrix_look(const struct ns_matrix *m, hid_t file);
/* a file of numpy.save(): a matrix of little-endian float32 or float64 in C order */
enum ns_status ns_matrix_add_npy(struct ns_matrix *m, const char *path);
/* rows [first, first + n) into out (n, d); any thread */
enum ns_status ns_matrix_read(const struct ns_matrix *m, int64_t first, int64_t n, float *out);
/* the rows with these numbers, in their order, into out (n, d) */
enum ns_status ns_matrix_pick(const struct ns_matrix *m, const int64_t *row, int64_t n, float *out);
/* the file that holds a row, for messages; "" in memory */
const char *ns_matrix_path(const struct ns_matrix *m, int64_t row);

/*
 * --- predictions: of a model for a data set, nightshift.predictions/1; also any HDF5 file that
 * has some of the same columns (a user's own embeddings are enough).
 */

struct ns_predictions { /* columns over all files; NULL where missing */
	int64_t rows;
	uint64_t *id;
	int32_t *label, *pred, *group;
	int64_t *time;
	float *weight; /* of labelled rows, inversely to the chances with which they were drawn; NULL: all had the same */
	struct ns_matrix prob, embedding, stats, monitor; /* (N, classes), (N, D), (N, S), (N, M); d = 0 where missing; they stay in their files */
	struct ns_vocabulary groups;			  /* their names, of which group is an index; none: groups have numbers alone */
	int class_names;
	char **names, **stats_names, **monitor_names; /* class_names, stats_named and monitor_named of them */
	int stats_named, monitor_named;
	char task[16]; /* what the model does; "": classify */
	/* of another task: JSON of each row's answer, of bytes result_offset[i] to result_offset[i + 1] (rows + 1). Read where `results` was asked for. */
	uint64_t *result_offset;
	char *result;
	int results;
	/* weights: of the model's parameters, also where the model itself has no digest yet (a baseline is part of it) */
	char model[NS_SHA256_HEX], weights[NS_SHA256_HEX], dataset[NS_SHA256_HEX], digest[NS_SHA256_HEX];
	double temperature;
};

/* Are x (n, classes), read of rows from `first` on, probabilities? */
enum ns_status ns_predictions_check_prob(const struct ns_predictions *p, int64_t first, int64_t n, const float *x);
/* Probabilities of rows [first, first + n), which are checked to be such; out (n, classes). Any thread. */
enum ns_status ns_predictions_prob(const struct ns_predictions *p, int64_t first, int64_t n, float *out);
/*
 * A folder with predictions.json, one HDF5 file, or embeddings alone in a .npy file. Digests that predictions.json states are verified first, and a
 * child process looks at each HDF5 file before libhdf5 sees it here.
 */
enum ns_status ns_predictions_open(struct ns_predictions *p, const char *path);
/* The same with the rows' answers: NS_BAD_DATA where there are none. */
enum ns_status ns_predictions_open_results(struct ns_predictions *p, const char *path);
void ns_predictions_release(struct ns_predictions *p);
/*
 * Rows of one group whose times follow within so many seconds: *block (rows), their sequence; *count of them. Needs group and time. Of no seconds there are
 * none, and *block is NULL.
 */
enum ns_status ns_predictions_sequences(const struct ns_predictions *p, double seconds, int32_t **block, int64_t *count);
/* The same of columns: group and time (rows). */
enum ns_status ns_sequences(const int32_t *group, const int64_t *time, int64_t rows, double seconds, int32_t **block, int64_t *count);
/* By what times are to be divided so that they are seconds since 1970: what would be a year beyond 5000 is milliseconds, or less. */
int64_t ns_time_divisor(const int64_t *time, int64_t rows);
/* Write one file. Rows and columns as in `p`; matrices are in memory. */
enum ns_status ns_predictions_write(const char *path, const struct ns_predictions *p);

/* --- what a retrain manifest selected, nightshift.selection/1 --- */

enum { NS_LABEL_HUMAN, NS_LABEL_MODEL };

struct ns_selection {
	int64_t rows;
	uint32_t *set; /* which of the manifest's data sets */
	uint64_t *row, *id;
	int32_t *label;
	uint8_t *source;  /* NS_LABEL_* */
	uint32_t *repeat; /* how many times an epoch shows it */
};

enum ns_status ns_selection_alloc(struct ns_selection *s, int64_t rows);
void ns_selection_release(struct ns_selection *s);
enum ns_status ns_selection_write(const char *path, const struct ns_selection *s);
enum ns_status ns_selection_read(const char *path, struct ns_selection *s);

#endif
