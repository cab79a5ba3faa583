/* jobs/answer/answer_inner.h - what the files of this room share. */
#ifndef NS_ANSWER_INNER_H
#define NS_ANSWER_INNER_H

#include "jobs/answer/answer.h"

/* One image on its way: what a task is given. */
struct ns_sight {
	const struct ns_model *model;
	const struct ns_reading *reading;
	const struct ns_output *outputs;
	int count;
	struct ns_placed placed;
	int h, w; /* of the image */
};

/* Of another task than classify. */
enum ns_status ns_task_read(const struct ns_sight *sight, json_t *result);

#endif
