/* datasets/shard/shard_inner.h - what the files of this room share. */
#ifndef NS_SHARD_INNER_H
#define NS_SHARD_INNER_H

#include "datasets/shard/shard.h"

/* Allocate space for n shards. */
enum ns_status ns_dataset_alloc(struct ns_dataset *data, size_t n);
/* Collective (job NULL: alone). A folder with dataset.json, or one file, of which no list states a digest; d->path is set. */
enum ns_status ns_dataset_open_folder(struct ns_job *job, struct ns_dataset *data, int mine);
enum ns_status ns_dataset_open_file(struct ns_dataset *data);
/* Shard i of the data set, which lies at `path` and was looked at; below: in a folder of ours. */
enum ns_status ns_dataset_open_shard(struct ns_dataset *data, int i, const char *path, int below);

/* From here on the shard has n rows alone, of the numbers row (n), ascending. */
enum ns_status ns_shard_choose(struct ns_shard *shard, const int64_t *row, int64_t n);
/* From here on its classes are these, and rows of any other are unlabelled. */
enum ns_status ns_shard_relabel(struct ns_shard *shard, char *const *names, int count);

/* The checksums of each MiB of names that are a data set, of `size` bytes each; the caller frees *sums, *count of them. */
enum ns_status ns_shard_name_sums(const char *path, const char *const *names, int n, size_t size, uint64_t **sums, hsize_t *count);

/*
 * The checksums of a column of so many bytes: NULL where the file has none at all, as a foreign one may. Where it has some, each column must
 * have its own: else removing one would hide a change.
 */
enum ns_status ns_shard_read_sums(const struct ns_shard *shard, hid_t file, const char *name, size_t bytes, uint64_t **sums);
/* Names as an attribute or as a data set, whose checksums are compared; NULL where the file has neither. */
enum ns_status ns_shard_read_names(const struct ns_shard *shard, hid_t file, const char *attribute, const char *set, char ***names, int *n);
/* Encoding, decoding, classes and groups, into shard->head. */
enum ns_status ns_shard_read_head(struct ns_shard *shard, hid_t file);

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
