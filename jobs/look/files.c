/* jobs/look/files.c - what the files were of which a set was made: sizes, formats, orientations, times, cameras. */
#include "jobs/look/look_inner.h"

#include <stdlib.h>
#include <string.h>

#define VALUE_MOST ((int64_t)1 << 53) /* a shard of others may claim any number; one beyond what a double holds exactly is cut */

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Sorts the values; the median is the lower of the two in the middle, and bins are of equal width from the smallest to the largest. */
static json_t *spread(int64_t *v, int64_t n)
{
	int64_t bin[NS_LOOK_BINS] = {0}, i;
	json_t *bins = json_array();
	int b;

	for (i = 0; i < n; i++)
		v[i] = v[i] < 0 ? 0 : v[i] > VALUE_MOST ? VALUE_MOST : v[i];
	qsort(v, (size_t)n, sizeof *v, by_value);
	for (i = 0; i < n; i++)
		bin[(v[i] - v[0]) * NS_LOOK_BINS / (v[n - 1] - v[0] + 1)]++;
	for (b = 0; b < NS_LOOK_BINS; b++)
		json_array_append_new(bins, json_integer(bin[b]));
	return NS_JSON_OBJECT({"min", json_integer(v[0])}, {"median", json_integer(v[(n - 1) / 2])}, {"max", json_integer(v[n - 1])},
			      {"histogram", bins});
}

enum column { WIDTH, HEIGHT, BYTES };

static json_t *column(const struct ns_dataset *d, enum column which, int64_t *v)
{
	int64_t n = 0, i;
	int s;

	for (s = 0; s < d->count; s++) {
		const struct ns_row_files *f = &d->shards[s]->rows.files;

		for (i = 0; f->height && i < d->shards[s]->rows.rows; i++)
			v[n++] = which == WIDTH ? f->width[i] : which == HEIGHT ? f->height[i] : f->bytes[i];
	}
	return spread(v, n);
}

struct tallies {
	int64_t rows, grey, turned, placed, orientation[9], first, last, without_time, without_camera;
	json_t *formats, *cameras;
};

static void count_shard(struct tallies *t, const struct ns_shard *shard)
{
	const struct ns_row_files *f = &shard->rows.files;
	int64_t i;

	for (i = 0; f->height && i < shard->rows.rows; i++) {
		int o = f->orientation[i] > 1 && f->orientation[i] <= 8 ? f->orientation[i] : 1;
		int64_t time = f->captured[i];

		t->rows++;
		t->grey += f->channels[i] == 1;
		t->orientation[o]++;
		t->turned += o > 1;
		t->placed += f->position[i] == 1;
		t->without_time += !time;
		if (time && (!t->first || time < t->first))
			t->first = time;
		if (time && (!t->last || time > t->last))
			t->last = time;
		ns_look_tally(t->formats, shard->head.formats[f->format[i]], 1);
		if (f->camera[i] >= 0)
			ns_look_tally(t->cameras, shard->head.cameras[f->camera[i]], 1);
		else
			t->without_camera++;
	}
}

static json_t *told(const struct tallies *t)
{
	json_t *orientation = json_array();
	int o;

	for (o = 1; o <= 8; o++)
		json_array_append_new(orientation, json_integer(t->orientation[o]));
	return NS_JSON_OBJECT(
		{"rows", json_integer(t->rows)}, {"grey", json_integer(t->grey)}, {"formats", ns_look_ranked(t->formats, 0)},
		{"orientations", orientation}, {"turned", json_integer(t->turned)},
		{"captured", NS_JSON_OBJECT({"first", t->first ? json_integer(t->first) : json_null()},
					    {"last", t->last ? json_integer(t->last) : json_null()}, {"without", json_integer(t->without_time)})},
		{"cameras", ns_look_ranked(t->cameras, 5)}, {"camera_count", json_integer((json_int_t)json_object_size(t->cameras))},
		{"without_camera", json_integer(t->without_camera)}, {"positions", json_integer(t->placed)});
}

enum ns_status ns_look_files(const struct ns_look_set *set, json_t **json)
{
	const struct ns_dataset *d = set->data;
	struct tallies t = {.formats = json_object(), .cameras = json_object()};
	int64_t *v = malloc(sizeof *v * (size_t)(d->rows + 1));
	enum ns_status status = v && t.formats && t.cameras ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its files", d->path);
	int s;

	*json = NULL;
	NS_GO(status);
	for (s = 0; s < d->count; s++)
		count_shard(&t, d->shards[s]);
	*json = t.rows ? told(&t) : json_null();
	if (t.rows) {
		json_object_set_new(*json, "width", column(d, WIDTH, v));
		json_object_set_new(*json, "height", column(d, HEIGHT, v));
		json_object_set_new(*json, "bytes", column(d, BYTES, v));
	}
	if (!*json)
		status = ns_fail(NS_NO_MEMORY, "%s: out of memory for its files", d->path);
out:
	free(v);
	json_decref(t.formats);
	json_decref(t.cameras);
	return status;
}
