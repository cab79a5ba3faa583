/* jobs/look/images.c - the page's images: thumbnails as data: URIs, of a size at which all of them fit the page's share. */
#include "jobs/look/look_inner.h"

#include <stdlib.h>
#include <string.h>

#include "datasets/decode/decode.h"

#define SHEET_BYTES   (3 << 20) /* of a page's pixels for contact sheets, */
#define STRANGE_BYTES (3 << 20) /* and for what is strange: PNG makes them smaller, base64 a third larger */
#define STRANGE_SHOWN 90	/* images at most: ten each of four kinds, five of two, four each of ten conflicts */
#define LEAK_SIDE     48
#define LEAST_SIDE    16
#define SHOWN	      64 /* a small image is shown at about so many pixels */

/* The longer side at which n images, of three channels at worst, take no more than `bytes`. */
static int side_for(int64_t n, int64_t bytes)
{
	int side = NS_LOOK_THUMB;

	while (side > LEAST_SIDE && n * side * side * 3 > bytes)
		side--;
	return side;
}

/* Raw images that are larger are scaled down, files are decoded at this size. */
enum ns_status ns_look_thumbnail(const struct ns_dataset *d, int64_t row, int side, int size[3], uint8_t **pixels)
{
	int64_t at;
	const struct ns_shard *s = ns_dataset_at(d, row, &at);
	uint8_t *file = NULL, *small = NULL;
	size_t capacity = 0;
	int h, w, longer;
	enum ns_status status;

	ns_look_size(s, at, side, &size[0], &size[1], &size[2]);
	*pixels = malloc((size_t)size[0] * (size_t)size[1] * (size_t)size[2]);
	NS_GO(*pixels ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for an image", d->path));
	NS_GO(ns_dataset_pixels(d, row, size[0], size[1], size[2], *pixels, &file, &capacity));
	longer = size[0] > size[1] ? size[0] : size[1];
	if (longer > side) {
		h = (int)((int64_t)size[0] * side / longer);
		w = (int)((int64_t)size[1] * side / longer);
		h += !h;
		w += !w;
		small = malloc((size_t)h * (size_t)w * (size_t)size[2]);
		NS_GO(small ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for an image", d->path));
		NS_GO(ns_resize(*pixels, size[0], size[1], size[2], small, h, w));
		free(*pixels);
		*pixels = small;
		small = NULL;
		size[0] = h;
		size[1] = w;
	}
out:
	free(file);
	free(small);
	return status;
}

static enum ns_status image(struct ns_html *h, const struct ns_look_set *set, int64_t row, int side)
{
	uint8_t *pixels = NULL, *png = NULL;
	int size[3], longer;
	size_t bytes;
	char alt[32];
	enum ns_status status;

	NS_GO(ns_look_thumbnail(set->data, row, side, size, &pixels));
	NS_GO(ns_png_encode(pixels, size[0], size[1], size[2], &png, &bytes));
	longer = size[0] > size[1] ? size[0] : size[1];
	snprintf(alt, sizeof alt, "row %lld", (long long)row);
	ns_html_png(h, png, bytes, size[1], size[0], longer < SHOWN ? (SHOWN + longer / 2) / longer : 1, alt);
out:
	free(pixels);
	free(png);
	return status;
}

enum ns_status ns_look_page_sheet(struct ns_html *h, const struct ns_look_job *k, const struct ns_look_set *set)
{
	const json_t *classes = json_object_get(set->figures, "sheet"), *all = json_object_get(set->figures, "classes"), *class, *row;
	int64_t n = 0;
	size_t i, j;
	int side;

	json_array_foreach(classes, i, class)
		n += (int64_t)json_array_size(json_object_get(class, "rows"));
	side = side_for(n, SHEET_BYTES / k->count);
	ns_html_element(h, "h3", "Contact sheet");
	ns_html_element(h, "p class=\"dim\"", "Of each class up to %d images, drawn by the set's digest.", NS_LOOK_DRAWN);
	json_array_foreach(classes, i, class) {
		const json_t *rows = json_object_get(class, "rows");
		const char *name = json_string_value(json_object_get(class, "class"));

		if (!json_array_size(rows))
			continue;
		ns_html_element(h, "p style=\"margin:.8rem 0 .2rem\"", "%s", name ? name : "without a label");
		ns_html_raw(h, "<div class=\"grid\" style=\"gap:.3rem\">");
		json_array_foreach(rows, j, row)
			NS_TRY(image(h, set, json_integer_value(row), side));
		ns_html_raw(h, "</div>\n");
	}
	if (json_array_size(all) > NS_LOOK_CLASSES) {
		ns_html_raw(h, "<details><summary>%zu classes more</summary><p>", json_array_size(all) - NS_LOOK_CLASSES);
		for (i = NS_LOOK_CLASSES; i < json_array_size(all); i++)
			ns_html_raw(h, "%s%.200s", i > NS_LOOK_CLASSES ? ", " : "", ns_json_text(json_array_get(all, i), "name"));
		ns_html_raw(h, "</p></details>\n");
	}
	return NS_OK;
}

/* "0.250; cat, row 12: cat/9.png" */
static void describe(struct ns_html *h, const json_t *row, const char *measure)
{
	const char *class = json_string_value(json_object_get(row, "class")), *source = ns_json_text(row, "source");

	if (measure && !strcmp(measure, "pixels"))
		ns_html_raw(h, "%lld x %lld; ", (long long)json_integer_value(json_object_get(row, "width")),
			    (long long)json_integer_value(json_object_get(row, "height")));
	else if (measure)
		ns_html_raw(h, "%.3f; ", ns_json_number(row, measure, 0));
	ns_html_raw(h, "%s, row %lld%s%s", class ? class : "no label", (long long)json_integer_value(json_object_get(row, "row")),
		    *source ? ": " : "", source);
}

/* A row with its place; `also`, which may be NULL, is another that has the same pixels. */
static enum ns_status figure(struct ns_html *h, const struct ns_look_set *set, const json_t *row, const json_t *also, const char *measure, int side)
{
	ns_html_raw(h, "<figure style=\"width:7rem;overflow-wrap:anywhere\">");
	NS_TRY(image(h, set, json_integer_value(json_object_get(row, "row")), side));
	ns_html_raw(h, "<figcaption>");
	describe(h, row, measure);
	if (also) {
		ns_html_raw(h, "<br>");
		describe(h, also, measure);
	}
	ns_html_raw(h, "</figcaption></figure>\n");
	return NS_OK;
}

static enum ns_status page_rows(struct ns_html *h, const struct ns_look_set *set, const json_t *rows, const char *measure, int side)
{
	const json_t *row;
	size_t i;

	ns_html_raw(h, "<div class=\"grid\">");
	json_array_foreach(rows, i, row)
		NS_TRY(figure(h, set, row, NULL, measure, side));
	ns_html_raw(h, "</div>\n");
	return NS_OK;
}

enum ns_status ns_look_page_strange(struct ns_html *h, const struct ns_look_job *k, const struct ns_look_set *set)
{
	static const struct {
		const char *name, *measure, *title;
	} kinds[] = {{"largest", "pixels", "The largest files"},
		     {"smallest", "pixels", "The smallest files"},
		     {"darkest", "brightness", "The darkest"},
		     {"brightest", "brightness", "The brightest"},
		     {"flattest", "contrast", "The flattest (least contrast)"},
		     {"most_saturated", "saturation", "The most saturated"}};
	const json_t *strange = json_object_get(set->figures, "strange"), *conflict;
	int side = side_for(STRANGE_SHOWN, STRANGE_BYTES / k->count);
	size_t i;

	json_array_foreach(json_object_get(strange, "conflicts"), i, conflict) {
		if (!i)
			ns_html_element(h, "h3", "The same image in several classes");
		ns_html_element(h, "p class=\"dim\"",
				"%lld rows have these pixels:", (long long)json_integer_value(json_object_get(conflict, "count")));
		NS_TRY(page_rows(h, set, json_object_get(conflict, "rows"), NULL, side));
	}
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const json_t *rows = json_object_get(strange, kinds[i].name);

		if (!json_array_size(rows))
			continue;
		ns_html_element(h, "h3", "%s", kinds[i].title);
		NS_TRY(page_rows(h, set, rows, kinds[i].measure, side));
	}
	return NS_OK;
}

static const struct ns_look_set *set_of(const struct ns_look_job *k, const json_t *pair, const char *key)
{
	int i;

	for (i = 0; i < k->count - 1 && strcmp(ns_json_text(k->sets[i].figures, "folder"), ns_json_text(pair, key)) != 0;)
		i++;
	return &k->sets[i];
}

enum ns_status ns_look_page_leaks(struct ns_html *h, const struct ns_look_job *k)
{
	const json_t *pair, *one;
	size_t i, j;

	json_array_foreach(json_object_get(k->all, "between"), i, pair) {
		if (!json_integer_value(json_object_get(pair, "images")))
			continue;
		ns_html_element(h, "h3", "In %s and in %s", ns_json_text(pair, "a"), ns_json_text(pair, "b"));
		ns_html_raw(h, "<div class=\"grid\">");
		json_array_foreach(json_object_get(pair, "first"), j, one)
			NS_TRY(figure(h, set_of(k, pair, "a"), json_object_get(one, "a"), json_object_get(one, "b"), NULL, LEAK_SIDE));
		ns_html_raw(h, "</div>\n");
	}
	return NS_OK;
}
