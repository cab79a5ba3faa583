/*
 * kernels/formula/stats.h - what is measured on an image: integer sums over pixels, then one formula.
 *
 * luma l = (77 R + 150 G + 29 B + 128) >> 8 (C = 1: the value itself), on 0..255, then divided by 255.
 *	brightness  mean of l                      contrast    standard deviation of l
 *	saturation  mean of max(RGB) - min(RGB)    sharpness   root mean square of the 4-neighbour Laplacian
 *	noise       Immerkaer (1996): sqrt(pi/2) / 6 * mean |3x3 mask|, inside only
 *	dark        share of l < 16                bright      share of l > 239
 */
#ifndef NS_FORMULA_STATS_H
#define NS_FORMULA_STATS_H

#include "kernels/formula/inline.h"

#define NS_STAT_NAMES                                                                                                                                \
	{                                                                                                                                            \
		"brightness", "contrast", "saturation", "sharpness", "noise", "dark", "bright"                                                       \
	}
#define NS_STAT_COUNT 7

struct ns_stat_sums {
	int64_t sum, square, chroma, laplace2, immerkaer, dark, bright;
};

NS_FORMULA int32_t ns_luma(const uint8_t *p, int c)
{
	return c == 1 ? p[0] : (77 * p[0] + 150 * p[1] + 29 * p[2] + 128) >> 8;
}

NS_FORMULA int32_t ns_chroma(const uint8_t *p, int c)
{
	int32_t high, low;

	if (c == 1)
		return 0;
	high = p[0] > p[1] ? p[0] : p[1];
	low = p[0] < p[1] ? p[0] : p[1];
	high = p[2] > high ? p[2] : high;
	low = p[2] < low ? p[2] : low;
	return high - low;
}

/* out[NS_STAT_COUNT] from the sums over an image of h x w */
NS_FORMULA void ns_stats_finish(float *out, const struct ns_stat_sums *s, int h, int w)
{
	double n = (double)h * w, inner = (double)(h > 2 ? h - 2 : 0) * (w > 2 ? w - 2 : 0);
	double mean = (double)s->sum / n, var = (double)s->square / n - mean * mean;

	out[0] = (float)(mean / 255);
	out[1] = (float)(sqrt(var > 0 ? var : 0) / 255);
	out[2] = (float)((double)s->chroma / n / 255);
	out[3] = (float)(inner > 0 ? sqrt((double)s->laplace2 / inner) / 255 : 0);
	out[4] = (float)(inner > 0 ? 1.2533141373155003 / 6 * (double)s->immerkaer / inner / 255 : 0);
	out[5] = (float)((double)s->dark / n);
	out[6] = (float)((double)s->bright / n);
}

#endif
