/* jobs/drift.h - what the parts of the drift job share: tests, the verdict, the page, the manifest. */
#ifndef NS_JOBS_DRIFT_H
#define NS_JOBS_DRIFT_H

#include "jobs/jobs.h"

enum ns_shift_status { NS_SHIFT_NONE, NS_SHIFT_STATISTICAL, NS_SHIFT_MATERIAL, NS_SHIFT_HARMFUL, NS_SHIFT_UNTESTED };

struct ns_shift_test {
	char column[64];
	const char *kind, *detector; /* input, output, embedding; ks, chi2, mmd ... */
	double statistic, p, p_adjusted, effect, effect_low, effect_high;
	enum ns_shift_status status;
	const char *note;     /* why it was not tested */
	int broken;	      /* the current window has values that are no numbers, the reference has not */
	const float *ref, *cur; /* of KS columns, for the picture; stride in floats */
	int ref_stride, cur_stride;
};

struct ns_shift {
	struct ns_job *job;
	struct ns_predictions ref, cur;
	struct ns_shift_test *tests;
	int count, room;
	double alpha, min_effect, tolerance;
	int permutations;
	uint64_t seed;
	/* performance */
	double base, base_low, base_high;	      /* on the reference, where it has labels */
	double measured, measured_low, measured_high; /* NaN: no labels */
	int64_t audited;
	double cbpe, cbpe_ref, atc;
	double *weights, condition; /* label shift */
	struct ns_top {
		uint64_t id;
		int64_t row;
		double score;
	} top[24];
	int top_count;
	float *ref_pca, *cur_pca; /* projected embeddings */
	int pca_dim;
	json_t *quality;
	enum ns_shift_status status;
	json_t *json;
};

/* Predictions, any HDF5 file with some of their columns, or a data set, whose image statistics are measured. Collective. */
enum ns_status ns_shift_open(struct ns_job *job, struct ns_predictions *p, const char *path);
const char *ns_shift_name(enum ns_shift_status status);
enum ns_status ns_shift_test_all(struct ns_shift *s);	  /* collective */
enum ns_status ns_shift_performance(struct ns_shift *s);
void ns_shift_decide(struct ns_shift *s);
enum ns_status ns_shift_page(struct ns_shift *s, const char *path);
/* retrain.json and selection.h5; collective, rank 0 writes */
enum ns_status ns_manifest_emit(struct ns_shift *s);

#endif
