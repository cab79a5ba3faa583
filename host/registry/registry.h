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
enum ns_status ns_registry_put_json(const char *registry, const json_t *json, char digest[NS_SHA256_HEX]);
/* The canonical text, whose digest is that of ns_json_digest(). */
enum ns_status ns_registry_put_canonical(const char *registry, const json_t *json, char digest[NS_SHA256_HEX]);
/* Where the object lies; NS_IO if there is none. `digest` may be a prefix of at least 8 digits. */
enum ns_status ns_registry_object(const char *registry, const char *digest, char path[NS_PATH_MAX]);
/* Newest digest of a ref; NS_IO if the ref is unknown. */
enum ns_status ns_registry_ref(const char *registry, const char *name, char digest[NS_SHA256_HEX]);
/* The same; "" where it never was moved. */
enum ns_status ns_registry_ref_if_there(const char *registry, const char *name, char digest[NS_SHA256_HEX]);
/* Has the ref ever been moved? A registry that cannot be read is an error. */
enum ns_status ns_registry_has(const char *registry, const char *name, int *is);
/*
 * Move a ref. It has moved once its log has the entry; from then on the only failure is that the object is gone, which only somebody's hand can
 * have removed. `warning` (512) says what else went wrong, such as the copy under refs/ that the next move writes again, or is "". expected: the
 * digest that the ref must have now ("" if it must be new, NULL: any). A lost race is tried again from the new state, unless `expected` forbids it.
 * A ref that has this digest already stays as it is.
 */
enum ns_status ns_registry_move(const char *registry, const char *name, const char *digest, const char *expected, const char *why,
				const char *evidence, char warning[512]);
/* Write refs/NAME again from the log: a process killed after a move may have left an old copy. */
enum ns_status ns_registry_copy(const char *registry, const char *name);
/* The digest that a rollback goes to: the one before the newest, where moves that were rolled back do not count. */
enum ns_status ns_registry_previous(const char *registry, const char *name, char digest[NS_SHA256_HEX]);
/*
 * The log read as a stack: an entry that names the digest below the top goes back to it, any other is put on top. So a second rollback goes further back,
 * not forward again. The top, which is last, is where the ref is. The caller drops *stack.
 */
enum ns_status ns_registry_stack(const char *registry, const char *name, json_t **stack);
/* All entries of a ref's log, oldest first, as a JSON array. */
enum ns_status ns_registry_log(const char *registry, const char *name, json_t **log);
/* --- trials.c: candidates on trial, the objects of the ref `trial` --- */

/* A state of one, by its digest; NULL where it is gone or no trial, which is said in `log`: what is newer counts. */
json_t *ns_registry_trial(const char *registry, struct ns_log *log, const char *digest);
/* All states, oldest first: [{digest, trial}], trial null where it cannot be read; none where there never was one. The caller drops *list. */
enum ns_status ns_registry_trials(const char *registry, struct ns_log *log, json_t **list);
int ns_trial_is(const json_t *trial, const char *state); /* waiting, passed, held, refused, rejected, approved */
/*
 * What its votes say of the candidate's accuracy, by the weights of their labels, and how many equal independent labels these are worth: of a sequence, which
 * has one vote, one. 0 labels: they say nothing.
 */
double ns_trial_accuracy(const json_t *trial, double *labels);
/* It waits for labels or for a person, and its production is that one. */
int ns_trial_is_open(const json_t *trial, const char *production);

/* --- releases.c: what the ref `production` names, nightshift.release/1 or a model alone: docs/formats.md --- */

/* Of the release `digest`: itself and its model. Of a model: *release is NULL, and the model is it. The caller drops *release. */
enum ns_status ns_registry_release(const char *registry, const char *digest, json_t **release, char model[NS_SHA256_HEX]);
enum ns_status ns_registry_model(const char *registry, const char *digest, char model[NS_SHA256_HEX]);
/* What production is now, and its model; both "" where there is none yet. */
enum ns_status ns_registry_production(const char *registry, char digest[NS_SHA256_HEX], char model[NS_SHA256_HEX]);
/* ns_registry_log() of production, each entry with its `model`; one whose object is not there is named by when and why it was production. */
enum ns_status ns_registry_production_log(const char *registry, json_t **log);

enum ns_status ns_registry_names(const char *registry, json_t **names);
/* Verify the digests of all objects and the copies of all refs; the first mismatch is the error. */
enum ns_status ns_registry_verify(const char *registry, int64_t *objects);
/*
 * Remove objects that no ref's history reaches, directly or through the JSON objects' digests, and temporary files of killed writers,
 * if they were not touched for so many hours: a running job may have put objects that no ref names yet. dry: only count.
 */
enum ns_status ns_registry_gc(const char *registry, double hours, int dry, int64_t *removed, int64_t *bytes);

#endif
