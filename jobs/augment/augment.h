/* jobs/augment/augment.h - a recipe of augmentations, and a data set through it. */
#ifndef NS_JOBS_AUGMENT_H
#define NS_JOBS_AUGMENT_H

#include "host/run/run.h"
#include "kernels/formula/augment.h"

/* `augment:` as a list of named operations in the order in which they act; NULL: none. */
enum ns_status ns_recipe_parse(struct ns_augment_config *config, const json_t *list, int h, int w, const char *where);

/* the verb augment */
enum ns_status ns_job_augment(struct ns_job *job, int argc, char **argv);

#endif
