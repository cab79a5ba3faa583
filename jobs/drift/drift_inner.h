/* jobs/drift/drift_inner.h - shared by the files of the drift job: tests, slices, the verdict, past nights, the page, the manifest. */
#ifndef NS_DRIFT_DRIFT_INNER_H
#define NS_DRIFT_DRIFT_INNER_H

#include "jobs/drift/drift.h"
#include "datasets/predict/predict.h"

/* DESCRIPTIVE: measured, takes no part in the decision. UNTESTED: could not be measured, the note says why. */
enum ns_drift_status { NS_DRIFT_NONE, NS_DRIFT_STATISTICAL, NS_DRIFT_MATERIAL, NS_DRIFT_HARMFUL, NS_DRIFT_UNTESTED, NS_DRIFT_DESCRIPTIVE };

/* a detector: a row of the table in detectors.c */
struct ns_drift_detector {
	const char *name;
	int decides; /* its p-values are corrected together and decide */
	const char *title, *statistic, *effect, *meaning, *source;
};
extern const struct ns_drift_detector ns_drift_detectors[];
const struct ns_drift_detector *ns_drift_detector(const char *name); /* name: one of the table */

#define NS_SELF_TEST_KINDS 6 /* of the self-test: ks, cvm, chi2, mmd, c2st, and all that decide */
#define NS_SLICE_NAME	   48
#define NS_HISTOGRAM_BINS  30
#define NS_HISTOGRAM_ROWS  20000
#define NS_SLICE_ROWS	   30 /* on both sides, for a slice to be tested */

struct ns_drift_test {
	char column[64], slice[NS_SLICE_NAME]; /* slice: empty for all rows */
	int of;				       /* index of its slice; -1: all rows */
	const char *kind;		       /* input, output, embedding */
	const struct ns_drift_detector *method;
	double statistic, p, p_adjusted, effect, effect_low, effect_high;
	enum ns_drift_status status;
	const char *note;			      /* why it was not tested, or how to read it */
	int broken;				      /* the current window has values that are not finite, the reference has none */
	struct ns_histogram {			      /* of a column in the reference and in the current window */
		double ref_mean, cur_mean, low, high; /* low = high: no histogram */
		int32_t ref[NS_HISTOGRAM_BINS], cur[NS_HISTOGRAM_BINS]; /* of up to NS_HISTOGRAM_ROWS rows of each */
	} histogram;
};

struct ns_slice {
	char name[NS_SLICE_NAME];
	const int32_t *ref, *cur; /* indices of its rows: ref_rows and cur_rows of them */
	int64_t ref_rows, cur_rows, base_rows, audited;
	double confidence_ref, confidence, base, base_low, measured, low, high; /* NaN: unknown */
	double moved;								/* largest effect of its tests */
	char column[64];
	enum ns_drift_status status;
	int guarded; /* drift.guarded names it: harm to it is harm to the window */
};

struct ns_drift {
	struct ns_job *job;
	struct ns_predictions ref, cur;
	struct ns_drift_test *tests;
	int count, capacity; /* of tests */
	double alpha, min_effect, tolerance;
	int permutations;
	uint64_t seed;
	/* of each row: confidence (largest probability) and entropy in nats; NULL without probabilities */
	float *ref_confidence, *cur_confidence;
	int32_t *ref_block, *cur_block; /* of each row; NULL: rows are independent */
	int64_t ref_blocks, cur_blocks;
	double ref_effective, cur_effective; /* effective number of independent rows, the smallest over columns */
	struct ns_slice *slices;
	int slice_count;
	int32_t *slice_rows[4]; /* of groups before and now, of classes before and now */
	/* performance */
	double base, base_low, base_high;	      /* on the reference, where it has labels */
	double measured, measured_low, measured_high; /* NaN: no labels */
	int64_t base_rows, audited, suspects;	      /* suspects: labels of audited rows that confident learning flags as wrong */
	/* confidence-based performance estimation and average thresholded confidence: docs/glossary.md; NaN: unknown */
	double cbpe, cbpe_ref, atc;
	double *weights, *weights_low, *weights_high, condition; /* label shift, by black-box shift estimation */
	double reweighted;					 /* accuracy under label shift alone */
	struct ns_top {
		uint64_t id;
		int64_t row;
		double score;
	} top[24];
	int top_count;
	double *pca, *pca_mean; /* principal directions of the embeddings (pca_dim, D); NULL: not requested */
	int pca_dim;
	json_t *quality;
	enum ns_drift_status status;
	int64_t window, rejected_before; /* in drift.history: number of this window, alarms by evidence before it */
	int rejected;			 /* the evidence of this window reached its level */
	int64_t now;			 /* when this window was first judged, seconds since 1970 */
	json_t *past;			 /* lines of drift.history without this window's; NULL: no history is kept */
	double level;			 /* the least adjusted p must not exceed it tonight; NaN: no history, alpha itself */
	double evidence;		 /* e-value of this window */
	int64_t self_rounds[NS_SELF_TEST_KINDS], self_alarms[NS_SELF_TEST_KINDS]; /* the reference against itself */
	float gamma;								  /* of MMD's kernel; 0: MMD was not tested */
	int emit;
	char because[256]; /* why a manifest is emitted or not */
	char summary[512]; /* what moved, in words */
	json_t *json;
};

/* Collective. `path` is predictions, any HDF5 file with some of their columns, or a data set, whose image statistics are then measured. */
enum ns_status ns_drift_open(struct ns_job *job, struct ns_predictions *p, const char *path);
const char *ns_drift_status_name(enum ns_drift_status status);
/* Removes an incomplete UTF-8 character from the end of a text that was cut at a number of bytes. */
void ns_drift_cut_utf8(char *text);
/* Is this detector among drift.detectors? */
int ns_drift_is_enabled(const struct ns_drift *s, const char *method);
/* Adds a row to the table, all its numbers NaN. NULL: out of memory. */
struct ns_drift_test *ns_drift_add(struct ns_drift *s, const char *kind, const char *method, const char *column);
/* columns of a window: those of a matrix, or, with directions (k, d), the projections of its rows less `mean` on each */
struct ns_columns {
	const struct ns_matrix *of;
	const double *mean, *directions;
	int k;
};
/* Called with column `column` of both windows in x (m + n), in row order, the reference first; it may change x. */
typedef enum ns_status ns_column_fn(void *context, int column, int worker, float *x);
/* Calls fn for this rank's share of the columns, over workers; as many columns are held at a time as fit into drift.memory. */
enum ns_status ns_drift_each_column(struct ns_drift *s, const struct ns_columns *ref, const struct ns_columns *cur, ns_column_fn *fn, void *context);
/* Called with rows [first, first + n) of a matrix, x (n, d), which is valid only during the call. */
typedef enum ns_status ns_rows_fn(void *context, int64_t first, int64_t n, const float *x);
/* Calls fn for this rank's share of the rows, block by block, over workers. */
enum ns_status ns_drift_each_row(struct ns_drift *s, const struct ns_matrix *of, ns_rows_fn *fn, void *context);
/* Collective. Runs all column detectors; column c is called `prefix` and names[c], or its number without names. */
enum ns_status ns_drift_columns(struct ns_drift *s, const char *kind, const struct ns_columns *ref, const struct ns_columns *cur, char *const *names,
				const char *prefix);
/* Groups rows into sequences by drift.sequence_seconds: ref_block and cur_block; NULL where rows are independent. */
enum ns_status ns_drift_find_sequences(struct ns_drift *s);
/* p of Cramer-von Mises' T of m and n rows that count as counts_m and counts_n independent ones */
double ns_drift_cvm_p(double t, int64_t m, int64_t n, double counts_m, double counts_n);
/* Accuracy on the labelled ones of n rows with these indices (NULL: the first n), their number, Wilson's interval; NaN: no labels. */
enum ns_status ns_drift_accuracy(const struct ns_predictions *p, const int32_t *row, int64_t n, const int32_t *block, int64_t blocks,
				 double *accuracy, int64_t *labelled, double *low, double *high);
/* Effective number of independent rows of x (rows), by Kish's design effect; block NULL: all rows. */
double ns_drift_effective_rows(const float *x, const int32_t *block, int64_t rows, int64_t blocks);
/*
 * Collective. Each rank has filled its own of n words of 8 bytes and left the others 0; afterwards all ranks have all words. `status` is
 * this rank's so far; all ranks get the same one back.
 */
enum ns_status ns_drift_gather(struct ns_drift *s, enum ns_status status, void *words, size_t n);
int ns_drift_all_finite(const float *x, int64_t n);
enum ns_status ns_drift_test_all(struct ns_drift *s);		/* collective */
enum ns_status ns_drift_test_rows(struct ns_drift *s);		/* embeddings jointly; collective */
enum ns_status ns_drift_components(struct ns_drift *s);		/* embeddings along their principal components, which s keeps; collective */
enum ns_status ns_drift_projections(struct ns_drift *s, int k); /* embeddings along k random directions; collective */
enum ns_status ns_drift_test_slices(struct ns_drift *s);
enum ns_status ns_drift_self_test(struct ns_drift *s);
const char *ns_drift_self_name(int kind);
enum ns_status ns_drift_performance(struct ns_drift *s);
void ns_drift_decide(struct ns_drift *s);
double ns_drift_joint_share(const struct ns_drift *s); /* share of alpha of the tests on whole rows */
void ns_drift_summarise(struct ns_drift *s);
/* drift.history: read before the decision; this window's line is written after the results, whole or not at all */
enum ns_status ns_drift_history_read(struct ns_drift *s);
enum ns_status ns_drift_history_write(struct ns_drift *s);
void ns_drift_history_level(struct ns_drift *s, double least_p);
double ns_drift_largest_effect(const struct ns_drift *s); /* largest effect of a deciding test on all rows */
void ns_drift_policy(struct ns_drift *s);		  /* sets emit and because */
enum ns_status ns_drift_page(struct ns_drift *s, const char *path);
/* retrain.json and selection.h5; collective, rank 0 writes */
enum ns_status ns_manifest_emit(struct ns_drift *s);

/* Does the test have a histogram? */
int ns_drift_has_histogram(const struct ns_drift_test *t);
/* the histograms of a column as shares of the counted rows, for a plot */
void ns_drift_shares(const struct ns_histogram *p, double *a, double *b);
struct ns_html;
void ns_drift_page_table(const struct ns_drift *s, struct ns_html *h, int deciding);
void ns_drift_page_detectors(const struct ns_drift *s, struct ns_html *h);
void ns_drift_page_slices(const struct ns_drift *s, struct ns_html *h);

/* Up to `most` rows, those of a keyed permutation, in their order: x (n, d), which the caller frees; chosen: their numbers, or NULL. */
enum ns_status ns_drift_choose_rows(const struct ns_matrix *of, int64_t most, uint64_t seed, float **x, int64_t *n, int64_t *chosen);
/* The detectors of whole rows that hold a sample in memory: "c2st", "fid" or "kid" of up to `most` rows a window. Collective. */
enum ns_status ns_drift_whole_rows(struct ns_drift *s, const char *method, int64_t most);

#endif
