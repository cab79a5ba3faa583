/* host/registry/registry_inner.h - what the parts of the registry share. */
#ifndef NS_REGISTRY_INNER_H
#define NS_REGISTRY_INNER_H

#include "host/registry/registry.h"

/* Digests that are reachable, as they become known: sets of digest -> true, and how far each log was read. */
struct ns_marks {
	json_t *marked, *done; /* done: what they name in turn is marked too */
	json_t *there;	       /* those of them whose object exists */
	json_t *read;	       /* name of a ref -> number of its last entry that was read */
};

enum ns_status ns_marks_init(struct ns_marks *marks);
void ns_marks_release(struct ns_marks *marks);
void ns_marks_add(struct ns_marks *marks, const char *digest);
/*
 * Mark everything that marked objects name, directly and in turn. whole: each object that exists is read whole and its digest verified; NS_IO or
 * NS_DIGEST where that fails, as what is reachable is then unknown. Not whole: of an object that cannot be JSON only the first byte is read.
 */
enum ns_status ns_marks_follow(struct ns_marks *marks, const char *registry, int whole);
/* Mark what the logs of all refs name, each from where it was last read. all: what any entry names must exist, not only what the newest does. */
enum ns_status ns_marks_logs(struct ns_marks *marks, const char *registry, int all);
/* Mark what the copies under refs/ name; NS_IO for a copy without its log. */
enum ns_status ns_marks_copies(struct ns_marks *marks, const char *registry);
/* NS_IO unless the object `digest` exists, and, where that is a model, its weights; `name` of the ref, for the message. */
enum ns_status ns_registry_check(const char *registry, const char *name, const char *digest);
/* The entries of a ref's log from number `first` on. */
enum ns_status ns_registry_log_from(const char *registry, const char *name, int first, json_t **log);
/* How many objects begin with these digits, and where the last of them lies. An object that gc has set aside is put back. */
enum ns_status ns_registry_find(const char *registry, const char *digest, char path[NS_PATH_MAX], int *found);
/* what a gc calls an object between its decision and the last check: "62 digits.16 digits.gone"; each gc has its own 16 */
#define NS_ASIDE ".gone"

/* fn for each name in objects/xx, or in a folder that holds no objects (first -1); digest: of an object, or "" where the name is not an object's */
typedef enum ns_status ns_object_fn(void *context, const char *dir, const char *name, const char *digest);
enum ns_status ns_registry_each_in(const char *dir, int first, ns_object_fn *fn, void *context);
enum ns_status ns_registry_each(const char *registry, ns_object_fn *fn, void *context);
/* NS_DIGEST for the first object that is damaged; *objects grows by those that were read. */
enum ns_status ns_registry_verify_objects(const char *registry, int64_t *objects);
/* Give an object that is in use again a new time, so that gc takes it for young. */
enum ns_status ns_registry_refresh(const char *path);
/* NS_USAGE unless it is a valid name for a ref. */
enum ns_status ns_registry_check_name(const char *name);
/* The highest number in the log of `name`, 0 where there is none. */
enum ns_status ns_registry_newest(const char *registry, const char *name, int *high);

#endif
