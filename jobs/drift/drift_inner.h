/* jobs/drift/drift_inner.h - what the parts of the drift job share: tests, slices, the verdict, past nights, the page, the manifest. */
#ifndef NS_DRIFT_DRIFT_INNER_H
#define NS_DRIFT_DRIFT_INNER_H

#include "jobs/drift/drift.h"
#include "datasets/predict/predict.h"

/* DESCRIPTIVE: measured, takes no part in the decision. UNTESTED: could not be measured, the note says why. */
enum ns_drift_status { NS_DRIFT_NONE, NS_DRIFT_STATISTICAL, NS_DRIFT_MATERIAL, NS_DRIFT_HARMFUL, NS_DRIFT_UNTESTED, NS_DRIFT_DESCRIPTIVE };

/* a detector: drift_methods.c */
struct ns_drift_detector {
	const char *name;
	int decides; /* its p-values are corrected together and decide */
	const char *title, *statistic, *effect, *meaning, *source;
};
extern const struct ns_drift_detector ns_drift_detectors[];
const struct ns_drift_detector *ns_drift_detector(const char *name); /* of a name that is there */

#define NS_SELF_KINDS 6 /* of the self-test: ks, cvm, chi2, mmd, c2st, and all that decide */
#define NS_SLICE_NAME 48
#define NS_HISTOGRAM_BINS 30
#define NS_HISTOGRAM_ROWS 20000
#define NS_SLICE_ROWS 30 /* on both sides, for a slice to be tested */

struct ns_drift_test {
	char column[64], slice[NS_SLICE_NAME]; /* slice: empty for all rows */
	int of;				       /* its number among slices; -1: all rows */
	const char *kind;		       /* input, output, embedding */
	const struct ns_drift_detector *method;
	double statistic, p, p_adjusted, effect, effect_low, effect_high;
	enum ns_drift_status status;
	const char *note;	/* why it was not tested, or how to read it */
	int broken;		/* the current window has values that are no numbers, the reference has not */
	struct ns_histogram { /* of a column before and now */
		double ref_mean, cur_mean, low, high; /* low = high: there is none */
		int32_t ref[NS_HISTOGRAM_BINS], cur[NS_HISTOGRAM_BINS]; /* of up to NS_HISTOGRAM_ROWS rows of each */
	} histogram;
};

struct ns_slice {
	char name[NS_SLICE_NAME];
	const int32_t *ref, *cur; /* numbers of its rows: ref_rows and cur_rows of them */
	int64_t ref_rows, cur_rows, base_rows, audited;
	double confidence_ref, confidence, base, base_low, measured, low, high; /* NaN: unknown */
	double moved; /* largest effect of its tests */
	char column[64];
	enum ns_drift_status status;
	int guarded; /* drift.guarded names it: its harm is everybody's */
};

struct ns_drift {
	struct ns_job *job;
	struct ns_predictions ref, cur;
	struct ns_drift_test *tests;
	int count, room;
	double alpha, min_effect, tolerance;
	int permutations;
	uint64_t seed;
	/* of each row: confidence (largest probability) and entropy in nats; NULL without probabilities */
	float *ref_sure, *cur_sure;
	int32_t *ref_block, *cur_block; /* of each row; NULL: rows are independent */
	int64_t ref_blocks, cur_blocks;
	double ref_effective, cur_effective; /* rows that count, of the column where fewest do */
	struct ns_slice *slices;
	int slice_count;
	int32_t *slice_rows[4]; /* of groups before and now, of classes before and now */
	/* performance */
	double base, base_low, base_high;	      /* on the reference, where it has labels */
	double measured, measured_low, measured_high; /* NaN: no labels */
	int64_t base_rows, audited, suspects;		      /* suspects: labels of audited rows that confident learning doubts */
	double cbpe, cbpe_ref, atc;
	double *weights, *weights_low, *weights_high, condition; /* label shift */
	double reweighted;					 /* accuracy under label shift alone */
	struct ns_top {
		uint64_t id;
		int64_t row;
		double score;
	} top[24];
	int top_count;
	double *pca, *pca_mean; /* principal directions of the embeddings (pca_dim, D); NULL: not wanted */
	int pca_dim;
	json_t *quality;
	enum ns_drift_status status;
	int64_t window, rejected_before; /* of this history: number of this window, alarms by evidence before it */
	int rejected;			 /* this window's evidence reached its level */
	int64_t now;	/* when this window was first judged, seconds since 1970 */
	json_t *past;	/* lines of drift.history, this window's left out; NULL: none is kept */
	double level;	/* what the least adjusted p must not exceed tonight; NaN: alpha itself, there is no history */
	double evidence; /* e-value of this window */
	int64_t self_rounds[NS_SELF_KINDS], self_alarms[NS_SELF_KINDS]; /* the reference against itself */
	float gamma;							  /* of MMD's kernel; 0: it was not tested */
	int emit;
	char because[256]; /* why a manifest is, or is not, emitted */
	char summary[512]; /* what moved, in words */
	json_t *json;
};

/* Predictions, any HDF5 file with some of their columns, or a data set, whose image statistics are measured. Collective. */
enum ns_status ns_drift_open(struct ns_job *job, struct ns_predictions *p, const char *path);
const char *ns_drift_name(enum ns_drift_status status);
/* a text that was cut by its bytes loses the beginning of a character at its end */
void ns_drift_cut_utf8(char *text);
/* is this detector among drift.detectors? */
int ns_drift_wants(const struct ns_drift *s, const char *method);
/* another row of the table, all numbers unknown; NULL: no memory */
struct ns_drift_test *ns_drift_add(struct ns_drift *s, const char *kind, const char *method, const char *column);
/* columns of a window: those of a matrix, or, where there are directions (k, d), what its rows less `mean` are along each */
struct ns_columns {
	const struct ns_matrix *of;
	const double *mean, *directions;
	int k;
};
/* column `column` of both windows in x (m + n), in their order, the reference's rows first; x may be changed */
typedef enum ns_status ns_column_fn(void *context, int column, int worker, float *x);
/* This rank's share of the columns, read out of the rows as many at a time as drift.memory has room for, over workers. */
enum ns_status ns_drift_each_column(struct ns_drift *s, const struct ns_columns *ref, const struct ns_columns *cur, ns_column_fn *fn, void *context);
/* rows [first, first + n) of a matrix, x (n, d), which lies in memory only while this runs */
typedef enum ns_status ns_rows_fn(void *context, int64_t first, int64_t n, const float *x);
/* This rank's share of the rows, block by block, over workers. */
enum ns_status ns_drift_each_row(struct ns_drift *s, const struct ns_matrix *of, ns_rows_fn *fn, void *context);
/* all column detectors. Collective. names[c] after prefix, or its number. */
enum ns_status ns_drift_columns(struct ns_drift *s, const char *kind, const struct ns_columns *ref, const struct ns_columns *cur, char *const *names,
				const char *prefix);
enum ns_status ns_drift_find_blocks(struct ns_drift *s);
/* p of Cramer-von Mises' T of m and n rows that count as so many independent ones */
double ns_drift_cvm_p(double t, int64_t m, int64_t n, double counts_m, double counts_n);
/* Of n rows with these numbers (NULL: the first n): accuracy on those that have labels and how many these are, Wilson's interval; NaN: none has. */
enum ns_status ns_drift_accuracy(const struct ns_predictions *p, const int32_t *row, int64_t n, const int32_t *block, int64_t blocks, double *accuracy,
				 int64_t *labelled, double *low, double *high);
/* x (rows): as how many independent rows it counts; blocks NULL: all of them */
double ns_drift_effective(const float *x, const int32_t *block, int64_t rows, int64_t blocks);
/*
 * Ranks have filled their own of n words of 8 bytes, and left the others 0: all get all. Collective; `status` is this rank's so far,
 * and everybody's is what comes back.
 */
enum ns_status ns_drift_gather(struct ns_drift *s, enum ns_status status, void *words, size_t n);
int ns_all_finite(const float *x, int64_t n);
enum ns_status ns_drift_test_all(struct ns_drift *s);	  /* collective */
enum ns_status ns_drift_test_rows(struct ns_drift *s);	  /* embeddings jointly; collective */
enum ns_status ns_drift_components(struct ns_drift *s);	  /* embeddings along their principal directions, which s keeps; collective */
enum ns_status ns_drift_projections(struct ns_drift *s, int k); /* and along k random ones; collective */
enum ns_status ns_drift_test_slices(struct ns_drift *s);
enum ns_status ns_drift_self_test(struct ns_drift *s);
const char *ns_drift_self_name(int kind);
enum ns_status ns_drift_performance(struct ns_drift *s);
void ns_drift_decide(struct ns_drift *s);
double ns_drift_joint_share(const struct ns_drift *s); /* of alpha, that tests of whole rows have */
void ns_drift_summarise(struct ns_drift *s);
/* drift.history: read before the decision; this window's line written, whole or not at all, after the results */
enum ns_status ns_drift_history_read(struct ns_drift *s);
enum ns_status ns_drift_history_write(struct ns_drift *s);
void ns_drift_history_level(struct ns_drift *s, double least_p);
double ns_drift_largest(const struct ns_drift *s); /* effect of what decides, over all rows */
void ns_drift_policy(struct ns_drift *s); /* emit and because */
enum ns_status ns_drift_page(struct ns_drift *s, const char *path);
/* retrain.json and selection.h5; collective, rank 0 writes */
enum ns_status ns_manifest_emit(struct ns_drift *s);

/* Has the test a histogram? */
int ns_drift_is_drawn(const struct ns_drift_test *t);
/* the histograms of a column as shares of what was counted, for a plot */
void ns_drift_shares(const struct ns_histogram *p, double *a, double *b);
struct ns_html;
void ns_drift_page_table(const struct ns_drift *s, struct ns_html *h, int deciding);
void ns_drift_page_detectors(const struct ns_drift *s, struct ns_html *h);
void ns_drift_page_slices(const struct ns_drift *s, struct ns_html *h);

#endif
