/*
 * host/outputs/outputs.h - what the numbers mean that a network gives for one image: boxes, texts, regions, masks.
 *
 * Places are in pixels of the network's canvas, x to the right and y down, and edges lie between pixels: a box of the whole canvas is 0, 0, w, h.
 */
#ifndef NS_OUTPUTS_H
#define NS_OUTPUTS_H

#include <stdint.h>

#include "kernels/tensor.h"

/* one output of a network, in f32, dense, borrowed */
struct ns_output {
	const char *name;
	struct ns_box box;
	const float *data;
};

/* --- detection --- */

struct ns_detection {
	float x0, y0, x1, y1, score;
	int cls;
};

struct ns_detections {
	struct ns_detection *at;
	int n, room;
};

/*
 * Heads, by name: how tensors become boxes. A is a number of places, K of classes.
 *	yolox      (1, A, 5 + K): middle and logarithm of the size relative to cells of 8, 16 and 32 pixels; objectness and classes multiply
 *	yolov5     (1, A, 5 + K): middle and size in pixels; objectness and classes multiply (YOLOv5, YOLOv7)
 *	yolov8     (1, 4 + K, A): middle and size in pixels; classes (YOLOv8 and later)
 *	ssd        (1, A, 4) corners in shares of the canvas, (1, A, K) or, with a background in front, (1, A, 1 + K)
 *	           (where both have four columns, places are the one with "box" in its name, or the first)
 *	detr       (1, A, 4) middle and size in shares, (1, A, K + 1) logits, the last of which is nothing: softmax, and no suppression
 *	centerface (1, K, h, w) of middles, (1, 2, h, w) logarithm of height and width, (1, 2, h, w) offsets, of cells of 4 pixels
 */
struct ns_head;
const struct ns_head *ns_head_find(const char *name); /* NULL: there is none */
const char *ns_head_name(const struct ns_head *head);
/* Its names in one text, for a message. */
const char *ns_head_names(void);
/*
 * Boxes of a score of at least `score`, best first; of those of one class that overlap by more than `iou` the best stays (ties: the first in the tensor). d: to be
 * released by the caller in any case. NS_BAD_DATA: the outputs are not the head's, with what was found and what is expected.
 */
enum ns_status ns_detect(const struct ns_head *head, const struct ns_output *outputs, int count, int h, int w, int classes, double score, double iou,
			 struct ns_detections *d);
void ns_detections_release(struct ns_detections *d);
/* Greedy suppression among boxes of one class, in place; the result is in the order of scores. */
enum ns_status ns_suppress(struct ns_detections *d, double iou);
/* Intersection over union; 0 where both are empty. */
double ns_iou(const struct ns_detection *a, const struct ns_detection *b);

/* --- reading: connectionist temporal classification (Graves et al. 2006) --- */

/* Steps x symbols, of an output (1, T, K) or (T, 1, K); probabilities are told from logits by their sum. p (steps, symbols) is made, and the caller frees it. */
enum ns_status ns_ctc_steps(const struct ns_output *output, int *steps, int *symbols, float **p);
/* The best symbol of each step, without repetitions and blanks. text (steps): symbols; *confidence: mean probability of those kept, 0 for an empty text. */
int ns_ctc_greedy(const float *p, int steps, int symbols, int blank, int *text, double *confidence);
/* The most probable text, among the `beam` most probable beginnings at each step; *confidence: its probability. Returns its length, or -1 where memory ran out. */
int ns_ctc_beam(const float *p, int steps, int symbols, int blank, int beam, int *text, double *confidence);

/* --- regions of text in a map of probabilities (differentiable binarisation, Liao et al. 2020) --- */

struct ns_region {
	double x[4], y[4]; /* corners of a rectangle that may be turned, clockwise from its upper left */
	double score;	   /* mean probability inside, before it grows */
};
#define NS_REGION_LEVEL 0.3 /* of a pixel that belongs to a region */
#define NS_REGION_GROW	1.6 /* a region grows outward by its area times this over its perimeter */
/*
 * The smallest rectangles around connected pixels above NS_REGION_LEVEL, grown, those whose score is at least `score` and whose sides are at least 3 pixels, in the order in which
 * their first pixels come. *regions: of the caller.
 */
enum ns_status ns_regions(const float *map, int h, int w, double score, struct ns_region **regions, int *n);

/* --- outlines --- */

#define NS_POLYGON_MOST 64 /* points of one whose overlap is asked for */

/* Pixels of the mask (h, w) whose middles lie inside the outline of n points (x, y), by even and odd, become `value`. */
enum ns_status ns_polygon_fill(const double *xy, int n, int h, int w, int16_t value, int16_t *mask);
/* Below 0 where it goes the other way round. */
double ns_polygon_area(const double *xy, int n);
/* Leaves out, in place, those points that bound the least, until there are at most `most`; how many are left. */
int ns_polygon_simplify(double *xy, int n, int most);
/* Intersection over union of two outlines of up to NS_POLYGON_MOST points, of which b is convex. */
double ns_polygon_iou(const double *a, int n, const double *b, int m);
/* COCO's compressed run lengths as numbers; -1: they are none, or more than `most`. */
int ns_runs_of_text(const char *text, int64_t *counts, int most);
/* Runs down the columns, first of pixels without: those with become `value`. 0: they are not as many as the mask's pixels. */
int ns_runs_fill(const int64_t *counts, int n, int h, int w, int16_t value, int16_t *mask);

/* --- masks --- */

/* What numbers are that stand for themselves, tags and masks of one channel; unknown: logits where any leaves 0 to 1. */
enum ns_values { NS_VALUES_UNKNOWN, NS_VALUES_LOGITS, NS_VALUES_PROBABILITIES };

/* The class of each pixel of a map (1, K, h, w), the first of the largest; of K = 1, whether its probability is above 1/2. mask (h, w). */
enum ns_status ns_mask(const struct ns_output *output, enum ns_values values, uint8_t *mask);

/* --- how good answers are --- */

/* a box that a person drew, in pixels of its image */
struct ns_truth {
	double x0, y0, x1, y1, area; /* area: of the object, which may be less than the box's */
	int cls, crowd;		     /* crowd: many at once, which none has to find, and none is wrong to find */
};

struct ns_scored_image {
	const struct ns_truth *truth;
	const struct ns_detection *found; /* best first; of a class the 100 first count */
	int truths, n;
};

/* Means over classes that have truths, NAN where none has any in that range of areas: up to 32 x 32 pixels, up to 96 x 96, beyond. */
struct ns_average_precision {
	double ap, ap50, ap75, small, medium, large, recall; /* ap: over overlaps from .5 to .95; recall: of 100 boxes an image, likewise */
};
/* As pycocotools counts it. by_class (classes): ap of each, NAN without truths; or NULL. */
enum ns_status ns_average_precision(const struct ns_scored_image *images, int64_t n, int classes, struct ns_average_precision *out, double *by_class);
/* Characters to change, add or leave out to make b of a (Levenshtein 1966), both UTF-8; *length: characters of b. -1: out of memory. */
int ns_edits(const char *a, const char *b, int *length);

/* --- vectors --- */

/* Probabilities of independent tags: x itself, or its logistic function. p (n). */
void ns_tags(const float *x, int n, enum ns_values values, float *p);

#endif
