/*
 * datasets/predictions.h - what a model said of a data set, nightshift.predictions/1; also any HDF5 file that
 * has some of the same columns (a user's own embeddings are enough).
 */
#ifndef NS_PREDICTIONS_H
#define NS_PREDICTIONS_H

#include "datasets/matrix.h"
#include "host/job.h"

struct ns_predictions { /* columns over all files; NULL where missing */
	int64_t rows;
	uint64_t *id;
	int32_t *label, *pred, *group;
	int64_t *time;
	struct ns_matrix prob, embedding, stats; /* (N, classes), (N, D), (N, S); d = 0 where missing; they stay in their files */
	int class_names;
	char **names, **stats_names; /* class_names and stats_named of them */
	int stats_named;
	/* weights: of the model's parameters, also where the model itself has no digest yet (a baseline is part of it) */
	char model[NS_SHA256_HEX], weights[NS_SHA256_HEX], dataset[NS_SHA256_HEX], digest[NS_SHA256_HEX];
	double temperature;
};

/* Are x (n, classes), read of rows from `first` on, probabilities? */
enum ns_status ns_predictions_are(const struct ns_predictions *p, int64_t first, int64_t n, const float *x);
/* Probabilities of rows [first, first + n), which have been seen to be such; out (n, classes). Any thread. */
enum ns_status ns_predictions_prob(const struct ns_predictions *p, int64_t first, int64_t n, float *out);
/*
 * A folder with predictions.json, one HDF5 file, or embeddings alone in a .npy file. Digests that predictions.json gives are computed first, and a
 * child process looks at each HDF5 file before libhdf5 sees it here.
 */
enum ns_status ns_predictions_open(struct ns_predictions *p, const char *path);
void ns_predictions_release(struct ns_predictions *p);
/* Write one file. Rows and columns as in `p`; matrices are in memory. */
enum ns_status ns_predictions_write(const char *path, const struct ns_predictions *p);

/* --- what a retrain manifest selected, nightshift.selection/1 --- */

enum { NS_LABEL_HUMAN, NS_LABEL_MODEL };

struct ns_selection {
	int64_t rows;
	uint32_t *set;	   /* which of the manifest's data sets */
	uint64_t *row, *id;
	int32_t *label;
	uint8_t *source;   /* NS_LABEL_* */
	uint32_t *repeat; /* how many times an epoch shows it */
};

enum ns_status ns_selection_alloc(struct ns_selection *s, int64_t rows);
void ns_selection_release(struct ns_selection *s);
enum ns_status ns_selection_write(const char *path, const struct ns_selection *s);
enum ns_status ns_selection_read(const char *path, struct ns_selection *s);

#endif
