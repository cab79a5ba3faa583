/*
 * host/folder.h - folders: listed whole or not at all, made and flushed so that they last, removed.
 */
#ifndef NS_FOLDER_H
#define NS_FOLDER_H

#include <stddef.h>

#include "kernels/status.h"

struct ns_names { /* sorted by their bytes */
	char **name;
	size_t count;
};

/*
 * All names in a folder but "." and "..". A folder that cannot be read to its end is NS_IO, never a shorter list.
 * ns_list_if_there: a folder that is not there holds nothing.
 */
enum ns_status ns_list(const char *folder, struct ns_names *names);
enum ns_status ns_list_if_there(const char *folder, struct ns_names *names);
void ns_names_release(struct ns_names *names);

/* Make a folder and those above it; each that is new is flushed into the one that holds it, so that it lasts. */
enum ns_status ns_mkdirs(const char *path);
enum ns_status ns_remove_tree(const char *path); /* a missing one is fine */
/* Make the names in this folder last. */
enum ns_status ns_sync_dir(const char *path);
/*
 * Make the names in this folder and in all below it last, innermost first. The bytes of files were flushed by who wrote them: ns_write_file()
 * and ns_h5_close() do, and nothing else writes (tests/jobs/durable.sh drops what was not).
 */
enum ns_status ns_sync_tree(const char *path);
/* What writers that were killed left beside the files of a folder that nobody writes to now. */
enum ns_status ns_sweep_temporary(const char *folder);
/* NAME.0123456789abcdef.tmp, as ns_write_file() calls what it is still writing? */
int ns_is_temporary(const char *name);

#endif
