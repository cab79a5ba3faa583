/*
 * host/place.h - the folder in which a result appears, whole or not at all.
 *
 * Work goes on in OUT.partial, which bears a marker; publishing exchanges it for OUT in one step. OUT.lock is locked while
 * somebody works, by the kernel, so that it never outlives its process; a file system without locks is refused, unless NS_UNLOCKED
 * is set. Nothing is ever removed that bears neither our
 * marker nor our run.json. One process a place: rank 0.
 */
#ifndef NS_PLACE_H
#define NS_PLACE_H

#include "host/file.h"

struct ns_place {
	char out[NS_PATH_MAX], partial[NS_PATH_MAX], lock[NS_PATH_MAX];
	int fd; /* of the lock; -1: not ours */
};

/* Lock and mark. NS_IO: somebody else works there, or there is a result and not `force`, or what is there is not ours.
 * keep: what `verb` left in its checkpoint folders when it stopped stays. */
enum ns_status ns_place_open(struct ns_place *place, const char *out, const char *verb, int force, int keep);
/* The lock alone, for a folder that is filled in place. */
enum ns_status ns_place_lock(struct ns_place *place, const char *out, const char *verb);
/* The marker goes, the folder is flushed, OUT is it: at any moment OUT is the old result or the new. */
enum ns_status ns_place_publish(struct ns_place *place);
/* What was not published is removed, but for checkpoints; the lock goes. Safe on a place that was never opened. */
void ns_place_close(struct ns_place *place);
/* OUT is published: what a killed run left beside it goes, if nobody works there. */
enum ns_status ns_place_sweep(const char *out);

/* Remove a published result (it has run.json or `also`); NS_IO where the folder holds something else. Empty is fine. */
enum ns_status ns_place_clear(const char *out, const char *also);

#endif
