/* kernels/cpu/augment_inner.h - the space that augmentation works in, and its stages that need a whole image. */
#ifndef NS_CPU_AUGMENT_INNER_H
#define NS_CPU_AUGMENT_INNER_H

#include "kernels/cpu/cpu.h"
#include "kernels/formula/augment.h"

struct ns_augment_space { /* carved out of the workspace */
	uint32_t *tile;
	int32_t *plane[3], *at, *wx, *wy; /* a row's channels, tile indices, weights */
	uint64_t *top, *bottom;		  /* a row's pixel pairs; top: its blurred sums */
	uint8_t *row, *image, *other;
	float *scale, *shift; /* repeated along a row */
	int64_t *wide;	      /* area sums of a row; sums down its columns, with margins */
};

/* Each changes s->image, bytes (p, q, c); s->other is used up. */
void ns_augment_resolution(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s);
void ns_augment_blur(const struct ns_op_augment *v, const struct ns_augment_sample *a, const struct ns_augment_space *s);

#endif
