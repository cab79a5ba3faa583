/* jobs/release/lists_inner.h - the lists of a release while it is put together. */
#ifndef NS_JOBS_RELEASE_LISTS_H
#define NS_JOBS_RELEASE_LISTS_H

#include "datasets/shard/shard.h"
#include "jobs/release/release.h"

/*
 * Opens a data set that is to be part of one, and keeps the list of its files in the registry. *d is NULL, and the log says why, where it is gone, is another
 * than `digest` ("": any), or has images of another kind or size than the list's first.
 */
enum ns_status ns_release_open(const struct ns_release *r, enum ns_release_part part, const char *path, const char *digest, struct ns_dataset **d);
/* Adds it, or rows of it, with these labels; it takes rows and labels, which may be NULL: all, and its own. */
enum ns_status ns_release_add(struct ns_release *r, enum ns_release_part part, const struct ns_dataset *d, const char *night, json_t *rows,
			      json_t *labels);
/* Of the rows [0, rows) of a data set: which the list has already; the caller frees it. NULL: out of memory. */
uint8_t *ns_release_has(const struct ns_release *r, enum ns_release_part part, const struct ns_dataset *d);

#endif
