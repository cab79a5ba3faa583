/* jobs/answer/said.c - what people said of an image, as masks: outlines, run lengths and boxes, as COCO and YOLO write them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"
#include "jobs/answer/answer.h"

static double item(const json_t *list, size_t i)
{
	return json_number_value(json_array_get(list, i));
}

/* Points of a list [x, y, x, y ...], shares of w and h where they are; NULL: it is none. The caller frees them. */
double *ns_said_points(const json_t *list, double w, double h, int *n)
{
	size_t i, count = json_array_size(list);
	double *xy = count >= 6 && count % 2 == 0 && count < 2000000 ? malloc(sizeof *xy * count) : NULL;

	for (i = 0; xy && i < count; i++) {
		xy[i] = item(list, i) * (i % 2 ? h : w);
		if (!json_is_number(json_array_get(list, i)) || !isfinite(xy[i]) || fabs(xy[i]) > 1e6) {
			free(xy);
			xy = NULL;
		}
	}
	*n = (int)(count / 2);
	return xy;
}

static enum ns_status fill_outline(const json_t *list, double across, double down, int h, int w, int16_t value, int16_t *mask, int64_t row)
{
	enum ns_status status;
	double *xy;
	int n;

	xy = ns_said_points(list, across, down, &n);
	if (!xy)
		return ns_fail(NS_BAD_DATA, "row %lld: an outline that is not at least three points x, y", (long long)row);
	status = ns_polygon_fill(xy, n, h, w, value, mask);
	free(xy);
	return status;
}

/* size [h, w] and counts, as numbers or as COCO's text. */
enum ns_status ns_said_runs(const json_t *rle, int h, int w, int16_t value, int16_t *mask, int64_t row)
{
	const json_t *counts = json_object_get(rle, "counts"), *size = json_object_get(rle, "size");
	const char *text = json_string_value(counts);
	size_t i, most = text ? strlen(text) : json_array_size(counts);
	int64_t *runs = malloc(sizeof *runs * (most + 1));
	int n = (int)most, fits;

	if (!runs)
		return ns_fail(NS_NO_MEMORY, "row %lld: out of memory for a mask", (long long)row);
	if (text)
		n = ns_runs_of_text(text, runs, (int)most);
	for (i = 0; !text && i < most; i++)
		runs[i] = json_is_integer(json_array_get(counts, i)) ? json_integer_value(json_array_get(counts, i)) : -1;
	fits = n >= 0 && (int)item(size, 0) == h && (int)item(size, 1) == w && ns_runs_fill(runs, n, h, w, value, mask);
	free(runs);
	return fits ? NS_OK : ns_fail(NS_BAD_DATA, "row %lld: run lengths that are not those of a mask of %d x %d", (long long)row, h, w);
}

/* What is drawn of an object; an empty list is none. */
const json_t *ns_said_drawn(const json_t *one)
{
	const json_t *drawn = json_object_get(one, "segmentation");

	return json_is_array(drawn) && !json_array_size(drawn) ? NULL : drawn;
}

/* Of one with a box and no outline nobody knows which pixels of the box are its own: they are NS_SAID_UNKNOWN, and it is counted. */
static enum ns_status fill_box(const json_t *box, int h, int w, int16_t *mask, int64_t row, int64_t *boxes)
{
	double x = item(box, 0), y = item(box, 1), right = x + item(box, 2), bottom = y + item(box, 3);
	const double corners[8] = {x, y, right, y, right, bottom, x, bottom};

	if (json_array_size(box) != 4 || !(fabs(x) + fabs(y) + fabs(right) + fabs(bottom) < 1e7))
		return ns_fail(NS_BAD_DATA, "row %lld: an object without a segmentation, polygon_normalized or bbox", (long long)row);
	++*boxes;
	return ns_polygon_fill(corners, 4, h, w, NS_SAID_UNKNOWN, mask);
}

static enum ns_status fill_object(const json_t *one, int h, int w, int16_t value, int16_t *mask, int64_t row, int64_t *boxes)
{
	const json_t *drawn = ns_said_drawn(one), *shares = json_object_get(one, "polygon_normalized");
	size_t i;

	if (json_is_object(drawn))
		return ns_said_runs(drawn, h, w, value, mask, row);
	if (json_is_array(drawn) && json_is_array(json_array_get(drawn, 0))) {
		for (i = 0; i < json_array_size(drawn); i++)
			NS_TRY(fill_outline(json_array_get(drawn, i), 1, 1, h, w, value, mask, row));
		return NS_OK;
	}
	if (json_is_array(drawn) || json_is_array(shares))
		return fill_outline(json_is_array(drawn) ? drawn : shares, json_is_array(drawn) ? 1 : w, json_is_array(drawn) ? 1 : h, h, w, value,
				    mask, row);
	return fill_box(json_object_get(one, "bbox"), h, w, mask, row, boxes);
}

int ns_said_class(char *const *names, int n, const char *name)
{
	int k = 0;

	while (k < n && (!name || strcmp(names[k], name)))
		k++;
	return k < n ? k : -1;
}

enum ns_status ns_said_mask(const json_t *objects, char *const *names, int n, int h, int w, int16_t *mask, int64_t row, int64_t *unknown,
			    int64_t *boxes)
{
	const json_t *one;
	size_t k;

	json_array_foreach(objects, k, one) {
		int crowd = ns_json_number(one, "iscrowd", 0) > 0,
		    cls = crowd ? NS_SAID_UNKNOWN : ns_said_class(names, n, ns_json_text(one, "category"));

		*unknown += cls == NS_SAID_UNKNOWN && !crowd;
		NS_TRY(fill_object(one, h, w, (int16_t)cls, mask, row, boxes));
	}
	return NS_OK;
}

int ns_said_background(char *const *names, int n)
{
	static const char *const backgrounds[] = {"background", "_background_", "__background__"};
	size_t k;
	int found = NS_SAID_UNKNOWN;

	for (k = 0; k < sizeof backgrounds / sizeof *backgrounds && found == NS_SAID_UNKNOWN; k++)
		found = ns_said_class(names, n, backgrounds[k]);
	return found;
}

int ns_said_symbols(char *const *names, int n, int blank_last, const char *text, int32_t *to, int most)
{
	int count = 0, k, best;
	size_t bytes, longest;

	for (; *text; text += longest, count++) {
		for (longest = 0, best = -1, k = 0; k < n; k++) {
			bytes = strlen(names[k]);
			if (bytes > longest && !strncmp(text, names[k], bytes)) {
				longest = bytes;
				best = k;
			}
		}
		if (best < 0)
			return -1;
		if (to && count == most)
			return -2;
		if (to)
			to[count] = blank_last ? best : best + 1;
	}
	return count;
}
