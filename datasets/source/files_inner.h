/* datasets/source/files_inner.h - files on disk, of a folder or a list. */
#ifndef NS_SOURCE_FILES_INNER_H
#define NS_SOURCE_FILES_INNER_H

#include <sys/types.h>

#include "datasets/source/tree_inner.h"
#include "host/base/base.h"

#define NS_DEPTH_MAX 64 /* folders within folders */

struct ns_files {
	struct ns_tree tree; /* paths relative to base */
	char **classes;	     /* of a list: class name of each, "" where there is none */
	char **annotations;  /* of a list: what its other columns say, as JSON; NULL where there is nothing */
	int64_t capacity;    /* of classes and annotations */
	char base[NS_PATH_MAX];
	char *data;
	dev_t device[NS_DEPTH_MAX]; /* of the folders above the one that is scanned: a link to one of them is a circle */
	ino_t inode[NS_DEPTH_MAX];
};

/* functions of a struct ns_source_kind */
enum ns_status ns_files_place(struct ns_source *source, int64_t item, struct ns_item *out, char path[NS_PATH_MAX]);
enum ns_status ns_files_get(struct ns_source *source, int64_t item, struct ns_item *out);
void ns_files_close(struct ns_source *source);

#endif
