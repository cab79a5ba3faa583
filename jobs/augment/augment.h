/* jobs/augment/augment.h - reads a recipe of augmentations, and applies it to a data set. */
#ifndef NS_JOBS_AUGMENT_H
#define NS_JOBS_AUGMENT_H

#include "host/run/run.h"
#include "kernels/formula/augment.h"

/* Reads `augment:`, a list of named operations in the order in which they act (NULL: none), for images of h x w; `where` is for messages. */
enum ns_status ns_recipe_parse(struct ns_augment_config *config, const json_t *list, int h, int w, const char *where);

/* the verb augment */
enum ns_status ns_job_augment(struct ns_job *job, int argc, char **argv);

#endif
