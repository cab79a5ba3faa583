/*
 * host/train/checkpoint_inner.h - everything that training needs beyond the weights, so that a stopped run goes on with the
 * same bits. Arrays are canonical, so another instruction set or another number of ranks can resume from them.
 *
 * DIR/NNNNNNNN.safetensors, then DIR/NNNNNNNN.json with its digest: written beside the old one, which stays until the new
 * one is verified (read back, and flushed). Loading uses the newest if its digest matches; if it is damaged, a warning names it and the
 * one before it is used, once: if that is damaged too, or if there is none, loading fails.
 */
#ifndef NS_CHECKPOINT_H
#define NS_CHECKPOINT_H

#include "host/run/run.h"

enum { NS_CHECKPOINT_BEST = 4, NS_CHECKPOINT_ARRAYS };

struct ns_checkpoint {
	int64_t step, floats;
	float *arrays[NS_CHECKPOINT_ARRAYS]; /* weights, momentum, second moment, average, the best so far; canonical; NULL: not used */
	double loss, hits;		     /* of the epoch so far */
	char precision[8], config_digest[NS_SHA256_HEX];
	json_t *metrics;
};

/* Rank 0 alone calls these. */
enum ns_status ns_checkpoint_write(const char *dir, const struct ns_checkpoint *c);
/* Read the newest into c->arrays, or the one before it; step -1 where there is none. NS_DIGEST, NS_BAD_DATA: damaged. */
enum ns_status ns_checkpoint_read(const char *dir, struct ns_checkpoint *c, struct ns_log *log);

#endif
