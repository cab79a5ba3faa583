/* jobs/look/look.h - tells what a data set, or a folder of several, holds. */
#ifndef NS_JOBS_LOOK_H
#define NS_JOBS_LOOK_H

#include "host/run/run.h"

struct ns_dataset;

/* An image of at most `side` pixels: size (h, w, c); the caller frees *pixels. */
enum ns_status ns_look_thumbnail(const struct ns_dataset *d, int64_t row, int side, int size[3], uint8_t **pixels);
/* Collective. The verb look. */
enum ns_status ns_job_look(struct ns_job *job, int argc, char **argv);

#endif
