/* jobs/look/figures.c - the part of look.json that tells of one set: how many, of what classes, how they are stored, how bright they are. */
#include "jobs/look/look_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* How rows are kept: raw with their sizes, or as files with what is done when they are decoded. */
static json_t *stored(const struct ns_shard_head *h)
{
	char colour[16] = "none";

	if (!strcmp(h->encoding, "raw"))
		return NS_JSON_OBJECT({"encoding", json_string(h->encoding)}, {"height", json_integer(h->h)}, {"width", json_integer(h->w)},
				      {"channels", json_integer(h->c)});
	if (h->background)
		snprintf(colour, sizeof colour, "#%06x", (unsigned)(h->background - 1) & 0xffffff);
	return NS_JSON_OBJECT({"encoding", json_string(h->encoding)}, {"orientation", json_string(h->as_stored ? "stored" : "exif")},
			      {"background", json_string(colour)});
}

static enum ns_status put_classes(const struct ns_dataset *d, json_t *json)
{
	const struct ns_shard_head *h = ns_dataset_head(d);
	int64_t *count = calloc((size_t)h->class_count + 1, sizeof *count), i, least = INT64_MAX, most = 0, empty = 0;
	json_t *classes = json_array();
	int k;

	if (!count || !classes) {
		free(count);
		json_decref(classes);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %d classes", d->path, h->class_count);
	}
	for (i = 0; i < d->rows; i++)
		count[ns_dataset_label(d, i) + 1]++;
	for (k = 1; k <= h->class_count; k++) {
		json_array_append_new(classes, NS_JSON_OBJECT({"name", ns_json_string(h->classes[k - 1])}, {"rows", json_integer(count[k])}));
		empty += !count[k];
		most = count[k] > most ? count[k] : most;
		least = count[k] && count[k] < least ? count[k] : least;
	}
	json_object_set_new(json, "labelled", json_integer(d->rows - count[0]));
	json_object_set_new(json, "unlabelled", json_integer(count[0]));
	json_object_set_new(json, "classes", classes);
	json_object_set_new(json, "empty_classes", json_integer(empty));
	json_object_set_new(json, "imbalance", most ? ns_json_real((double)most / (double)least) : json_null());
	free(count);
	return NS_OK;
}

static json_t *groups(const struct ns_dataset *d)
{
	json_t *tally = json_object(), *ranked;
	int64_t i;
	int s;

	for (s = 0; s < d->count; s++) {
		const struct ns_shard *shard = d->shards[s];

		for (i = 0; i < shard->rows.rows; i++) {
			int32_t g = shard->rows.group[i];
			char other[32];

			snprintf(other, sizeof other, "group %d", g);
			ns_look_tally(tally, g >= 0 && g < shard->head.group_count ? shard->head.groups[g] : other, 1);
		}
	}
	ranked = ns_look_ranked(tally, 0);
	json_decref(tally);
	return ranked;
}

static enum ns_status put_bytes(const struct ns_dataset *d, json_t *json)
{
	int64_t bytes = 0;
	struct stat st;
	int s;

	for (s = 0; s < d->count; s++) {
		if (stat(d->shards[s]->path, &st))
			return ns_io_error(d->shards[s]->path, "stat");
		bytes += (int64_t)st.st_size;
	}
	json_object_set_new(json, "shards", json_integer(d->count));
	json_object_set_new(json, "bytes", json_integer(bytes));
	json_object_set_new(json, "stored", stored(ns_dataset_head(d)));
	return NS_OK;
}

static void put_measures(const struct ns_look_measures *m, json_t *json)
{
	double n = (double)m->images * NS_LOOK_MILLION, mean = (double)m->brightness / n;
	double square = ((double)m->square_high * 1048576 + (double)m->square_low) / n / NS_LOOK_MILLION, var = square - mean * mean;
	json_t *bins = json_array();
	int b;

	for (b = 0; b < NS_LOOK_BINS; b++)
		json_array_append_new(bins, json_integer(m->bins[b]));
	json_object_set_new(json, "brightness",
			    NS_JSON_OBJECT({"mean", ns_json_real(mean)}, {"std", ns_json_real(sqrt(var > 0 ? var : 0))}, {"histogram", bins}));
	json_object_set_new(json, "contrast", ns_json_real((double)m->contrast / n));
	json_object_set_new(json, "saturation", ns_json_real((double)m->saturation / n));
}

enum ns_status ns_look_figures(struct ns_look_set *set)
{
	const struct ns_dataset *d = set->data;
	json_t *json = set->figures = json_object(), *same = NULL, *conflicts = NULL, *part = NULL;
	enum ns_status status;

	json_object_set_new(json, "folder", ns_json_string(set->folder));
	json_object_set_new(json, "name", ns_json_string(*d->name ? d->name : ns_dataset_head(d)->dataset));
	json_object_set_new(json, "digest", json_string(d->digest));
	json_object_set_new(json, "rows", json_integer(d->rows));
	NS_GO(put_classes(d, json));
	NS_GO(put_bytes(d, json));
	json_object_set_new(json, "groups", groups(d));
	put_measures(&set->measures, json);
	NS_GO(ns_look_same(set, &same, &conflicts));
	json_object_set(json, "duplicates", same);
	NS_GO(ns_look_files(set, &part));
	json_object_set_new(json, "files", part);
	NS_GO(ns_look_strange(set, &part));
	json_object_set(part, "conflicts", conflicts);
	json_object_set_new(json, "strange", part);
	NS_GO(ns_look_sheet(set, &part));
	json_object_set_new(json, "sheet", part);
out:
	json_decref(same);
	json_decref(conflicts);
	return status;
}
