/* jobs/look/same.c - rows that are equal: within a set, in several of its classes, and between sets, as where a test image is trained on. */
#include "jobs/look/look_inner.h"

#include <stdlib.h>
#include <string.h>

#define CONFLICT_ROWS 4 /* of an image in several classes, that are named */
#define LEAKS	      5 /* images of two sets that are named */

static int by_id(const void *a, const void *b)
{
	const struct ns_look_key *x = a, *y = b;

	return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : (x->row > y->row) - (x->row < y->row);
}

/* The number of keys from `at` on that have its id. */
static int64_t run_of(const struct ns_look_key *ids, int64_t at, int64_t rows)
{
	int64_t n = 1;

	while (at + n < rows && ids[at + n].id == ids[at].id)
		n++;
	return n;
}

static json_t *id_json(uint64_t id)
{
	char hex[17];

	snprintf(hex, sizeof hex, "%016llx", (unsigned long long)id);
	return json_string(hex);
}

/* Whether rows of one id have labels of several classes; rows without a label contradict nobody. */
static int is_conflict(const struct ns_dataset *d, const struct ns_look_key *ids, int64_t n)
{
	int32_t first = -1, label;
	int64_t i;

	for (i = 0; i < n; i++) {
		label = ns_dataset_label(d, ids[i].row);
		if (first >= 0 && label >= 0 && label != first)
			return 1;
		first = first >= 0 ? first : label;
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct ns_look_place *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

/* The images in several classes, those first whose first row is first; with their first rows. */
static json_t *conflicts_json(const struct ns_look_set *set, struct ns_look_place *found, int64_t count)
{
	json_t *json = json_array();
	int64_t i, k;

	qsort(found, (size_t)count, sizeof *found, by_place);
	for (i = 0; i < count && i < NS_LOOK_TOP; i++) {
		const struct ns_look_key *ids = set->ids + found[i].key;
		int64_t n = run_of(set->ids, found[i].key, set->data->rows);
		json_t *rows = json_array();

		for (k = 0; k < n && k < CONFLICT_ROWS; k++)
			json_array_append_new(rows, ns_look_row(set->data, ids[k].row));
		json_array_append_new(json, NS_JSON_OBJECT({"id", id_json(ids->id)}, {"count", json_integer(n)}, {"rows", rows}));
	}
	return json;
}

static int by_sha256(const void *a, const void *b)
{
	return memcmp(*(const uint8_t *const *)a, *(const uint8_t *const *)b, 32);
}

/* Rows whose file an earlier row has byte for byte; null where no shard keeps digests. */
static enum ns_status same_files(const struct ns_dataset *d, json_t **json)
{
	const uint8_t **all = malloc(sizeof *all * (size_t)(d->rows + 1));
	int64_t n = 0, same = 0, i;
	int s;

	if (!all)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for the digests of its files", d->path);
	for (s = 0; s < d->count; s++) {
		const struct ns_rows *r = &d->shards[s]->rows;

		for (i = 0; r->files.sha256 && i < r->rows; i++)
			all[n++] = r->files.sha256 + 32 * i;
	}
	qsort(all, (size_t)n, sizeof *all, by_sha256);
	for (i = 1; i < n; i++)
		same += !memcmp(all[i - 1], all[i], 32);
	*json = n ? json_integer(same) : json_null();
	free(all);
	return NS_OK;
}

enum ns_status ns_look_same(struct ns_look_set *set, json_t **duplicates, json_t **conflicts)
{
	const struct ns_dataset *d = set->data;
	struct ns_look_place *found = NULL; /* images in several classes: key is the place in ids */
	int64_t i, n, rows = 0, repeated = 0, in_conflict = 0, count = 0;
	json_t *files = NULL;
	enum ns_status status;

	set->ids = malloc(sizeof *set->ids * (size_t)(d->rows + 1));
	found = malloc(sizeof *found * (size_t)(d->rows / 2 + 1));
	NS_GO(set->ids && found ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for the identities of its rows", d->path));
	for (i = 0; i < d->rows; i++)
		set->ids[i] = (struct ns_look_key){ns_dataset_id(d, i), i};
	qsort(set->ids, (size_t)d->rows, sizeof *set->ids, by_id);
	for (i = 0; i < d->rows; i += n) {
		n = run_of(set->ids, i, d->rows);
		rows += n - 1;
		repeated += n > 1;
		if (is_conflict(d, set->ids + i, n)) {
			found[count++] = (struct ns_look_place){i, set->ids[i].row};
			in_conflict += n;
		}
	}
	NS_GO(same_files(d, &files));
	*duplicates = NS_JSON_OBJECT({"rows", json_integer(rows)}, {"images", json_integer(repeated)}, {"files", files},
				     {"conflicts", json_integer(count)}, {"conflict_rows", json_integer(in_conflict)});
	*conflicts = conflicts_json(set, found, count);
out:
	free(found);
	return status;
}

/* What images two sets share: how many, in how many rows of each, and in how many cases under another class; the first of them by name. */
static json_t *shared(const struct ns_look_set *a, const struct ns_look_set *b)
{
	int64_t i = 0, j = 0, images = 0, rows_a = 0, rows_b = 0, labels = 0;
	json_t *first = json_array();

	while (i < a->data->rows && j < b->data->rows) {
		const struct ns_look_key *x = a->ids + i, *y = b->ids + j;
		const char *class_a, *class_b;

		if (x->id != y->id) {
			i += x->id < y->id;
			j += x->id > y->id;
			continue;
		}
		images++;
		class_a = ns_look_class(a->data, x->row);
		class_b = ns_look_class(b->data, y->row);
		labels += class_a && class_b && strcmp(class_a, class_b) != 0;
		if (json_array_size(first) < LEAKS)
			json_array_append_new(first, NS_JSON_OBJECT({"id", id_json(x->id)}, {"a", ns_look_row(a->data, x->row)},
								    {"b", ns_look_row(b->data, y->row)}));
		rows_a += run_of(a->ids, i, a->data->rows);
		rows_b += run_of(b->ids, j, b->data->rows);
		i += run_of(a->ids, i, a->data->rows);
		j += run_of(b->ids, j, b->data->rows);
	}
	return NS_JSON_OBJECT({"a", ns_json_string(a->folder)}, {"b", ns_json_string(b->folder)}, {"images", json_integer(images)},
			      {"rows_a", json_integer(rows_a)}, {"rows_b", json_integer(rows_b)}, {"conflicts", json_integer(labels)},
			      {"first", first});
}

enum ns_status ns_look_between(const struct ns_look_job *look, json_t **json)
{
	int a, b;

	*json = json_array();
	for (a = 0; a < look->count; a++)
		for (b = a + 1; b < look->count; b++)
			if (json_array_append_new(*json, shared(&look->sets[a], &look->sets[b])))
				return ns_fail(NS_NO_MEMORY, "%s: out of memory for what its sets share", look->path);
	return NS_OK;
}
