/* datasets/shard/files.c - the columns of a shard that say what its rows' files were; checksums of its names. */
#include <stdlib.h>

#include "datasets/shard/shard_inner.h"
#include "host/base/base.h"

#define COLUMN(member, type, each)                                                                                                                   \
	{                                                                                                                                            \
		"file_" #member, type, offsetof(struct ns_row_files, member), sizeof *((struct ns_row_files *)0)->member, each                       \
	}
const struct ns_file_column ns_file_columns[NS_FILE_COLUMNS] = {
	COLUMN(height, NS_H5_I32, 1),	COLUMN(width, NS_H5_I32, 1),	   COLUMN(channels, NS_H5_I32, 1), COLUMN(bytes, NS_H5_I64, 1),
	COLUMN(format, NS_H5_I32, 1),	COLUMN(orientation, NS_H5_I32, 1), COLUMN(captured, NS_H5_I64, 1), COLUMN(camera, NS_H5_I32, 1),
	COLUMN(position, NS_H5_I32, 1), COLUMN(sha256, NS_H5_U8, 32),
};
#undef COLUMN

enum ns_status ns_rows_add_files(struct ns_rows *rows, int64_t n)
{
	int i;

	for (i = 0; i < NS_FILE_COLUMNS; i++) {
		void **data = (void **)(void *)((char *)&rows->files + ns_file_columns[i].offset);

		*data = calloc((size_t)n + 1, ns_file_columns[i].value * (size_t)ns_file_columns[i].each);
		if (!*data)
			return ns_fail(NS_NO_MEMORY, "out of memory for what the files of %lld rows were", (long long)n);
	}
	return NS_OK;
}

enum ns_status ns_shard_name_sums(const char *path, const char *const *names, int n, size_t size, uint64_t **sums, hsize_t *count)
{
	size_t bytes = size * (size_t)n, at, left;
	char *block = malloc(NS_CHECKSUM_BLOCK);
	hsize_t i;

	*count = (bytes + NS_CHECKSUM_BLOCK - 1) / NS_CHECKSUM_BLOCK;
	*sums = malloc((*count + 1) * sizeof **sums);
	for (i = 0; block && *sums && i < *count; i++) {
		at = i * NS_CHECKSUM_BLOCK;
		left = bytes - at < NS_CHECKSUM_BLOCK ? bytes - at : NS_CHECKSUM_BLOCK;
		ns_h5_names_pad(names, size, at, left, block);
		(*sums)[i] = ns_xxh3(block, left);
	}
	free(block);
	if (block && *sums)
		return NS_OK;
	free(*sums);
	return ns_fail(NS_NO_MEMORY, "%s: out of memory for checksums", path);
}
