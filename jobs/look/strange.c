/* jobs/look/strange.c - which rows a person should see: the extremes of sizes and measures, and a few of each class by a keyed draw. */
#include "jobs/look/look_inner.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/formula/random.h"

#define EXTREMES 5 /* largest and smallest files */

static json_t *with_pixels(const struct ns_dataset *d, const struct ns_look_place *list, int64_t n)
{
	json_t *json = json_array();
	int64_t i;

	for (i = 0; i < n; i++) {
		int64_t at;
		const struct ns_row_files *f = &ns_dataset_at(d, list[i].row, &at)->rows.files;
		json_t *row = ns_look_row(d, list[i].row);

		json_object_set_new(row, "width", json_integer(f->width[at]));
		json_object_set_new(row, "height", json_integer(f->height[at]));
		json_array_append_new(json, row);
	}
	return json;
}

/* Files by their pixels; of equal ones the first rows. Where all have the same number nothing is large or small. */
static void put_sizes(const struct ns_dataset *d, json_t *json)
{
	struct ns_look_place small[EXTREMES], large[EXTREMES];
	int64_t smalls = 0, larges = 0, i;
	int s;

	for (s = 0; s < d->count; s++) {
		const struct ns_row_files *f = &d->shards[s]->rows.files;

		for (i = 0; f->height && i < d->shards[s]->rows.rows; i++) {
			int64_t pixels = (int64_t)f->height[i] * f->width[i], row = d->first[s] + i;

			ns_look_keep(small, &smalls, EXTREMES, (struct ns_look_place){pixels, row});
			ns_look_keep(large, &larges, EXTREMES, (struct ns_look_place){-pixels, row});
		}
	}
	if (smalls && small[0].key == -large[0].key)
		smalls = larges = 0;
	json_object_set_new(json, "largest", with_pixels(d, large, larges));
	json_object_set_new(json, "smallest", with_pixels(d, small, smalls));
}

enum ns_status ns_look_strange(const struct ns_look_set *set, json_t **json)
{
	static const char *const names[NS_LOOK_ODD] = {"darkest", "brightest", "flattest", "most_saturated"}, *const measures[NS_LOOK_ODD] = {
														      "brightness", "brightness",
														      "contrast", "saturation"};
	const struct ns_look_measures *m = &set->measures;
	int64_t i;
	int odd;

	*json = json_object();
	put_sizes(set->data, *json);
	for (odd = 0; odd < NS_LOOK_ODD; odd++) {
		json_t *list = json_array();

		for (i = 0; i < m->found[odd]; i++) {
			json_t *row = ns_look_row(set->data, m->top[odd][i].row);

			json_object_set_new(row, measures[odd], json_real((double)llabs(m->top[odd][i].key) / NS_LOOK_MILLION));
			json_array_append_new(list, row);
		}
		json_object_set_new(*json, names[odd], list);
	}
	return *json ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its strangest rows", set->data->path);
}

struct drawn { /* of one class: the rows with the smallest keys */
	int64_t n;
	struct ns_look_place place[NS_LOOK_UNNAMED];
};

static int by_row(const void *a, const void *b)
{
	const struct ns_look_place *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

static json_t *drawn_json(const char *name, struct drawn *drawn)
{
	json_t *rows = json_array();
	int64_t i;

	qsort(drawn->place, (size_t)drawn->n, sizeof *drawn->place, by_row);
	for (i = 0; i < drawn->n; i++)
		json_array_append_new(rows, json_integer(drawn->place[i].row));
	return NS_JSON_OBJECT({"class", name ? ns_json_string(name) : json_null()}, {"rows", rows});
}

/* The draw is keyed by the set's digest, so that the same set shows the same images to everybody. */
enum ns_status ns_look_sheet(const struct ns_look_set *set, json_t **json)
{
	const struct ns_dataset *d = set->data;
	const struct ns_shard_head *h = ns_dataset_head(d);
	int classes = h->class_count < NS_LOOK_CLASSES ? h->class_count : NS_LOOK_CLASSES, k, most = h->class_count ? NS_LOOK_DRAWN : NS_LOOK_UNNAMED;
	struct drawn *drawn = calloc((size_t)classes + 1, sizeof *drawn);
	char digits[17] = "";
	uint64_t seed;
	int64_t i;

	if (!drawn)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %d classes", d->path, classes);
	memcpy(digits, d->digest, 16);
	seed = strtoull(digits, NULL, 16);
	for (i = 0; i < d->rows; i++) {
		int32_t label = ns_dataset_label(d, i);

		if (label < classes) /* drawn[0] is of rows without a label */
			ns_look_keep(drawn[label + 1].place, &drawn[label + 1].n, most,
				     (struct ns_look_place){(int64_t)(ns_draw_u64(seed, NS_FOR_SHUFFLE, 0, (uint64_t)i) >> 1), i});
	}
	*json = json_array();
	for (k = 1; k <= classes; k++)
		json_array_append_new(*json, drawn_json(h->classes[k - 1], &drawn[k]));
	if (drawn[0].n)
		json_array_append_new(*json, drawn_json(NULL, &drawn[0]));
	free(drawn);
	return NS_OK;
}
