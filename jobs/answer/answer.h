/* jobs/answer/answer.h - what a model answers for one image: prepared as the model wants it, its outputs read as its task says. */
#ifndef NS_ANSWER_H
#define NS_ANSWER_H

#include "datasets/decode/decode.h"
#include "host/graph/graph.h"
#include "host/outputs/outputs.h"

/* How images come onto the network's canvas, and how its outputs are read: members `fit` and `decode` of model.json. */
struct ns_reading {
	struct ns_fit fit;
	const struct ns_head *head; /* of detect */
	double score, iou;	    /* least score of a box, a region, a tag; overlap of two boxes beyond which one goes */
	enum ns_values values;	    /* of tags, and of masks of one channel */
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
 * --- said: what people said of an image, in the members of an annotation (docs/formats.md).
 */
#define NS_SAID_UNKNOWN (-1)					/* of a pixel: nobody said, or of a class that the model does not know */
int ns_said_class(char *const *names, int n, const char *name); /* -1: there is none of that name */
int ns_said_background(char *const *names, int n);		/* the class of what nobody drew; NS_SAID_UNKNOWN: there is none */
/* Objects over a mask (h, w) of classes, of several the later above. *unknown, *boxes: objects of other classes, and without an outline, more than before. NS_BAD_DATA names the row. */
enum ns_status ns_said_mask(const json_t *objects, char *const *names, int n, int h, int w, int16_t *mask, int64_t row, int64_t *unknown,
			    int64_t *boxes);
/* Points of a list [x, y, x, y ...], shares of w and h where they are; NULL: it is none. The caller frees them. */
double *ns_said_points(const json_t *list, double w, double h, int *n);
/* size [h, w] and counts, as numbers or as COCO's text. */
enum ns_status ns_said_runs(const json_t *rle, int h, int w, int16_t value, int16_t *mask, int64_t row);
/*
 * Symbols of a text, the longest name first, as a network numbers them that has a blank; to NULL: they are counted. -1: a part of the text is no name; -2: there are more than `most`.
 */
int ns_said_symbols(char *const *names, int n, int blank_last, const char *text, int32_t *to, int most);
/* What is drawn of an object; an empty list is none. */
const json_t *ns_said_drawn(const json_t *object);

/*
 * --- monitor: the numbers of an answer that are watched for drift, whatever its task: how many things were found, how sure they are, how large, where.
 */
#define NS_MONITOR_MOST 48
/* Their names, of the caller, who frees each and the list; *n of them, at most NS_MONITOR_MOST. */
enum ns_status ns_monitor_names(const struct ns_model *model, char ***names, int *n);
/* Their values of a result; NAN: it has none, such as the mean score of nothing. */
void ns_monitor_of(const struct ns_model *model, const json_t *result, float *values);

#endif
