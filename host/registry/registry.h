/*
 * host/registry/registry.h - content-addressed objects, named refs, and each ref's history.
 *
 *	objects/ab/cdef...         files named by their SHA-256, read-only
 *	log/NAME/000001.json ...   the history: each put in place with link(), which fails if the number is taken
 *	refs/NAME                  a copy of the newest digest for people and scripts
 *
 * No lock, no database: link() is the compare-and-swap, on local disks, NFS and Lustre alike.
 */
#ifndef NS_REGISTRY_H
#define NS_REGISTRY_H

#include "host/base/base.h"

enum ns_status ns_registry_put(const char *registry, const char *file, char digest[NS_SHA256_HEX]);
/* Where the object lies; NS_IO if there is none. `digest` may be a prefix of at least 8 digits. */
enum ns_status ns_registry_object(const char *registry, const char *digest, char path[NS_PATH_MAX]);
/* Newest digest of a ref; NS_IO if the ref is unknown. */
enum ns_status ns_registry_ref(const char *registry, const char *name, char digest[NS_SHA256_HEX]);
/* Has the ref ever been moved? A registry that cannot be read is an error. */
enum ns_status ns_registry_has(const char *registry, const char *name, int *is);
/*
 * Move a ref. Once its log has the entry it has moved, and nothing fails any more (but that the object is gone, which only a hand can have done): `warning` (512) says what else went wrong, such as the copy
 * under refs/ that the next move writes again; it is "" where nothing did. expected: the digest that it must have now ("" if it must be new, NULL: whatever). Lost races are
 * tried again against the new truth, unless `expected` says otherwise. A ref that is there already stays as it is.
 */
enum ns_status ns_registry_move(const char *registry, const char *name, const char *digest, const char *expected,
				const char *why, const char *evidence, char warning[512]);
/* Write refs/NAME again from the log: who was killed after a move may have left an old copy. */
enum ns_status ns_registry_copy(const char *registry, const char *name);
/* The digest that stood before the newest one that was not itself a way back. */
enum ns_status ns_registry_previous(const char *registry, const char *name, char digest[NS_SHA256_HEX]);
/* All entries of a ref's log, oldest first, as a JSON array. */
enum ns_status ns_registry_log(const char *registry, const char *name, json_t **log);
enum ns_status ns_registry_names(const char *registry, json_t **names);
/* Digests of all objects and copies of all refs; the first lie is the error. */
enum ns_status ns_registry_verify(const char *registry, int64_t *objects);
/*
 * Objects that no ref's history reaches, directly or through the JSON objects' digests, and what killed writers left under
 * temporary names, if they were not touched for so many hours: a job that runs has put objects that no ref names yet. dry: only
 * count.
 */
enum ns_status ns_registry_gc(const char *registry, double hours, int dry, int64_t *removed, int64_t *bytes);

#endif
