/*
 * jobs/release/release.h - a release, nightshift.release/1, as it is put together: a model, and which rows are its reference, its replay and its test
 * (docs/formats.md). Rank 0 alone.
 */
#ifndef NS_JOBS_RELEASE_H
#define NS_JOBS_RELEASE_H

#include "host/base/base.h"

enum ns_release_part { NS_RELEASE_REFERENCE, NS_RELEASE_REPLAY, NS_RELEASE_TEST, NS_RELEASE_PARTS };
/* "reference", "replay", "test": the key of the release, whose value is the digest of a list of data sets, nightshift.sets/1 */
const char *ns_release_key(enum ns_release_part part);

struct ns_release {
	const char *registry;
	struct ns_log *log; /* what cannot be part of it is said there, and left out */
	char model[NS_SHA256_HEX], previous[NS_SHA256_HEX];
	json_t *facts, *classes;	 /* of the model; classes is borrowed from facts */
	json_t *lists[NS_RELEASE_PARTS]; /* NULL: nothing is known of it */
};

/*
 * Begins one of the model, with the lists of the release `previous` ("": there is none, or a model's digest, which has none), and, of those that it lacks,
 * with the sets of the preparation in the folder `base` (NULL: none). ns_release_end() in any case.
 */
enum ns_status ns_release_begin(struct ns_release *r, const char *registry, struct ns_log *log, const char *model, const char *previous,
				const char *base);
void ns_release_end(struct ns_release *r);
/*
 * The windows, [{window, path, digest}], are its reference from now on, where they have at least so many rows together; *moved: they have. Those whose
 * images are gone are named in the log, and left out.
 */
enum ns_status ns_release_windows(struct ns_release *r, const json_t *windows, int64_t least, int *moved);
/* Rows of the manifest's windows that taught the model, by its selection (an object), are replayed. */
enum ns_status ns_release_taught(struct ns_release *r, const json_t *manifest, const char *selection);
/* Rows of the windows that voted for the model, but for those that taught it, are part of its test. votes: of nightshift.trial/1 */
enum ns_status ns_release_judged(struct ns_release *r, const json_t *windows, const json_t *votes, const char *selection);
/* Puts its lists and itself into the registry. It takes evidence and thresholds, objects of digests and of numbers. */
enum ns_status ns_release_put(struct ns_release *r, const char *how, json_t *evidence, json_t *thresholds, char digest[NS_SHA256_HEX]);
/*
 * What production becomes when a person promotes `digest`: a release is itself; of a model the release under which it last was production, or else one of
 * that model with the lists of today's; in a registry without releases the model.
 */
enum ns_status ns_release_by_hand(const char *registry, struct ns_log *log, const char *digest, const char *how, char release[NS_SHA256_HEX]);

#endif
