/* jobs/curate/curate.h - which rows serve which purpose: the gate's half of the audited rows, and a retraining's selection. */
#ifndef NS_JOBS_CURATE_H
#define NS_JOBS_CURATE_H

#include "datasets/labels/labels.h"
#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"

/* --- which rows a retraining uses; select.c --- */

struct ns_query { /* parameters of the rule in select.c */
	uint64_t seed;
	int64_t replay, audited_repeat; /* old rows used again; repetitions of an audited row in an epoch */
	int former;			/* a manifest of version 0.1.0: old rows may be the gate's, too */
	char labels[NS_SHA256_HEX];	/* the newest answers of people that it knows; "": none */
	const struct ns_labels *people; /* those, where labels is not "": the caller reads them */
};
struct ns_selected {
	int64_t replayed, audited, pool, excluded;
};
json_t *ns_query_json(const struct ns_query *q);
enum ns_status ns_query_read(struct ns_query *q, const json_t *json, const char *path); /* path: for messages */
/* Selects rows of the training data to replay and rows of the window by their labels; the caller releases *s. */
enum ns_status ns_query_run(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *current, struct ns_selection *s,
			    struct ns_selected *count);
/* Runs the query again; NS_DIGEST where the result differs from `s`. */
enum ns_status ns_query_check(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *current,
			      const struct ns_selection *s);

/*
 * A night's audited (labelled) rows in two halves that never mix: gate[i] = 1 for the gate's, 0 for all others. Half of them,
 * chosen by a keyed random draw on their identity, so that selection, training and gate agree. NULL: out of memory.
 */
uint8_t *ns_gate_rows(const uint64_t *id, const int32_t *label, int64_t n, uint64_t seed);

#endif
