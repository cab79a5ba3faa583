/*
 * kernels/formula/packed.h - how the weights of a CONVOLVE whose channels are last lie: one channel by one kernel (depthwise) as (taps, groups), others as
 * (groups, blocks of K, taps, C, NS_PACKED), so that a tap of one input channel meets NS_PACKED output channels at once; those beyond K are 0.
 */
#ifndef NS_PACKED_H
#define NS_PACKED_H

#include "kernels/formula/inline.h"
#include "kernels/tensor.h"

#define NS_PACKED 16

NS_FORMULA int ns_packed_is_depthwise(const struct ns_op_convolve *v)
{
	return v->c == 1 && v->k == 1;
}

NS_FORMULA int64_t ns_packed_count(const struct ns_op_convolve *v, int64_t taps)
{
	return ns_packed_is_depthwise(v) ? taps * v->groups : v->groups * ((v->k + NS_PACKED - 1) / NS_PACKED) * taps * v->c * NS_PACKED;
}

/* Do windows reach no farther beyond an image of two axes than it is large? Rows are copied with their padding, which is to be no more than a few images. */
NS_FORMULA int ns_packed_is_near(const struct ns_window *w)
{
	int d;

	for (d = 0; d < 2; d++) {
		int64_t most = 4 * w->in[d] + 256;

		if (w->pad[d] < 0 || w->pad[d] > most || w->dilation[d] > most || w->kernel[d] > most || w->stride[d] > most ||
		    (w->kernel[d] - 1) * w->dilation[d] > most || (w->out[d] - 1) * w->stride[d] > most)
			return 0;
	}
	return 1;
}

/* The place of output channel k of group g, its input channel c, and a tap. */
NS_FORMULA int64_t ns_packed_at(const struct ns_op_convolve *v, int64_t taps, int64_t g, int64_t k, int64_t c, int64_t tap)
{
	if (ns_packed_is_depthwise(v))
		return tap * v->groups + g;
	return (((g * ((v->k + NS_PACKED - 1) / NS_PACKED) + k / NS_PACKED) * taps + tap) * v->c + c) * NS_PACKED + k % NS_PACKED;
}

#endif
