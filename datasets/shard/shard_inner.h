/* datasets/shard/shard_inner.h - what dataset.c and index.c share. */
#ifndef NS_SHARD_INNER_H
#define NS_SHARD_INNER_H

#include "datasets/shard/shard.h"

/* Allocate space for n shards. */
enum ns_status ns_dataset_alloc(struct ns_dataset *data, size_t n);
/* Shard i of the data set, which lies at `path` and was looked at; below: in a folder of ours. */
enum ns_status ns_dataset_open_shard(struct ns_dataset *data, int i, const char *path, int below);

#endif
