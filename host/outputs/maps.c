/* host/outputs/maps.c - masks of classes, and tags. */
#include <math.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"

enum ns_status ns_mask(const struct ns_output *o, enum ns_values values, uint8_t *mask)
{
	const struct ns_box *b = &o->box;
	int64_t plane, i;
	int logits = 0, k;

	if (b->rank != 4 || b->dim[0] != 1 || b->dim[1] < 1 || b->dim[1] > 255 || b->dim[2] < 1 || b->dim[3] < 1)
		return ns_fail(NS_BAD_DATA, "output '%s' has %d axes, expected (1, classes, h, w) of at most 255 classes", o->name, b->rank);
	plane = b->dim[2] * b->dim[3];
	for (i = 0; i < plane * b->dim[1]; i++) {
		if (!isfinite(o->data[i]))
			return ns_fail(NS_BAD_DATA, "output '%s': element %lld is %g, expected a finite number", o->name, (long long)i,
				       (double)o->data[i]);
		logits |= o->data[i] < 0 || o->data[i] > 1;
	}
	logits = values == NS_VALUES_UNKNOWN ? logits : values == NS_VALUES_LOGITS;
	for (i = 0; i < plane; i++) {
		int best = 0;

		for (k = 1; k < b->dim[1]; k++)
			if (o->data[k * plane + i] > o->data[best * plane + i])
				best = k;
		mask[i] = b->dim[1] > 1 ? (uint8_t)best : o->data[i] > (logits ? 0 : .5f);
	}
	return NS_OK;
}

void ns_tags(const float *x, int n, enum ns_values values, float *p)
{
	int i, logits = 0;

	for (i = 0; i < n; i++)
		logits |= !(x[i] >= 0 && x[i] <= 1);
	logits = values == NS_VALUES_UNKNOWN ? logits : values == NS_VALUES_LOGITS;
	for (i = 0; i < n; i++)
		p[i] = logits ? (float)(1 / (1 + exp(-(double)x[i]))) : x[i];
}
