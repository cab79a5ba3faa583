/* tests/fuzz/sources.h - what holds for any bytes that are taken for a source of images, and archives made from parts. */
#ifndef NS_FUZZ_SOURCES_H
#define NS_FUZZ_SOURCES_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "datasets/source/source.h"
#include "tests/fuzz/mutate.h"

/*
 * Opens the source, gets its first items, and the first once more, and closes it; 0: it was refused. A refusal has a message, an item a name,
 * a label that is one of the classes, and the same bytes each time; what was opened is closed.
 */
int fuzz_source(const char *path, const json_t *classes);
/* The same checks of one that is open. */
void fuzz_check_source(struct ns_source *s);

/* Adds an entry to an archive; a name that ends in '/' is a folder. 0: the name is too long, or there is no room. */
int fuzz_add_tar(struct fuzz_bytes *tar, const char *name, const void *data, size_t size);
int fuzz_add_zip(struct fuzz_bytes *zip, const char *name, const void *data, size_t size);
/* Ends a zip of such entries with its directory; 0: there is no room. */
int fuzz_end_zip(struct fuzz_bytes *zip);
/* The sum in the tar header at `at`. */
void fuzz_put_tar_sum(struct fuzz_bytes *tar, size_t at);

enum fuzz_packing { FUZZ_PLAIN, FUZZ_GZIP, FUZZ_BZIP2, FUZZ_XZ, FUZZ_LZ4, FUZZ_ZSTD, FUZZ_PACKINGS };
/* In place; 0: nothing was done, as it is damaged or larger than the room. */
int fuzz_unpack(struct fuzz_bytes *b);
int fuzz_pack(struct fuzz_bytes *b, enum fuzz_packing packing);

/* Files of which each line of a text is one, on disk below fuzz_folder(): see tree.c. */
void fuzz_tree(const uint8_t *data, size_t size);

#endif
