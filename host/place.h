/*
 * host/place.h - the folder in which a result appears, whole or not at all.
 *
 * Work goes on in OUT.partial, which bears a marker; publishing flushes it and exchanges it for OUT in one step: at any moment,
 * and after a power cut, OUT is the old result or the new. Where OUT is a symbolic link, all that happens where it leads to, and
 * the link stays. OUT.lock is locked while somebody works, by the kernel, so that it never outlives its process; a file system
 * without locks is refused, unless NS_UNLOCKED is set. Nothing is ever removed that is not ours (host/ours.h). One process a place: rank 0.
 */
#ifndef NS_PLACE_H
#define NS_PLACE_H

#include "host/file.h"

struct ns_place {
	char out[NS_PATH_MAX], partial[NS_PATH_MAX], lock[NS_PATH_MAX]; /* links followed */
	int fd;		   /* of the lock; -1: not ours */
	char warning[512]; /* what went wrong after the new result was there; "" if nothing did */
};

/* Lock and mark. NS_IO: somebody else works there, or there is a result and not `force`, or what is there is not ours.
 * keep: what `verb` left in its checkpoint folders when it stopped stays. */
enum ns_status ns_place_open(struct ns_place *place, const char *out, const char *verb, int force, int keep);
/* The lock alone, for a folder that is filled in place. */
enum ns_status ns_place_lock(struct ns_place *place, const char *out, const char *verb);
/*
 * All is flushed, the marker goes, OUT is it. Once it is, nothing fails any more: an old result that cannot be removed stays beside it as
 * OUT.replaced.DIGITS until somebody's next run can, and `warning` says so.
 */
enum ns_status ns_place_publish(struct ns_place *place);
/* What was not published is removed, but for checkpoints; the lock goes. Safe on a place that was never opened. */
void ns_place_close(struct ns_place *place);
/* OUT is published: what a killed run left beside it goes, if nobody works there and it is ours. */
enum ns_status ns_place_sweep(const char *out);

/* Empty a published result; NS_IO where the folder holds something that is not ours. One that is not there is fine. */
enum ns_status ns_place_clear(const char *out);

#endif
