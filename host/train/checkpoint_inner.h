/*
 * host/train/checkpoint_inner.h - everything that training needs beyond the weights, so that a stopped run goes on with the
 * same bits. Arrays are canonical, so another instruction set or another number of ranks can take them up.
 *
 * DIR/NNNNNNNN.safetensors, then DIR/NNNNNNNN.json with its digest: written beside the old, which stays until the next
 * is proven (read back, and flushed). Loading takes the newest if its digest fits; a damaged one is named aloud and the one before
 * it is used, once: where that is damaged too, or where there is none, it is an error that a person should see.
 */
#ifndef NS_CHECKPOINT_H
#define NS_CHECKPOINT_H

#include "host/run/run.h"

struct ns_checkpoint {
	int64_t step, floats;
	float *arrays[4]; /* weights, momentum, second moment, average; canonical; NULL: not used */
	double loss, hits; /* of the epoch so far */
	char precision[8], config_digest[NS_SHA256_HEX];
	json_t *metrics;
};

/* rank 0 alone */
enum ns_status ns_checkpoint_write(const char *dir, const struct ns_checkpoint *c);
/* Read the newest into c->arrays, or the one before it; step -1 where there is none. NS_DIGEST, NS_BAD_DATA: damaged. */
enum ns_status ns_checkpoint_read(const char *dir, struct ns_checkpoint *c, struct ns_log *log);

#endif
