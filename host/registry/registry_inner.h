/* host/registry/registry_inner.h - what registry.c and gc.c share. */
#ifndef NS_REGISTRY_INNER_H
#define NS_REGISTRY_INNER_H

#include "host/registry/registry.h"

/* Digests that are reachable, as they become known: sets of digest -> true, and how far each log was read. */
struct ns_marks {
	json_t *marked, *done; /* done: what they name in turn is marked too */
	json_t *read;	       /* name of a ref -> number of its last entry that was read */
};

enum ns_status ns_marks_init(struct ns_marks *marks);
void ns_marks_release(struct ns_marks *marks);
void ns_marks_add(struct ns_marks *marks, const char *digest);
/*
 * Mark all that what is marked names, directly and in turn. Every object of these that is there is read whole and its digest computed: NS_IO
 * or NS_DIGEST where that fails, and then nobody knows what is reachable.
 */
enum ns_status ns_marks_follow(struct ns_marks *marks, const char *registry);
/* How many objects begin with these digits, and where the last of them lies. What gc has set aside is taken back. */
enum ns_status ns_registry_find(const char *registry, const char *digest, char path[NS_PATH_MAX], int *found);
/* "62 digits.gone": what gc calls an object between its decision and the last look */
int ns_registry_is_aside(const char *name);

#endif
