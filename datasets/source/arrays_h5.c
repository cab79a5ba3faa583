/*
 * datasets/source/arrays_h5.c - images and labels in an HDF5 file of others: data sets in its root, or in a group of it. A child process reads all
 * of it first (datasets/h5/h5.h, "look"), with the functions that this one reads with.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/h5/h5.h"
#include "datasets/source/arrays_inner.h"
#include "host/base/base.h"

#define TEXTS 1024		/* that are read at once */
#define BLOCK ((size_t)1 << 20) /* bytes of images that are read at once */

struct hdf5 {
	struct ns_arrays arrays;
	struct ns_handle handle;
	int acquired;
	hid_t file; /* the handle's, or that of the child that looks at it */
	hid_t set;  /* of the images that are being read; -1: none */
	const struct ns_array *of;
	uint8_t *block; /* rows [first, first + n) of it, at most `step` of them */
	int64_t first, n, step;
};

static enum ns_status hdf5_takes(const char *path, int *takes)
{
	static const char *const ends[] = {".h5", ".hdf5", ".hdf"};
	size_t i;
	int folder;

	for (*takes = 0, i = 0; i < sizeof ends / sizeof *ends; i++)
		*takes |= ns_ends_like(path, ends[i]);
	NS_TRY(ns_is_dir(path, &folder));
	*takes &= !folder;
	return NS_OK;
}

/* The data set and its chunks; the file stays open as long as the process has room for it. */
static void hdf5_rest(struct ns_source *s)
{
	struct hdf5 *x = s->state;

	if (x->set >= 0)
		ns_h5_set_close(x->set);
	x->set = -1;
	if (x->acquired)
		ns_handle_release(&x->handle);
	x->acquired = 0;
}

static void hdf5_close(struct ns_source *s)
{
	struct hdf5 *x = s->state;

	hdf5_rest(s);
	ns_handle_close(&x->handle);
	ns_arrays_release(&x->arrays);
	free(x->block);
	free(x);
}

static enum ns_status refuse_ours(const struct ns_source *s, hid_t file)
{
	char *schema = ns_h5_get_text(file, "/", "schema");
	enum ns_status status = NS_OK;

	if (schema && !strncmp(schema, "nightshift.", strlen("nightshift.")))
		status = ns_fail(NS_BAD_DATA,
				 "%s: is a file of nightshift's own (%.60s), expected arrays of others; the folder that it is in needs no ingest",
				 s->path, schema);
	free(schema);
	return status;
}

static enum ns_status list_arrays(struct ns_source *s, struct hdf5 *x)
{
	struct ns_h5_entry *list;
	enum ns_status status = NS_OK;
	int n, i, k;

	NS_TRY(ns_h5_list(x->file, s->path, &list, &n));
	for (i = 0; i < n && status == NS_OK; i++) {
		const struct ns_h5_entry *e = &list[i];
		struct ns_array *a;

		NS_GO(ns_arrays_add(&x->arrays, e->name, &a));
		a->kind = e->kind;
		a->bytes = e->bytes ? e->bytes : 1; /* each text has as many as it has */
		a->rank = e->rank;
		for (k = 0; k < e->rank && k < NS_H5_RANK && k < NS_ARRAY_RANK; k++)
			a->dims[k] = e->dims[k] > INT64_MAX ? INT64_MAX : (int64_t)e->dims[k];
		if (e->kind == 'S' || e->kind == '?')
			snprintf(a->type, sizeof a->type, "%s", e->kind == 'S' ? "texts" : "values of another type");
		else
			snprintf(a->type, sizeof a->type, "%s%d", e->kind == 'u' ? "uint" : e->kind == 'i' ? "int" : "float", 8 * e->bytes);
	}
out:
	free(list);
	return status;
}

static enum ns_status read_texts(struct ns_source *s, struct hdf5 *x, const struct ns_array_set *set)
{
	enum ns_status status = NS_OK;
	char *texts[TEXTS];
	int64_t at, n, i;

	for (at = 0; at < set->n && status == NS_OK; at += n) {
		n = set->n - at < TEXTS ? set->n - at : TEXTS;
		NS_TRY(ns_h5_read_texts(x->file, s->path, set->labels->key, NS_ARRAY_TEXT, (hsize_t)at, (hsize_t)n, texts));
		for (i = 0; i < n; i++) {
			if (status == NS_OK)
				status = ns_arrays_text(s, &x->arrays, set, at + i, texts[i]);
			free(texts[i]);
		}
	}
	return status;
}

static enum ns_status read_labels(struct ns_source *s, struct hdf5 *x, const struct ns_array_set *set)
{
	const struct ns_array *a = set->labels;
	enum ns_status status = NS_OK;
	int64_t *values, i;

	if (a->kind == 'S')
		return read_texts(s, x, set);
	NS_TRY(ns_h5_read(x->file, s->path, a->key, NS_H5_I64, a->rank, (hsize_t)set->n, (void **)&values));
	for (i = 0; i < set->n && status == NS_OK; i++)
		status = ns_arrays_number(s, &x->arrays, set, i, values[i]);
	free(values);
	return status;
}

/* All but the images; the file is x->file, in the child as here. */
static enum ns_status read_file(struct ns_source *s, struct hdf5 *x)
{
	int i;

	x->set = -1;
	x->arrays.keyed = 1;
	NS_TRY(refuse_ours(s, x->file));
	NS_TRY(list_arrays(s, x));
	NS_TRY(ns_arrays_plan(s, &x->arrays));
	for (i = 0; i < x->arrays.set_count; i++) /* before anything of their sizes is allocated */
		NS_TRY(ns_h5_check_storage(x->file, s->path, x->arrays.set[i].images->key));
	for (i = 0; i < x->arrays.set_count; i++)
		if (x->arrays.set[i].labels)
			NS_TRY(read_labels(s, x, &x->arrays.set[i]));
	return ns_arrays_make_row(s, &x->arrays);
}

static enum ns_status open_set(const struct ns_source *s, struct hdf5 *x, const struct ns_array *images)
{
	size_t bytes = x->arrays.row_bytes;

	if (x->set >= 0)
		ns_h5_set_close(x->set);
	x->set = -1;
	x->first = x->n = 0;
	x->of = images;
	x->step = bytes < BLOCK ? (int64_t)(BLOCK / bytes) : 1;
	if (!x->block)
		x->block = malloc((size_t)x->step * bytes);
	if (!x->block)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its images", s->path);
	return ns_h5_set_open(&x->set, x->file, s->path, images->key);
}

/* A row not far behind the last one is read with those that follow: asking libhdf5 for one row of many chunks costs more than the row. */
static enum ns_status read_row(struct ns_source *s, const struct ns_array_set *set, int64_t row)
{
	struct hdf5 *x = s->state;
	size_t bytes = (size_t)set->h * (size_t)set->w * (size_t)set->c;

	if (x->of != set->images || x->set < 0)
		NS_TRY(open_set(s, x, set->images));
	if (row < x->first || row >= x->first + x->n) {
		int64_t gap = row - x->first - x->n, n = gap >= 0 && gap < x->step ? x->step : 1;

		n = n < set->n - row ? n : set->n - row;
		x->n = 0;
		NS_TRY(ns_h5_set_read(x->set, s->path, set->images->key, NS_H5_U8, (hsize_t)row, (hsize_t)n, x->block));
		x->first = row;
		x->n = n;
	}
	memcpy(x->arrays.row, x->block + (size_t)(row - x->first) * bytes, bytes);
	return NS_OK;
}

/* Runs in a child process: reads all that the job will, for a source of its own. */
static enum ns_status look(hid_t file, const char *path, const struct stat *st)
{
	struct hdf5 *x = calloc(1, sizeof *x);
	struct ns_source s = {.path = strdup(path), .passed = json_array(), .notes = json_array(), .state = x};
	enum ns_status status = x && s.path ? NS_OK : NS_NO_MEMORY;
	int64_t k;
	int i;

	(void)st;
	if (status == NS_OK) {
		x->file = file;
		x->set = -1;
		status = read_file(&s, x);
		for (i = 0; status == NS_OK && i < x->arrays.set_count; i++)
			for (k = 0; status == NS_OK && k < x->arrays.set[i].n; k++)
				status = read_row(&s, &x->arrays.set[i], k);
		hdf5_close(&s);
	}
	for (i = 0; i < s.split_count; i++)
		free(s.splits[i]);
	free(s.splits);
	free(s.split_of);
	free(s.path);
	json_decref(s.passed);
	json_decref(s.notes);
	return status;
}

static enum ns_status acquire(struct hdf5 *x)
{
	if (x->acquired)
		return NS_OK;
	NS_TRY(ns_handle_acquire(&x->handle));
	x->acquired = 1;
	x->file = x->handle.file;
	return NS_OK;
}

static enum ns_status hdf5_open(struct ns_source *s)
{
	struct hdf5 *x = calloc(1, sizeof *x);
	const char *path = s->path;
	struct stat was;
	enum ns_status status;
	int fd;

	if (!x)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", s->path);
	x->set = -1;
	s->state = x;
	NS_TRY(ns_open(&fd, path, 0));
	status = fstat(fd, &was) ? ns_io_error(path, "cannot stat") : NS_OK;
	close(fd);
	NS_TRY(status);
	NS_TRY(ns_look(&path, 1, 0, look));
	ns_handle_init(&x->handle, s->path, &was, 0, 1);
	NS_TRY(acquire(x));
	NS_TRY(read_file(s, x));
	return ns_arrays_label(s, &x->arrays);
}

static enum ns_status hdf5_get(struct ns_source *s, int64_t item, struct ns_item *out)
{
	struct hdf5 *x = s->state;

	NS_TRY(acquire(x));
	return ns_arrays_get(s, &x->arrays, item, out, read_row);
}

const struct ns_source_kind ns_source_hdf5 = {"hdf5", hdf5_takes, hdf5_open, hdf5_get, hdf5_close, hdf5_rest, 1, NULL};
