/* kernels/formula/augment_inner.h - what the draws of both versions of recipes share. */
#ifndef NS_FORMULA_AUGMENT_INNER_H
#define NS_FORMULA_AUGMENT_INNER_H

#include "kernels/formula/augment.h"

struct ns_augment_who { /* what the draws of a sample are keyed by */
	uint64_t seed, id;
	uint32_t epoch, repeat;
};

/* From pixels of a result to pixels of the image, both about their centres: m (2x2) applied to (x, y), then + (tx, ty). */
struct ns_augment_map {
	double m[4], tx, ty;
};

static inline int32_t ns_fixed(double x, double one)
{
	return (int32_t)floor(x * one + 0.5);
}

static inline double ns_between(struct ns_range r, uint32_t bits)
{
	return r.low + (r.high - r.low) * ns_uniform(bits);
}

/* Repeats of a row within an epoch have independent draws: the upper bits of the draw number count them. */
static inline struct ns_philox ns_augment_bits(const struct ns_augment_who *who, uint32_t number)
{
	return ns_draw(who->seed, NS_FOR_AUGMENT, who->epoch, who->id, who->repeat << 8 | number);
}

/* g->m = g->m (a b; c d) */
static inline void ns_map_times(struct ns_augment_map *g, double a, double b, double c, double d)
{
	double m0 = g->m[0], m2 = g->m[2];

	g->m[0] = m0 * a + g->m[1] * c;
	g->m[1] = m0 * b + g->m[1] * d;
	g->m[2] = m2 * a + g->m[3] * c;
	g->m[3] = m2 * b + g->m[3] * d;
}

/* Writes the map of h x w to p x q into the sample. */
void ns_map_set(struct ns_augment_sample *s, const struct ns_augment_map *g, int h, int w, int p, int q);

/* m (3x4) = by (3x3 rows, the same offset for each) after m */
void ns_colour_after(double m[3][4], double by[3][3], double offset);

/* Brightness b, then contrast c about 128, then saturation s, as one matrix. */
void ns_colour_matrix(double m[3][4], double b, double c, double s);
void ns_colour_set(struct ns_augment_sample *a, double m[3][4]);

/* A coarser grid of the share f of p x q. */
void ns_resolution_set(struct ns_augment_sample *a, double f, int p, int q);

/* A square of the share `side` of p about (y, x). */
void ns_cutout_set(struct ns_augment_sample *a, double side, int y, int x, int p, int q);

/* Draws as version 1 did, for ever. The sample is the identity's. */
void ns_augment_draw_1(struct ns_augment_sample *a, const struct ns_augment_config *g, const struct ns_augment_who *who, int h, int w, int p, int q);

#endif
