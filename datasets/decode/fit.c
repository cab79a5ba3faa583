/* datasets/decode/fit.c - an image onto the canvas that a network takes: by which rule it is scaled, where it lies, and how to find a place of the canvas in the image again. */
#include "datasets/decode/decode_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

static const char *const names[] = {"cover", "stretch", "letterbox", "corner", "within", "height", NULL};

int ns_fit_find(const char *name)
{
	return ns_word_find(names, name);
}

const char *ns_fit_name(enum ns_fit_rule rule)
{
	return names[rule];
}

enum ns_status ns_fit_check(const struct ns_fit *f)
{
	if (f->filter == NS_FILTER_AREA && (f->rule != NS_FIT_COVER || f->resize))
		return ns_fail(NS_CONFIG, "the filter area scales to what covers the canvas, and nothing else: expected another for the rule %s%s",
			       names[f->rule], f->resize ? " with a side of its own" : "");
	return NS_OK;
}

static int at_least_1(double side)
{
	return side < 1 ? 1 : (int)side;
}

static int to_multiple(double side, int multiple)
{
	int m = multiple > 1 ? multiple : 1, n = (int)nearbyint(side / m) * m;

	return n < m ? m : n;
}

/* Where the middle begins: of what is too long the nearest whole pixel, of what is too short the one before; torchvision's CenterCrop. */
static int middle(int canvas, int side)
{
	return side > canvas ? -(int)nearbyint((side - canvas) / 2.) : (canvas - side) / 2;
}

/* The shorter side becomes `resize`, or what covers the canvas; the middle is kept. */
static void cover(const struct ns_fit *f, int xh, int xw, struct ns_placed *p)
{
	double scale = f->resize ? (double)f->resize / (xh < xw ? xh : xw) : fmax((double)f->h / xh, (double)f->w / xw);

	p->h = at_least_1(xh * scale + 1e-9);
	p->w = at_least_1(xw * scale + 1e-9);
	p->y = middle(f->h, p->h);
	p->x = middle(f->w, p->w);
}

enum ns_status ns_fit_place(const struct ns_fit *f, int xh, int xw, struct ns_placed *p)
{
	double scale = fmin((double)f->h / xh, (double)f->w / xw);

	*p = (struct ns_placed){.canvas_h = f->h, .canvas_w = f->w, .h = f->h, .w = f->w};
	switch (f->rule) {
	case NS_FIT_COVER:
		cover(f, xh, xw, p);
		break;
	case NS_FIT_STRETCH:
		break;
	case NS_FIT_LETTERBOX:
		p->h = at_least_1(nearbyint(xh * scale));
		p->w = at_least_1(nearbyint(xw * scale));
		p->y = (int)nearbyint((f->h - p->h) / 2. - 0.1);
		p->x = (int)nearbyint((f->w - p->w) / 2. - 0.1);
		break;
	case NS_FIT_CORNER:
		p->h = at_least_1(xh * scale);
		p->w = at_least_1(xw * scale);
		break;
	case NS_FIT_WITHIN: /* no side longer than the canvas' longer one; the canvas is the image */
		scale = fmin(1, (double)(f->h > f->w ? f->h : f->w) / (xh > xw ? xh : xw));
		p->canvas_h = p->h = to_multiple((int)(xh * scale), f->multiple);
		p->canvas_w = p->w = to_multiple((int)(xw * scale), f->multiple);
		break;
	case NS_FIT_HEIGHT: /* as high as the canvas, and as wide as that makes it; a narrower one is filled */
		p->canvas_w = (int)fmin(f->h * ((double)xw / xh), 1e9);
		p->canvas_w = p->canvas_w < f->w ? f->w : p->canvas_w;
		p->w = (int)fmin(fmax(1, ceil(f->h * ((double)xw / xh))), p->canvas_w);
		break;
	}
	if (p->canvas_h > NS_SIDE_MAX || p->canvas_w > NS_SIDE_MAX || (f->filter != NS_FILTER_AREA && (p->h > NS_SIDE_MAX || p->w > NS_SIDE_MAX)))
		return ns_fail(NS_BAD_DATA, "%dx%d would be scaled to %dx%d, expected sides of at most %d", xw, xh, p->w, p->h, NS_SIDE_MAX);
	p->down = (double)p->h / xh;
	p->across = (double)p->w / xw;
	return NS_OK;
}

/* What of the scaled image lies on the canvas, onto it. */
static void put(const struct ns_placed *p, const uint8_t *scaled, int c, uint8_t *out)
{
	int left = p->x < 0 ? 0 : p->x, right = p->x + p->w < p->canvas_w ? p->x + p->w : p->canvas_w, i;

	for (i = p->y < 0 ? 0 : p->y; i < p->y + p->h && i < p->canvas_h && right > left; i++)
		memcpy(out + ((int64_t)i * p->canvas_w + left) * c, scaled + ((int64_t)(i - p->y) * p->w + (left - p->x)) * c,
		       (size_t)(right - left) * (size_t)c);
}

/* Scaled, in memory of its own, and where that lies; area keeps the middle itself. */
static enum ns_status scale(const struct ns_fit *f, const struct ns_placed *p, const uint8_t *x, int xh, int xw, int c, uint8_t **scaled,
			    struct ns_placed *at)
{
	*at = *p;
	if (f->filter == NS_FILTER_AREA)
		*at = (struct ns_placed){.canvas_h = p->canvas_h, .canvas_w = p->canvas_w, .h = p->canvas_h, .w = p->canvas_w};
	*scaled = malloc((size_t)at->h * (size_t)at->w * (size_t)c);
	if (!*scaled)
		return ns_fail(NS_NO_MEMORY, "out of memory for %dx%d pixels", at->w, at->h);
	return ns_filter(f->filter, x, xh, xw, c, *scaled, at->h, at->w);
}

enum ns_status ns_fit_bytes(const struct ns_fit *f, const struct ns_placed *p, const uint8_t *x, int xh, int xw, int c, uint8_t *out)
{
	struct ns_placed at;
	uint8_t *scaled;
	enum ns_status status = scale(f, p, x, xh, xw, c, &scaled, &at);

	if (status == NS_OK) {
		memset(out, (int)lrint(f->fill), (size_t)p->canvas_h * (size_t)p->canvas_w * (size_t)c);
		put(&at, scaled, c, out);
	}
	free(scaled);
	return status;
}

enum ns_status ns_fit_image(const struct ns_fit *f, const struct ns_placed *p, const uint8_t *x, int xh, int xw, int c, const float *mean,
			    const float *std, float *out)
{
	struct ns_placed at;
	uint8_t *scaled;
	enum ns_status status = scale(f, p, x, xh, xw, c, &scaled, &at);
	float a[4], b[4];
	int i, j, k;

	for (k = 0; k < c; k++) {
		a[k] = 1 / (255 * std[k]);
		b[k] = -mean[k] / std[k];
	}
	for (i = 0; status == NS_OK && i < p->canvas_h; i++)
		for (j = 0; j < p->canvas_w; j++, out += c) {
			int inside = i >= at.y && i < at.y + at.h && j >= at.x && j < at.x + at.w;
			const uint8_t *from = inside ? scaled + ((int64_t)(i - at.y) * at.w + (j - at.x)) * c : NULL;

			for (k = 0; k < c; k++)
				out[k] = (from ? (float)from[k] : (float)f->fill) * a[k] + b[k];
		}
	free(scaled);
	return status;
}
