/* jobs/evaluate/evaluate_inner.h - what the files of this room share. */
#ifndef NS_EVALUATE_INNER_H
#define NS_EVALUATE_INNER_H

#include <jansson.h>

#include "datasets/predict/predict.h"
#include "datasets/shard/shard.h"
#include "jobs/evaluate/evaluate.h"

/* Does this row count: is it labelled, and in the requested half? */
static inline int ns_evaluate_counts(const struct ns_predictions *p, int64_t i, const uint8_t *gate)
{
	return p->label[i] >= 0 && (!gate || gate[i]);
}

/* Adds which classes are taken for which to `json`; labels and predictions are below p->prob.d. */
enum ns_status ns_evaluate_confusion(const struct ns_predictions *p, const uint8_t *gate, json_t *json);

/*
 * Of another task than classify: answers of p, opened with its results, against the annotations of data's rows, which are the same images; member: of the annotations, NULL: the
 * task's own; empty: that no row has any is an answer, and no error. Adds what is measured to `json`.
 */
enum ns_status ns_evaluate_answers(const struct ns_predictions *p, struct ns_dataset *data, const char *member, int empty, json_t *json);

/* --- measures of answers: answers.c, maps.c, identities.c, which judged.c serves --- */

struct ns_judged;
struct ns_measure {
	const char *task, *member;
	enum ns_status (*of)(const struct ns_judged *r);
	json_type type; /* of the member */
	const char *expected;
};

struct ns_judged {
	const struct ns_predictions *p;
	const struct ns_measure *measure;
	struct ns_dataset *data;
	const char *member; /* of an annotation, that says it */
	int empty;	    /* that nobody said anything is an answer, and no error */
	json_t *json;	    /* evaluation.json */
};

/* Of a row: the annotation, which has the member, and the answer. */
typedef enum ns_status ns_judged_row(const struct ns_judged *r, int64_t row, const json_t *truth, const json_t *answer, void *to);
/* Each row that people spoke of; none at all is an error, unless it is an answer. Writes how many there are. */
enum ns_status ns_judged_each(const struct ns_judged *r, ns_judged_row *take, void *to);
void ns_judged_rows(const struct ns_judged *r, int64_t labelled);
void ns_judged_put(json_t *json, const char *name, double value);      /* null where it is no number */
int ns_judged_class(const struct ns_predictions *p, const char *name); /* -1: the model has none of that name */
double ns_judged_item(const json_t *list, size_t i);

enum ns_status ns_judge_masks(const struct ns_judged *r);
enum ns_status ns_judge_regions(const struct ns_judged *r);
enum ns_status ns_judge_identities(const struct ns_judged *r);

#endif
