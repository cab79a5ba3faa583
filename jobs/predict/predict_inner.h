/* jobs/predict/predict_inner.h - what the files of this room share. */
#ifndef NS_PREDICT_INNER_H
#define NS_PREDICT_INNER_H

#include "jobs/answer/answer.h"
#include "jobs/predict/predict.h"

/* Lines for a person, or of a CSV, of one file's result. */
void ns_predict_tell(const json_t *result, enum ns_task task, int csv);
void ns_predict_tell_columns(enum ns_task task, int text);

/* What was found, drawn into pixels (h, w, 3). */
void ns_predict_draw(const json_t *result, uint8_t *pixels, int h, int w);
/* results: of all files; those with a member "picture" have a PNG of that name in `folder`. */
enum ns_status ns_predict_page(const char *folder, const json_t *results, const char *model, enum ns_task task);

/* The part of an image that a region or box bounds, upright: (*oh, *ow, c), of the caller. One that is more than half as high again as wide is turned to the left. */
enum ns_status ns_predict_crop(const uint8_t *pixels, int h, int w, int c, const json_t *place, uint8_t **out, int *oh, int *ow);

#endif
