/* jobs/drift/drift_inner.h - shared by the files of the drift job: tests, slices, the verdict, past nights, the page, the manifest. */
#ifndef NS_DRIFT_DRIFT_INNER_H
#define NS_DRIFT_DRIFT_INNER_H

#include "jobs/drift/drift.h"
#include "datasets/predict/predict.h"
#include "host/judge/judge.h"
#include "host/stat/stat.h"

/* DESCRIPTIVE: measured, takes no part in the decision. UNTESTED: could not be measured, the note says why. */
enum ns_drift_status { NS_DRIFT_NONE, NS_DRIFT_STATISTICAL, NS_DRIFT_MATERIAL, NS_DRIFT_HARMFUL, NS_DRIFT_UNTESTED, NS_DRIFT_DESCRIPTIVE };

/* --- detectors: adding one takes a file detect_NAME.c, a row of the table in detectors.c, and a name in the declaration below --- */

#define NS_DRIFT_BINS	   10	 /* quantiles of the reference, for detectors of binned columns */
#define NS_DECIDING_ROWS   10000 /* of each window, chosen by key, for tests of whole rows: enough power, and their cost is quadratic */
#define NS_SUPPORTING_ROWS 2000	 /* likewise, for those that only support */

struct ns_drift;
struct ns_drift_test;

/* what a detector of single columns reads: both windows, in ascending order where its in_order is set */
struct ns_drift_column {
	const float *ref, *cur;
	int64_t ref_rows, cur_rows;
	double m, n;		     /* their effective number of independent rows */
	double deviation;	     /* the reference's standard deviation */
	struct ns_stat_column shift; /* only ks without in_order */
	int bins;		     /* of the histograms over the reference's quantiles; fewer than 2: it is nearly constant */
	int64_t ref_bins[NS_DRIFT_BINS], cur_bins[NS_DRIFT_BINS];
	uint64_t seed;
	uint32_t key; /* of random draws: no two columns have the same */
};

/* what it finds, NaN where there is nothing; words of 8 bytes */
struct ns_drift_figures {
	double statistic, p, effect, low, high;
	int64_t noted; /* 1: its column_note explains why a figure is missing */
};

/* what a detector of predicted classes reads; the first window is the reference */
struct ns_drift_counts {
	const int64_t *ref, *cur; /* (k): rows of each class */
	int k, classes;		  /* classes that occur */
	int64_t ref_rows, cur_rows;
	int sequences; /* rows of a sequence are not independent: the classes' mean design effect is `design`, else 1 */
	double design;
	int permutations;
	uint64_t seed;
};

/* A row of the table. Any of its three functions may be NULL; in_order: `column` reads sorted columns. */
struct ns_drift_detector {
	const char *name;
	int decides; /* its p-values are corrected together and decide */
	const char *title, *statistic, *effect, *meaning, *source;
	enum ns_status (*column)(const struct ns_drift_column *c, struct ns_drift_figures *f);
	int in_order;
	const char *column_note;
	enum ns_status (*counts)(const struct ns_drift_counts *c, struct ns_drift_test *t);
	enum ns_status (*rows)(struct ns_drift *s, struct ns_drift_test *t); /* of embeddings; collective; a note says that it is untested */
};
extern const struct ns_drift_detector ns_detector_ks, ns_detector_cvm, ns_detector_wasserstein, ns_detector_chi2, ns_detector_g, ns_detector_mmd,
	ns_detector_energy, ns_detector_psi, ns_detector_js, ns_detector_c2st, ns_detector_fid, ns_detector_kid;
enum { NS_DRIFT_DETECTORS = 16 };				   /* most rows of the table */
extern const struct ns_drift_detector *const ns_drift_detectors[]; /* ends with NULL */
/* Enables those of a list of names, NULL: all. Errors: NS_CONFIG. */
enum ns_status ns_drift_enable(struct ns_drift *s, const json_t *names);
int ns_drift_is_enabled(const struct ns_drift *s, const struct ns_drift_detector *method);

/* --- the job --- */

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
	double deviations; /* the statistic in deviations of its permutations; NAN: it has none */
	enum ns_drift_status status;
	const char *note;						/* why it was not tested, or how to read it */
	struct ns_histogram {						/* of a column in the reference and in the current window */
		double ref_mean, cur_mean, low, high;			/* low = high: no histogram */
		int32_t ref[NS_HISTOGRAM_BINS], cur[NS_HISTOGRAM_BINS]; /* of up to NS_HISTOGRAM_ROWS rows of each */
	} histogram;
};

/* --- a night's effects, of families of columns: see effects.c --- */

enum ns_effect_kind {
	NS_EFFECT_IMAGES,
	NS_EFFECT_SPREAD,
	NS_EFFECT_ROWS,
	NS_EFFECT_OUTPUTS,
	NS_EFFECT_GROUPS,
	NS_EFFECT_MISSING,
	NS_EFFECT_FAMILIES
};

struct ns_effects {
	struct ns_effect {
		enum ns_effect_kind family;
		char name[64];
		double now, *then; /* tonight, and on each day of the reference; NAN: unknown */
	} * of;
	int count, days;
	int64_t *day;	  /* of the reference, since 1970, ascending: none unless it has several days */
	int32_t *ref_day; /* of each row of the reference: its index, or -1 */
	double rows;	  /* independent ones, tonight */
};

/* --- accuracy, remembered over nights: of all rows, of the half that may call for a retraining whose other half judges it, of guarded slices --- */

#define NS_HARM_TRACKS 66

struct ns_harm_track {
	char name[NS_SLICE_NAME]; /* "all", "half", or of a slice */
	double accuracy, noise;	  /* tonight's: mean confidence + mean of (hit - confidence) on labelled rows, and its variance; NAN: no labels */
	double labels;		  /* effective number of labelled rows */
	struct ns_harm_world world;
	double baseline;  /* labels of the reference, or of the gate */
	double simulated; /* labels a night for which the thresholds were found; 0: there are none yet */
	double threshold[NS_HARM_DAYS];
	struct ns_harm_verdict verdict; /* its fall is NAN where nothing was judged */
	int judged;
};

struct ns_slice {
	char name[NS_SLICE_NAME];
	const int32_t *ref, *cur; /* indices of its rows: ref_rows and cur_rows of them */
	int64_t ref_rows, cur_rows, base_rows, audited;
	double confidence_ref, confidence, base, base_low, measured, low, high; /* NaN: unknown */
	double moved;								/* largest effect of its tests */
	char column[64];
	enum ns_drift_status status;
	int guarded;  /* drift.guarded names it: harm to it is harm to the window */
	int constant; /* all of its image statistics are constant now, and were not */
};

struct ns_drift {
	struct ns_job *job;
	struct ns_predictions ref, cur;
	struct ns_drift_test *tests;
	int count, capacity; /* of tests */
	/* settings, of the keys in the table of drift.c */
	double alpha, min_effect, tolerance, cooldown_days, sequence_seconds, old_floor, old_estimate, retrain_lr, retrain_confidence;
	int permutations, projections, self_test, hysteresis, budget, by_slices;
	int64_t memory, replay, audited_repeat, earlier; /* memory: MiB */
	uint64_t seed;
	const char *correction, *emit_from, *label, *history, *current_data, *replay_data, *registry, *release;
	const json_t *guarded, *retrain_epochs;
	unsigned enabled; /* a bit for each row of ns_drift_detectors */
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
	double cbpe, cbpe_ref, atc, atc_ref, cbpe_error, atc_error; /* errors: standard ones, of the differences from the reference */
	double *weights, *weights_low, *weights_high, condition;    /* label shift, by black-box shift estimation */
	double reweighted;					    /* accuracy under label shift alone */
	struct ns_top {
		uint64_t id;
		int64_t row;
		double score;
	} top[24];
	int top_count;
	/* of more than NS_DRIFT_CLASSES classes: those whose probabilities are tested one by one, -1 at the end: the sum of all others */
	int32_t *pick;
	uint8_t *picked; /* of each class */
	char **pick_names;
	int picks;		/* 0: all classes are tested */
	double *pca, *pca_mean; /* principal directions of the embeddings (pca_dim, D); NULL: not requested */
	int pca_dim;
	json_t *quality;
	enum ns_drift_status status;
	int64_t last_emission;		 /* of a manifest, by another window; 0: never */
	int emissions, emitted_before;	 /* by others in the last 30 days; by this window, when it was judged before */
	int64_t window, rejected_before; /* in drift.history: number of this window, alarms by evidence before it */
	int rejected;			 /* the evidence of this window reached its level */
	int64_t now;			 /* when this window was first judged, seconds since 1970 */
	json_t *past;			 /* lines of drift.history without this window's, in the order of nights; NULL: no history is kept */
	double level, evidence;		 /* of the nights' least p, and how near it came: 1 is an alarm; NaN: no history */
	char replaces[NS_PATH_MAX];	 /* the line that tonight's takes the place of under another name; "": none */
	double false_alarms;		 /* a year, of all kinds together */
	struct ns_effects effects;
	struct ns_nights_verdict nights;   /* tonight among them */
	int rank[NS_JUDGE_FAMILIES];	   /* past nights that were further from the usual than tonight */
	int ranked, families;		   /* of so many past nights; families that are judged */
	int family[NS_JUDGE_FAMILIES];	   /* NS_EFFECT_* of each */
	int64_t since_alarm;		   /* nights since the last alarm of this release, 0: tonight; -1: none */
	int64_t since_change;		   /* likewise, since the first alarm of a change that is not over */
	int64_t taught;			   /* labels of tonight and of the nights since the change */
	int untrained;			   /* its model is one that nothing here trains */
	int on_trial;			   /* a candidate against this model waits for labels or for a person */
	double gate_labels, gate_accuracy; /* of this model, by the labels of its gate; no labels: it had none */
	struct ns_harm_track *tracks;
	int track_count;
	char labels[NS_SHA256_HEX];	   /* newest answers of people in the registry; "": none */
	char identity[NS_SHA256_HEX];	   /* digest of tonight's effects: the same window, whatever its labels; "": none */
	int64_t day;			   /* of tonight, since 1970 */
	int dated;			   /* it is that of the rows' times */
	double fall_units[2];		   /* how far confidence and ATC fell, in deviations of a row */
	double estimate_p, estimate_level; /* the least p of their falls tonight, where they were asked; NaN: they were not */
	int same_night;			   /* labels that the gate does not see called for a retraining by themselves */
	char said[256];			   /* what decided, in words */
	int64_t self_rounds[NS_SELF_TEST_KINDS], self_alarms[NS_SELF_TEST_KINDS]; /* the reference against itself */
	float gamma;								  /* of MMD's kernel; 0: MMD was not tested */
	int emit;
	char because[256]; /* why a manifest is emitted or not */
	/* what to do: nothing, label, look; nights since an alarm that is open, -1: none; dead groups; the gate's chances with these labels */
	const char *next;
	int open, dead;
	double power;
	int64_t wanted, least_labels; /* labels for nine of ten; of a window whose manifest may be emitted, at least */
	char summary[512];	      /* what moved, in words */
	json_t *json;
};

/* Collective. `path` is predictions, any HDF5 file with some of their columns, or a data set, whose image statistics are then measured. */
enum ns_status ns_drift_open(struct ns_job *job, struct ns_predictions *p, const char *path);
const char *ns_drift_status_name(enum ns_drift_status status);
/* Removes an incomplete UTF-8 character from the end of a text that was cut at a number of bytes. */
void ns_drift_cut_utf8(char *text);
/* Adds a row to the table, all its numbers NaN. NULL: out of memory. */
struct ns_drift_test *ns_drift_add(struct ns_drift *s, const char *kind, const struct ns_drift_detector *method, const char *column);
/*
 * columns of a window: those of a matrix; with directions (k, d) the projections of its rows less `mean` on each; with `pick` (k) those columns,
 * where -1 is the sum of all that are not `picked` (d)
 */
struct ns_columns {
	const struct ns_matrix *of;
	const double *mean, *directions;
	int k;
	const int32_t *pick;
	const uint8_t *picked;
};
#define NS_DRIFT_CLASSES 1024
#define NS_BBSE_CLASSES	 200 /* for label shift: more take minutes, and their weights are hardly identifiable */
/* How many classes the windows have: probabilities or names, or as many as predictions need. */
int ns_drift_class_count(const struct ns_drift *s);
/* Sets pick, picked, pick_names and picks where the reference has the probabilities of more than NS_DRIFT_CLASSES. */
enum ns_status ns_drift_pick_classes(struct ns_drift *s);
/* The probabilities' columns, or those that were picked. */
struct ns_columns ns_drift_class_columns(const struct ns_drift *s, const struct ns_matrix *prob);
/* Picked columns [first, first + count) of n rows x (n, d) into out (n, count). */
void ns_drift_take_classes(const struct ns_columns *v, const float *x, int64_t n, int first, int count, float *out);
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
/* Closes the gaps that values leave that are no numbers, in place. *block: of each row, or NULL; afterwards of those kept: *kept, to be freed. */
enum ns_status ns_drift_close_gaps(float *x, int64_t *rows, const int32_t **block, int32_t **kept);
/* Tests the share of missing values of a column, where there are any: missing (2) of the rows of each window. */
enum ns_status ns_drift_missing(struct ns_drift *s, const char *kind, const char *name, const int64_t missing[2], double design);
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
int64_t ns_drift_history_day(const json_t *line); /* days since 1970 */
/* Where this window's images are, for a retraining of a later night that wants its labels: {path, digest, labels}; null where nobody said. */
json_t *ns_drift_history_data(const struct ns_drift *s);
/* Collective. Tonight's effects, where a history is kept. */
enum ns_status ns_drift_effects(struct ns_drift *s);
void ns_effects_release(struct ns_effects *e);
const char *ns_effect_family(int family);
json_t *ns_effects_json(const struct ns_effects *e);
/* A new effect, unknown as yet; NULL: out of memory. */
struct ns_effect *ns_effects_add(struct ns_effects *e, enum ns_effect_kind family, const char *prefix, const char *name);
/* 2 arcsin of the root of a share; NAN: of nothing */
double ns_effects_angle(double part, double of);
/* The days of the reference's rows. */
enum ns_status ns_effects_days(const struct ns_drift *s, struct ns_effects *e);
/* Collective. Adds the first `most` columns to a family; spread: and their spread and missing values to theirs. */
enum ns_status ns_effects_scores(struct ns_drift *s, const struct ns_columns *ref, const struct ns_columns *cur, char *const *names,
				 const char *prefix, enum ns_effect_kind family, int most, int spread);
/* Tonight's drift among the nights of the history: sets nights, rank, since_alarm; and whether estimates of accuracy fell, estimate_p. */
enum ns_status ns_drift_judge_nights(struct ns_drift *s);
/* Tonight's accuracy by labels, and with a history its verdict among the nights. */
enum ns_status ns_drift_tracks(struct ns_drift *s);
void ns_drift_judge_harm(struct ns_drift *s);
json_t *ns_drift_tracks_json(const struct ns_drift *s);
const struct ns_harm_track *ns_drift_track(const struct ns_drift *s, const char *name);
#define NS_SHARE_DRIFT	   .5 /* of drift.false_alarms */
#define NS_SHARE_MEASURED  .15
#define NS_SHARE_ESTIMATED .1
#define NS_SHARE_GUARDED   .25
void ns_drift_next(struct ns_drift *s);		     /* sets next, open, dead, power and wanted */
const char *ns_drift_dead(const struct ns_drift *s); /* the first dead group; NULL: none */
json_t *ns_drift_next_json(const struct ns_drift *s);
double ns_drift_largest_effect(const struct ns_drift *s); /* largest effect of a deciding test on all rows */
void ns_drift_policy(struct ns_drift *s);		  /* sets emit and because */
enum ns_status ns_drift_page(struct ns_drift *s, const char *path);
json_t *ns_drift_figures_json(json_t *json, const struct ns_drift_test *t); /* adds statistic, p, effect and its interval */
enum ns_status ns_drift_to_json(struct ns_drift *s);			    /* sets json */
json_t *ns_drift_window_json(const struct ns_predictions *p);		    /* digest and rows */
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

/* Drops rows of x (rows, d) with a value that is no number, in place, and their numbers, where given; returns how many are left. */
int64_t ns_drift_whole_rows(float *x, int64_t rows, int d, int64_t *number);
/* Up to `most` rows, those of a keyed permutation that are whole, in their order: x (n, d), which the caller frees; chosen: their numbers, or NULL. */
enum ns_status ns_drift_choose_rows(const struct ns_matrix *of, int64_t most, uint64_t seed, float **x, int64_t *n, int64_t *chosen);
/* up to so many rows of each window's embeddings */
struct ns_drift_sample {
	const float *ref, *cur; /* (ref_rows, d) and (cur_rows, d) */
	int64_t ref_rows, cur_rows;
	int d;
};
typedef void ns_sample_fn(const struct ns_drift_sample *w, uint64_t seed, struct ns_drift_test *t);
/* Calls figures with up to `most` rows of each window. */
enum ns_status ns_drift_sampled(struct ns_drift *s, struct ns_drift_test *t, int64_t most, ns_sample_fn *figures);

/* a permutation test of whole rows: kernel sums of all pairs under each permutation */
struct ns_drift_permutation {
	struct ns_drift *s;
	float *x, *y;
	int64_t m, n, *rows, *ref_rows; /* index in its window of each row of y and x */
	int32_t *block;			/* of each pooled row, the reference's first; NULL: rows are independent */
	int64_t ref_blocks, blocks;
	int d, per, distance;
	float gamma;
	int64_t *sums; /* (parts, 2 (P + 1) + 1) */
};
typedef enum ns_status ns_scale_fn(struct ns_drift_permutation *g);			      /* sets gamma */
typedef enum ns_status ns_effect_fn(struct ns_drift_permutation *g, struct ns_drift_test *t); /* from t's statistic, its effect */
/* Collective. Tests up to `most` rows of each window: distance 0: exp(-gamma |x - y|^2), 1: gamma |x - y|. */
enum ns_status ns_drift_permuted(struct ns_drift *s, struct ns_drift_test *t, int64_t most, int distance, ns_scale_fn *scale, ns_effect_fn *effect);
float ns_drift_distance2(const float *x, const float *y, int d); /* squared, between x (d) and y (d) */

#endif
