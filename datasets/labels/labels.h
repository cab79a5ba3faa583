/*
 * datasets/labels/labels.h - labels that people gave, nightshift.answers/1: objects of the registry, which the log of the ref `labels` names. They belong to
 * images, by their ids, for ever: whatever window an image is in, and whenever its label comes.
 */
#ifndef NS_LABELS_H
#define NS_LABELS_H

#include "datasets/predict/predict.h"

struct ns_answer {
	uint64_t id;
	int order;     /* of its import: of one person's answers the newest counts */
	int measures;  /* chosen at random, so that it may say how many are right; others teach */
	double weight; /* how much more it stands for than others of its draw: 1 where each had the same chance */
	char *label, *by;
};

struct ns_labels {
	struct ns_answer *of; /* by id, then by person: one each */
	int64_t count;
	char digest[NS_SHA256_HEX]; /* newest object; "": there are none */
	json_t *sets;		    /* digest -> true: data sets whose images were answered; NULL: none */
};

/*
 * All answers of a registry, or those up to the object `until`, where it is not NULL; none where nobody has given any. Errors: NS_IO where an object
 * is gone, or the log does not have `until`; NS_BAD_DATA.
 */
enum ns_status ns_labels_read(struct ns_labels *l, const char *registry, const char *until);
void ns_labels_release(struct ns_labels *l);
/* Has anybody answered about images of that data set? */
int ns_labels_knows(const struct ns_labels *l, const char *dataset);
/* The label on which all who answered agree; NULL: nobody did, or they disagree (*disputed). *measures: it was chosen at random. */
const char *ns_labels_of(const struct ns_labels *l, uint64_t id, int *disputed, int *measures);
/*
 * Collective. Gives rows of p without a label the one that people agree on, by the names of classes; only of images that were chosen at random, as the
 * others would say less of the whole; and the weights of these, where they are not all 1. `until`: of the answers up to that object; "any": all, "": none. *joined: rows that got one; *digest: of the
 * answers, "" where there are none. Rank 0 reads.
 */
enum ns_status ns_labels_join(struct ns_job *job, const char *registry, const char *until, struct ns_predictions *p, int64_t *joined,
			      char digest[NS_SHA256_HEX]);
/* The same, of all answers, for a rank that is alone with it. */
enum ns_status ns_labels_join_here(const char *registry, struct ns_predictions *p);

#endif
