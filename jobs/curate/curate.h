/* jobs/curate/curate.h - which rows are used for what: the gate's half of the audited rows, and a retraining's selection. */
#ifndef NS_JOBS_CURATE_H
#define NS_JOBS_CURATE_H

#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"

/* --- which rows a retraining uses; select.c --- */

struct ns_query { /* with the rule that select.c has */
	uint64_t seed;
	int64_t replay, audited_repeat; /* old rows shown again; times an epoch shows an audited row */
	int former;			/* of a manifest of version 0.1.0: old rows may be the gate's, too */
};
struct ns_selected {
	int64_t replayed, audited, pool, excluded;
};
json_t *ns_query_json(const struct ns_query *q);
enum ns_status ns_query_read(struct ns_query *q, const json_t *json, const char *path); /* path: for messages */
/* rows of training data to replay, and of the window by its labels; the caller releases *s */
enum ns_status ns_query_run(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *current, struct ns_selection *s,
			    struct ns_selected *count);
/* runs it again: NS_DIGEST where another row comes out */
enum ns_status ns_query_check(const struct ns_query *q, const struct ns_dataset *replay, const struct ns_dataset *current, const struct ns_selection *s);

/*
 * A night's audited (labelled) rows in two halves that never mix: gate[i] = 1 for the gate's, 0 for all others. Half of them,
 * chosen by a keyed draw on their identity, so that select, train and gate agree. NULL: no memory.
 */
uint8_t *ns_gate_rows(const uint64_t *id, const int32_t *label, int64_t n, uint64_t seed);

#endif
