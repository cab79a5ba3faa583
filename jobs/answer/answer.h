/* jobs/answer/answer.h - what a model answers for one image: prepared as the model wants it, its outputs read as its task says. */
#ifndef NS_ANSWER_H
#define NS_ANSWER_H

#include "datasets/decode/decode.h"
#include "host/graph/graph.h"

/* How images come onto the network's canvas, and how its outputs are read: members `fit` and `decode` of model.json. */
struct ns_reading {
	struct ns_fit fit;
	const struct ns_head *head; /* of detect */
	double score, iou;	    /* least score of a box, a region, a tag; overlap of two boxes beyond which one goes */
	int blank_last;		    /* of read: which symbol is the blank; else it is the first */
	int beam;		    /* of read: beginnings that are kept; 0: the best symbol of each step */
	int top;		    /* of classify: classes that are told */
};

/* A model without these members: what covers its input, by area, as ingest scales; NS_BAD_DATA for members that are not understood. */
enum ns_status ns_reading_of(struct ns_reading *reading, const struct ns_model *model);
/* Do they go together? NS_BAD_DATA: why not. */
enum ns_status ns_reading_check(const struct ns_reading *reading, enum ns_task task, int classes);
/* Both members, as they are written. */
json_t *ns_reading_fit(const struct ns_reading *reading);
json_t *ns_reading_decode(const struct ns_reading *reading, enum ns_task task);

/* One worker's copy of a model; executables of a few sizes of its canvas are kept. */
struct ns_predictor;
/* model, reading and dev stay the caller's. dev: where a model of another task than classify is computed; NULL, and those that classify: the processor. */
enum ns_status ns_predictor_make(struct ns_predictor **predictor, const struct ns_model *model, const struct ns_reading *reading,
				 struct ns_device *dev);
void ns_predictor_free(struct ns_predictor *predictor);
/*
 * pixels (h, w, channels of the model). *result: an object, of classify {"classes": [{"class", "probability"}, ...]} and so on (docs/formats.md); places are in pixels of the
 * image. NS_BAD_DATA: the outputs are not what the task says.
 */
enum ns_status ns_predictor_run(struct ns_predictor *predictor, const uint8_t *pixels, int h, int w, json_t **result);

/* Numbers of the last run's embedding, which are made of a value of the network (classify: none are kept here); NULL where it has none. */
const float *ns_predictor_embedding(const struct ns_predictor *predictor, int *dim);

/* How a task is told. list: the member of a result with its rows, NULL: the result is the only one; columns: members of a row, by blanks. */
const char *ns_task_list(enum ns_task task);
const char *ns_task_columns(enum ns_task task);

/*
 * --- monitor: the numbers of an answer that are watched for drift, whatever its task: how many things were found, how sure they are, how large, where.
 */
#define NS_MONITOR_MOST 48
/* Their names, of the caller, who frees each and the list; *n of them, at most NS_MONITOR_MOST. */
enum ns_status ns_monitor_names(const struct ns_model *model, char ***names, int *n);
/* Their values of a result; NAN: it has none, such as the mean score of nothing. */
void ns_monitor_of(const struct ns_model *model, const json_t *result, float *values);

#endif
