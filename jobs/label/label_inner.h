/* jobs/label/label_inner.h - the queue, from its choice to its answers. */
#ifndef NS_LABEL_INNER_H
#define NS_LABEL_INNER_H

#include <jansson.h>

#include "datasets/labels/labels.h"
#include "datasets/shard/shard.h"
#include "jobs/label/label.h"

#define NS_QUEUE_SCHEMA "nightshift.queue/1"

/* why a row is in the queue */
enum ns_label_why { NS_LABEL_RANDOM, NS_LABEL_DISPUTED, NS_LABEL_DRIFTED, NS_LABEL_UNCERTAIN, NS_LABEL_RARE, NS_LABEL_DIVERSE, NS_LABEL_WHYS };
const char *ns_label_why_name(enum ns_label_why why);

struct ns_queue_row {
	int64_t row;
	enum ns_label_why why;
	double chance; /* with which it was drawn to measure; NAN: it was not */
};

struct ns_label_queue {
	struct ns_job *job;
	struct ns_predictions p;
	struct ns_dataset *data;
	struct ns_labels known;
	struct ns_queue_row *rows; /* in the order in which they are shown */
	int64_t count, candidates; /* candidates: rows without a label, of which the random part is drawn */
	double chance;		   /* of one of them to be in the random part, on average */
};

/*
 * Chooses rows: a share `measure` of `most` at random, as many of each stratum (none, group, class: the predicted one), the others where they teach most;
 * disputed ones first. drifted: a drift.json, or NULL.
 */
enum ns_status ns_label_choose(struct ns_label_queue *q, int64_t most, double measure, const char *strata, const char *drifted, uint64_t seed);
/* queue.json, queue.jsonl, queue.csv and label-studio.json */
enum ns_status ns_label_write(const struct ns_label_queue *q);
/* label.html: show: the model's answer is seen from the beginning */
enum ns_status ns_label_page(const struct ns_label_queue *q, const char *queue_digest, int show);

/* --- answers --- */

struct ns_given {
	uint64_t id;
	char *label, *by, *when; /* label "": passed over */
	int64_t line;		 /* of the file, from 1, or the task of Label Studio's */
	const char *file;	 /* borrowed: as it was named */
};

struct ns_given_list {
	struct ns_given *of;
	int64_t count, capacity;
	char queue[NS_SHA256_HEX]; /* that asked: answers that name another are refused */
};

void ns_given_release(struct ns_given_list *l);
/* Reads a file of answers: JSON lines of the page, CSV, or Label Studio's export. by: whose they are where the file does not say it. */
enum ns_status ns_given_read(struct ns_given_list *l, const char *path, const char *by);
/* queue.c: the name of a row's file, "" where it was none; a class's name, or null */
void ns_label_source(const struct ns_label_queue *q, int64_t row, char *text, size_t size);
json_t *ns_label_class(const struct ns_label_queue *q, int32_t k);
/* Checks answers against the queue, and puts them into the registry, all or none. */
enum ns_status ns_label_take(struct ns_job *job, const char *queue, const char *const *files, int count, const char *by, const char *registry);

#endif
