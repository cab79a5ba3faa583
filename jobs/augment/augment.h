/* jobs/augment/augment.h - reads a recipe of augmentations, and applies it to a data set. */
#ifndef NS_JOBS_AUGMENT_H
#define NS_JOBS_AUGMENT_H

#include "host/run/run.h"
#include "kernels/formula/augment.h"

/*
 * Reads `augment:` (NULL: no operations), a list of named operations, or {version, operations}, for images of h x w; `where` is for
 * messages.
 */
enum ns_status ns_recipe_parse(struct ns_augment_config *config, const json_t *recipe, int h, int w, const char *where);

/* What a file keeps of a recipe: a list gets the version that it had when it was read, another stays; the caller owns the copy. */
json_t *ns_recipe_versioned(const json_t *recipe, int version);
#define NS_RECIPE_VERSION 2

/* the verb augment */
enum ns_status ns_job_augment(struct ns_job *job, int argc, char **argv);

#endif
