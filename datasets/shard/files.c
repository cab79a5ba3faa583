/* datasets/shard/files.c - the columns of a shard that say what its rows' files were. */
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
