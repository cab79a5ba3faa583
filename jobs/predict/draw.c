/* jobs/predict/draw.c - what was found, drawn into the image: boxes and regions as lines, classes of pixels as colours; and the cutting out of a place. */
#include "jobs/predict/predict_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

/* Okabe and Ito's colours, which people tell apart whatever their eyes */
static const uint8_t colours[][3] = {{213, 94, 0}, {0, 114, 178}, {0, 158, 115}, {204, 121, 167}, {230, 159, 0}, {86, 180, 233}, {240, 228, 66}};

struct canvas {
	uint8_t *pixels;
	int h, w;
};

/* The colour of a name, the same in every picture. */
static const uint8_t *colour_of(const char *name)
{
	return colours[ns_xxh3(name, strlen(name)) % (sizeof colours / sizeof *colours)];
}

static void dot(struct canvas *c, double x, double y, double radius, const uint8_t *colour)
{
	int i, j;

	for (i = (int)floor(y - radius); i <= y + radius; i++)
		for (j = (int)floor(x - radius); j <= x + radius; j++)
			if (i >= 0 && i < c->h && j >= 0 && j < c->w)
				memcpy(c->pixels + ((int64_t)i * c->w + j) * 3, colour, 3);
}

static void line(struct canvas *c, double x0, double y0, double x1, double y1, const uint8_t *colour)
{
	double length = hypot(x1 - x0, y1 - y0), radius = fmax(.5, (c->h < c->w ? c->h : c->w) / 500.), at;

	for (at = 0; at <= length; at += .5)
		dot(c, x0 + (x1 - x0) * (length > 0 ? at / length : 0), y0 + (y1 - y0) * (length > 0 ? at / length : 0), radius, colour);
}

static double number(const json_t *list, size_t i)
{
	return json_number_value(json_array_get(list, i));
}

/* Corners of a region or of a box, clockwise from the upper left. */
static void corners_of(const json_t *place, double x[4], double y[4])
{
	const json_t *box = json_object_get(place, "box"), *corners = json_object_get(place, "corners");
	size_t k;

	for (k = 0; k < 4; k++) {
		x[k] = box ? number(box, k == 1 || k == 2 ? 2 : 0) : number(json_array_get(corners, k), 0);
		y[k] = box ? number(box, k > 1 ? 3 : 1) : number(json_array_get(corners, k), 1);
	}
}

static void outline(struct canvas *c, const json_t *place, const char *name)
{
	double x[4], y[4];
	int k;

	corners_of(place, x, y);
	for (k = 0; k < 4; k++)
		line(c, x[k], y[k], x[(k + 1) % 4], y[(k + 1) % 4], colour_of(name));
}

/* Half of the colour over the pixels of a class; the first one, which is the background, stays as it is. */
static void tint(struct canvas *c, const json_t *rle, const uint8_t *colour)
{
	const json_t *counts = json_object_get(rle, "counts"), *one;
	int64_t at = 0, run;
	int on = 0, k;
	size_t i;

	json_array_foreach(counts, i, one) {
		for (run = json_integer_value(one); run > 0 && at < (int64_t)c->h * c->w; run--, at++)
			for (k = 0; on && k < 3; k++) {
				uint8_t *p = c->pixels + ((at % c->h) * c->w + at / c->h) * 3 + k;

				*p = (uint8_t)((*p + colour[k]) / 2);
			}
		on = !on;
	}
}

void ns_predict_draw(const json_t *result, uint8_t *pixels, int h, int w)
{
	struct canvas c = {pixels, h, w};
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(result, "classes"), i, one)
		if (json_object_get(one, "rle") && json_integer_value(json_object_get(one, "id")))
			tint(&c, json_object_get(one, "rle"), colour_of(ns_json_text(one, "class")));
	json_array_foreach(json_object_get(result, "regions"), i, one)
		outline(&c, one, "region");
	json_array_foreach(json_object_get(result, "boxes"), i, one)
		outline(&c, one, ns_json_text(one, "class"));
}

/* Between four pixels, whose middles lie at halves; beyond the edge it repeats. */
static uint8_t between(const uint8_t *x, int h, int w, int c, int k, double v, double u)
{
	double dv, du, sum = 0;
	int i, j;

	v = fmin(fmax(v - .5, 0), h - 1);
	u = fmin(fmax(u - .5, 0), w - 1);
	dv = v - floor(v);
	du = u - floor(u);
	for (i = 0; i < 2; i++)
		for (j = 0; j < 2; j++) {
			int y = (int)v + i < h ? (int)v + i : h - 1, q = (int)u + j < w ? (int)u + j : w - 1;

			sum += (i ? dv : 1 - dv) * (j ? du : 1 - du) * x[((int64_t)y * w + q) * c + k];
		}
	return (uint8_t)lrint(sum);
}

enum ns_status ns_predict_crop(const uint8_t *pixels, int h, int w, int c, const json_t *place, uint8_t **out, int *oh, int *ow)
{
	double x[4], y[4], wide, high;
	int i, j, k, turned;

	corners_of(place, x, y);
	wide = hypot(x[1] - x[0], y[1] - y[0]);
	high = hypot(x[3] - x[0], y[3] - y[0]);
	turned = high >= 1.5 * wide;
	*oh = (int)fmax(1, nearbyint(turned ? wide : high));
	*ow = (int)fmax(1, nearbyint(turned ? high : wide));
	*out = malloc((size_t)*oh * (size_t)*ow * (size_t)c);
	if (!*out)
		return ns_fail(NS_NO_MEMORY, "out of memory for a part of %dx%d pixels", *ow, *oh);
	for (i = 0; i < *oh; i++)
		for (j = 0; j < *ow; j++) {
			/* shares of the way from the first corner to the second and to the fourth */
			double a = turned ? 1 - (i + .5) / *oh : (j + .5) / *ow, b = turned ? (j + .5) / *ow : (i + .5) / *oh;
			double u = x[0] + a * (x[1] - x[0]) + b * (x[3] - x[0]), v = y[0] + a * (y[1] - y[0]) + b * (y[3] - y[0]);

			for (k = 0; k < c; k++)
				(*out)[((int64_t)i * *ow + j) * c + k] = between(pixels, h, w, c, k, v, u);
		}
	return NS_OK;
}
