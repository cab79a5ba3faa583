/* datasets/predict/selection.c - which rows a retraining uses, nightshift.selection/1. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/predict/predict.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/h5/h5.h"
#include "host/base/base.h"

enum ns_status ns_selection_alloc(struct ns_selection *s, int64_t rows)
{
	size_t n = (size_t)rows + 1;

	s->rows = rows;
	s->set = malloc(n * sizeof *s->set);
	s->row = malloc(n * sizeof *s->row);
	s->id = malloc(n * sizeof *s->id);
	s->label = malloc(n * sizeof *s->label);
	s->source = malloc(n * sizeof *s->source);
	s->repeat = malloc(n * sizeof *s->repeat);
	if (s->set && s->row && s->id && s->label && s->source && s->repeat)
		return NS_OK;
	ns_selection_release(s);
	return ns_fail(NS_NO_MEMORY, "out of memory for a selection of %lld rows", (long long)rows);
}

void ns_selection_release(struct ns_selection *s)
{
	free(s->set);
	free(s->row);
	free(s->id);
	free(s->label);
	free(s->source);
	free(s->repeat);
	memset(s, 0, sizeof *s);
}

enum ns_status ns_selection_write(const char *path, const struct ns_selection *s)
{
	hsize_t n = (hsize_t)s->rows;
	enum ns_status status;
	hid_t file;

	NS_TRY(ns_h5_create(&file, path));
	NS_GO(ns_h5_set_text(file, path, "/", "schema", "nightshift.selection/1"));
	NS_GO(ns_h5_write(file, path, "set", NS_H5_U32, 1, &n, s->set));
	NS_GO(ns_h5_write(file, path, "row", NS_H5_U64, 1, &n, s->row));
	NS_GO(ns_h5_write(file, path, "id", NS_H5_U64, 1, &n, s->id));
	NS_GO(ns_h5_write(file, path, "label", NS_H5_I32, 1, &n, s->label));
	NS_GO(ns_h5_write(file, path, "source", NS_H5_U8, 1, &n, s->source));
	NS_GO(ns_h5_write(file, path, "repeat", NS_H5_U32, 1, &n, s->repeat));
	return ns_h5_close(file, path);
out:
	H5Fclose(file);
	unlink(path);
	return status;
}

static enum ns_status read_selection(hid_t file, const char *path, struct ns_selection *s)
{
	hsize_t dims[4];
	int rank;

	NS_TRY(ns_h5_shape(file, path, "row", &rank, dims));
	NS_TRY(ns_h5_read(file, path, "set", NS_H5_U32, 1, dims[0], (void **)&s->set));
	NS_TRY(ns_h5_read(file, path, "row", NS_H5_U64, 1, dims[0], (void **)&s->row));
	NS_TRY(ns_h5_read(file, path, "id", NS_H5_U64, 1, dims[0], (void **)&s->id));
	NS_TRY(ns_h5_read(file, path, "label", NS_H5_I32, 1, dims[0], (void **)&s->label));
	NS_TRY(ns_h5_read(file, path, "source", NS_H5_U8, 1, dims[0], (void **)&s->source));
	NS_TRY(ns_h5_read(file, path, "repeat", NS_H5_U32, 1, dims[0], (void **)&s->repeat));
	s->rows = (int64_t)dims[0];
	return NS_OK;
}

static enum ns_status look_at_selection(hid_t file, const char *path, const struct stat *st)
{
	struct ns_selection s = {0};
	enum ns_status status = read_selection(file, path, &s);

	(void)st;
	ns_selection_release(&s);
	return status;
}

enum ns_status ns_selection_read(const char *path, struct ns_selection *s)
{
	enum ns_status status;
	hid_t file;

	memset(s, 0, sizeof *s);
	NS_TRY(ns_look(&path, 1, 0, look_at_selection));
	NS_TRY(ns_h5_open(&file, path));
	status = read_selection(file, path, s);
	ns_h5_file_close(file);
	if (status != NS_OK)
		ns_selection_release(s);
	return status;
}
