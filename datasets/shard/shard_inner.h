/* datasets/shard/shard_inner.h - what dataset.c and index.c share. */
#ifndef NS_SHARD_INNER_H
#define NS_SHARD_INNER_H

#include "datasets/shard/shard.h"

/* Allocate space for n shards. */
enum ns_status ns_dataset_alloc(struct ns_dataset *data, size_t n);
/* Shard i of the data set, which lies at `path` and was looked at; below: in a folder of ours. */
enum ns_status ns_dataset_open_shard(struct ns_dataset *data, int i, const char *path, int below);

/* a column of struct ns_row_files: `each` values a row */
struct ns_file_column {
	const char *name;
	enum ns_h5_type type;
	size_t offset, value; /* of the member; bytes of a value */
	int each;
};
extern const struct ns_file_column ns_file_columns[];
enum { NS_FILE_COLUMNS = 10 };

#endif
