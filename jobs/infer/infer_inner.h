/* jobs/infer/infer_inner.h - what the files of this room share. */
#ifndef NS_INFER_INNER_H
#define NS_INFER_INNER_H

#include "jobs/answer/answer.h"
#include "jobs/infer/infer.h"

/*
 * Rows of a shard by a model of another task than classify: stats, monitor, embedding and answers of *p, which the caller releases with its other columns. Each image
 * by itself: no bit depends on workers, ranks or shards.
 */
enum ns_status ns_infer_answers(struct ns_job *job, const struct ns_model *model, const struct ns_reading *reading, struct ns_dataset *data,
				int shard, struct ns_predictions *p);

#endif
