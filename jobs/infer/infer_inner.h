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

/* One image as it is fed: its size, where it lies on the canvas, and what augmentation does to that. */
struct ns_fitted {
	int h, w;
	struct ns_placed placed;
	const struct ns_augment_sample *sample;
};
/* What is true of a row, words as feed->target says. */
enum ns_status ns_feed_target(struct ns_feed *feed, const struct ns_dataset *data, int64_t row, const struct ns_fitted *seen, int32_t *to);

#endif
