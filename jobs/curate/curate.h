/* jobs/curate/curate.h - which rows serve which purpose: the gate's half of the audited rows, and a retraining's selection. */
#ifndef NS_JOBS_CURATE_H
#define NS_JOBS_CURATE_H

#include "datasets/labels/labels.h"
#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"

/* --- which rows a retraining uses; select.c --- */

#define NS_RETRAIN_SETS 32 /* data sets of a manifest, at most */

struct ns_query { /* parameters of the rule in select.c */
	uint64_t seed;
	int64_t replay, audited_repeat; /* old rows used again; repetitions of an audited row in an epoch */
	int64_t earlier;		/* labelled rows of earlier windows, at most */
	double sequence_seconds;	/* drift.sequence_seconds: frames of a sequence stay in one half */
	int rule;			/* which of select.c's; 0: the newest */
	char labels[NS_SHA256_HEX];	/* the newest answers of people that it knows; "": none */
	const struct ns_labels *people; /* those, where labels is not "": the caller reads them */
};
struct ns_selected {
	int64_t replayed, audited, pool, excluded, earlier;
};
json_t *ns_query_json(const struct ns_query *q);
enum ns_status ns_query_read(struct ns_query *q, const json_t *json, const char *path); /* path: for messages */
/*
 * Selects rows to replay of sets[0], the training data, rows of sets[1], the window, by their labels, and labelled rows of the others, earlier windows with
 * the newest first. The caller releases *s.
 */
enum ns_status ns_query_run(const struct ns_query *q, struct ns_dataset *const *sets, int set_count, struct ns_selection *s,
			    struct ns_selected *count);
/* Rows of an earlier window that have a label, by the names of the training data's classes. */
int64_t ns_query_labelled(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *earlier);
/* Runs the query again; NS_DIGEST where the result differs from `s`. */
enum ns_status ns_query_check(const struct ns_query *q, struct ns_dataset *const *sets, int set_count, const struct ns_selection *s);

/*
 * A night's audited (labelled) rows in two halves that never mix: gate[i] = 1 for the gate's, 0 for all others. Half of them,
 * chosen by a keyed random draw on their identity, so that selection, training and gate agree. block (n): their sequences, which stay whole and are drawn by
 * the least identity of their rows; NULL: each row for itself. NULL: out of memory.
 */
uint8_t *ns_gate_rows(const uint64_t *id, const int32_t *label, const int32_t *block, int64_t n, uint64_t seed);

#endif
