#define _POSIX_C_SOURCE 200809L
#include "datasets/predictions.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/h5.h"

/* columns of one value a row, which are kept in memory, and of several */
static const struct column {
	const char *name;
	size_t field; /* offset in ns_predictions */
	enum ns_h5_type type;
	size_t bytes;
} columns[] = {
#define ONE(name, type, bytes) {#name, offsetof(struct ns_predictions, name), type, bytes}
	ONE(id, NS_H5_U64, 8), ONE(label, NS_H5_I32, 4), ONE(pred, NS_H5_I32, 4), ONE(group, NS_H5_I32, 4), ONE(time, NS_H5_I64, 8),
};
#define COLUMNS (sizeof columns / sizeof *columns)

static const struct wide {
	const char *name;
	size_t field;
} matrices[] = {
	{"prob", offsetof(struct ns_predictions, prob)},
	{"stats", offsetof(struct ns_predictions, stats)},
	{"embedding", offsetof(struct ns_predictions, embedding)},
};
#define MATRICES (sizeof matrices / sizeof *matrices)

static void **field(struct ns_predictions *p, const struct column *c)
{
	return (void **)(void *)((char *)p + c->field);
}

static struct ns_matrix *matrix(struct ns_predictions *p, const struct wide *w)
{
	return (struct ns_matrix *)(void *)((char *)p + w->field);
}

void ns_predictions_release(struct ns_predictions *p)
{
	size_t i;

	for (i = 0; i < COLUMNS; i++)
		free(*field(p, &columns[i]));
	for (i = 0; i < MATRICES; i++)
		ns_matrix_release(matrix(p, &matrices[i]));
	ns_texts_free(p->names, p->class_names);
	ns_texts_free(p->stats_names, p->stats_named);
	memset(p, 0, sizeof *p);
}

/* is the column here, as it was or was not in the files before? */
static enum ns_status here(hid_t file, const char *path, const char *name, int first, int before, int *is)
{
	*is = ns_h5_has(file, name);
	if (!first && *is != before)
		return ns_fail(NS_BAD_DATA, *is ? "%s: has '%s', but the files before it do not" : "%s: has no '%s', but the files before it do", path, name);
	return NS_OK;
}

/* one column of one file, appended */
static enum ns_status append(struct ns_predictions *p, hid_t file, const char *path, const struct column *c, int64_t rows, int first)
{
	void **to = field(p, c), *data, *grown;
	size_t old = (size_t)p->rows * c->bytes, more = (size_t)rows * c->bytes;
	hsize_t dims[4];
	int rank, is;

	NS_TRY(here(file, path, c->name, first, *to != NULL, &is));
	if (!is)
		return NS_OK;
	NS_TRY(ns_h5_shape(file, path, c->name, &rank, dims));
	if (rank != 1 || (int64_t)dims[0] != rows)
		return ns_fail(NS_BAD_DATA, "%s: %s: is of %d dimensions with %llu rows; 1 dimension and %lld rows are wanted", path, c->name, rank,
			       (unsigned long long)dims[0], (long long)rows);
	NS_TRY(ns_h5_read(file, path, c->name, c->type, rank, dims[0], &data));
	grown = realloc(*to, old + more + 1);
	if (!grown) {
		free(data);
		return ns_fail(NS_NO_MEMORY, "%s: no memory for column %s", path, c->name);
	}
	memcpy((char *)grown + old, data, more);
	free(data);
	*to = grown;
	return NS_OK;
}

static enum ns_status append_matrix(struct ns_predictions *p, hid_t file, const char *path, const struct wide *w, int64_t rows, int first)
{
	struct ns_matrix *m = matrix(p, w);
	int is;

	NS_TRY(here(file, path, w->name, first, m->d > 0, &is));
	return is ? ns_matrix_add_h5(m, file, path, w->name, rows) : NS_OK;
}

static enum ns_status count_rows(hid_t file, const char *path, int64_t *rows)
{
	static const char *const any[] = {"id", "prob", "embedding", "pred", "stats", "group", "time", "label"};
	hsize_t dims[4];
	int rank;
	size_t i;

	for (i = 0; i < sizeof any / sizeof *any; i++)
		if (ns_h5_has(file, any[i])) {
			NS_TRY(ns_h5_shape(file, path, any[i], &rank, dims));
			*rows = (int64_t)dims[0];
			return NS_OK;
		}
	return ns_fail(NS_BAD_DATA, "%s: has none of the columns id, prob, embedding, pred, stats, group, time, label", path);
}

static void take_text(hid_t file, const char *name, char *out, size_t size)
{
	char *text = ns_h5_get_text(file, "/", name);

	if (text)
		snprintf(out, size, "%s", text);
	free(text);
}

static enum ns_status add_file(struct ns_predictions *p, const char *path, int first)
{
	enum ns_status status;
	int64_t rows = 0;
	hid_t file;
	size_t i;

	NS_TRY(ns_h5_open(&file, path));
	status = count_rows(file, path, &rows);
	for (i = 0; i < COLUMNS && status == NS_OK; i++)
		status = append(p, file, path, &columns[i], rows, first);
	for (i = 0; i < MATRICES && status == NS_OK; i++)
		status = append_matrix(p, file, path, &matrices[i], rows, first);
	if (status == NS_OK && first) {
		p->temperature = ns_h5_get_real(file, "/", "temperature", 1);
		take_text(file, "model", p->model, sizeof p->model);
		take_text(file, "dataset", p->dataset, sizeof p->dataset);
		if (H5Aexists(file, "classes") > 0)
			status = ns_h5_get_texts(file, path, "/", "classes", &p->names, &p->class_names);
		if (status == NS_OK && p->prob.d && p->names && p->class_names != p->prob.d)
			status = ns_fail(NS_BAD_DATA, "%s: prob has %d columns, but classes has %d", path, p->prob.d, p->class_names);
		if (status == NS_OK && p->stats.d && H5Aexists_by_name(file, "stats", "stats_names", H5P_DEFAULT) > 0) {
			status = ns_h5_get_texts(file, path, "stats", "stats_names", &p->stats_names, &p->stats_named);
			if (status == NS_OK && p->stats_named != p->stats.d)
				status = ns_fail(NS_BAD_DATA, "%s: stats has %d columns, but stats_names has %d", path, p->stats.d,
						 p->stats_named);
		}
	}
	if (status == NS_OK)
		p->rows += rows;
	H5Fclose(file);
	return status;
}

static enum ns_status check_digest(const char *path, const char *wanted)
{
	char hex[NS_SHA256_HEX];

	if (!*wanted)
		return NS_OK;
	NS_TRY(ns_sha256_file(hex, path));
	return strcmp(hex, wanted) ? ns_fail(NS_DIGEST, "%s: has digest %.16s.., but its list says %.16s..; it was changed", path, hex, wanted)
				   : NS_OK;
}

/* Whoever uses a class as an index stays inside. */
static enum ns_status check_values(const struct ns_predictions *p, const char *path)
{
	int k = p->class_names ? p->class_names : p->prob.d ? p->prob.d : 1 << 20;
	int64_t i;

	for (i = 0; i < p->rows; i++) {
		if (p->pred && (p->pred[i] < 0 || p->pred[i] >= k))
			return ns_fail(NS_BAD_DATA, "%s: pred[%lld] = %d, but there are %d classes", path, (long long)i, p->pred[i], k);
		if (p->label && (p->label[i] < -1 || p->label[i] >= k))
			return ns_fail(NS_BAD_DATA, "%s: label[%lld] = %d, but there are %d classes", path, (long long)i, p->label[i], k);
	}
	return NS_OK;
}

enum ns_status ns_predictions_are(const struct ns_predictions *p, int64_t first, int64_t n, const float *x)
{
	int d = p->prob.d;
	int64_t i;

	for (i = 0; i < n * d; i++)
		if (!(x[i] >= 0 && x[i] <= 1.001f))
			return ns_fail(NS_BAD_DATA, "%s: prob[%lld][%lld] = %g, a probability is wanted", ns_matrix_path(&p->prob, first + i / d),
				       (long long)(first + i / d), (long long)(i % d), (double)x[i]);
	return NS_OK;
}

enum ns_status ns_predictions_prob(const struct ns_predictions *p, int64_t first, int64_t n, float *out)
{
	NS_TRY(ns_matrix_read(&p->prob, first, n, out));
	return ns_predictions_are(p, first, n, out);
}

static enum ns_status add_folder(struct ns_predictions *p, const char *folder)
{
	char path[NS_PATH_MAX];
	enum ns_status status = NS_OK;
	json_t *json, *files;
	size_t i;

	NS_TRY(ns_path(path, "%s/predictions.json", folder));
	NS_TRY(ns_json_read(path, &json, "nightshift.predictions/1"));
	snprintf(p->digest, sizeof p->digest, "%s", ns_json_text(json, "digest"));
	files = json_object_get(json, "files");
	for (i = 0; i < json_array_size(files) && status == NS_OK; i++) {
		const char *name = ns_json_text(json_array_get(files, i), "file");

		if (!*name || strchr(name, '/'))
			status = ns_fail(NS_BAD_DATA, "%s: file %zu: '%s' is no file name", path, i, name);
		else
			status = ns_path(path, "%s/%s", folder, name);
		if (status == NS_OK)
			status = check_digest(path, ns_json_text(json_array_get(files, i), "sha256"));
		if (status == NS_OK)
			status = add_file(p, path, i == 0);
	}
	json_decref(json);
	return status;
}

enum ns_status ns_predictions_open(struct ns_predictions *p, const char *path)
{
	enum ns_status status;

	memset(p, 0, sizeof *p);
	p->temperature = 1;
	if (ns_path_is_dir(path)) {
		status = add_folder(p, path);
	} else if (strlen(path) > 4 && !strcmp(path + strlen(path) - 4, ".npy")) { /* embeddings alone */
		status = ns_matrix_add_npy(&p->embedding, path);
		p->rows = p->embedding.rows;
		if (status == NS_OK)
			status = ns_sha256_file(p->digest, path);
	} else {
		status = add_file(p, path, 1);
		if (status == NS_OK)
			status = ns_sha256_file(p->digest, path);
	}
	if (status == NS_OK && p->rows == 0)
		status = ns_fail(NS_BAD_DATA, "%s: has no rows", path);
	if (status == NS_OK)
		status = check_values(p, path);
	if (status != NS_OK)
		ns_predictions_release(p);
	return status;
}

static enum ns_status write_all(hid_t file, const char *path, const struct ns_predictions *p)
{
	size_t i;

	NS_TRY(ns_h5_set_text(file, path, "/", "schema", "nightshift.predictions/1"));
	NS_TRY(ns_h5_set_text(file, path, "/", "model", p->model));
	NS_TRY(ns_h5_set_text(file, path, "/", "dataset", p->dataset));
	NS_TRY(ns_h5_set_real(file, path, "/", "temperature", p->temperature));
	NS_TRY(ns_h5_set_texts(file, path, "/", "classes", (const char *const *)p->names, p->class_names));
	for (i = 0; i < COLUMNS; i++) {
		struct ns_predictions copy = *p;
		hsize_t rows = (hsize_t)p->rows;

		if (*field(&copy, &columns[i]))
			NS_TRY(ns_h5_write(file, path, columns[i].name, columns[i].type, 1, &rows, *field(&copy, &columns[i])));
	}
	for (i = 0; i < MATRICES; i++) {
		struct ns_predictions copy = *p;
		const struct ns_matrix *m = matrix(&copy, &matrices[i]);
		hsize_t dims[2] = {(hsize_t)p->rows, (hsize_t)m->d};

		if (m->d)
			NS_TRY(ns_h5_write(file, path, matrices[i].name, NS_H5_F32, 2, dims, m->data));
	}
	if (p->stats.d && p->stats_names)
		return ns_h5_set_texts(file, path, "stats", "stats_names", (const char *const *)p->stats_names, p->stats.d);
	return NS_OK;
}

enum ns_status ns_predictions_write(const char *path, const struct ns_predictions *p)
{
	enum ns_status status, closed;
	hid_t file;

	NS_TRY(ns_h5_create(&file, path));
	status = write_all(file, path, p);
	closed = ns_h5_close(file, path);
	if (status == NS_OK)
		status = closed;
	if (status != NS_OK)
		unlink(path);
	return status;
}

/* --- selections --- */

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
	return ns_fail(NS_NO_MEMORY, "no memory for a selection of %lld rows", (long long)rows);
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

enum ns_status ns_selection_read(const char *path, struct ns_selection *s)
{
	enum ns_status status;
	hsize_t dims[4];
	hid_t file;
	int rank;

	memset(s, 0, sizeof *s);
	NS_TRY(ns_h5_open(&file, path));
	NS_GO(ns_h5_shape(file, path, "row", &rank, dims));
	NS_GO(ns_h5_read(file, path, "set", NS_H5_U32, 1, dims[0], (void **)&s->set));
	NS_GO(ns_h5_read(file, path, "row", NS_H5_U64, 1, dims[0], (void **)&s->row));
	NS_GO(ns_h5_read(file, path, "id", NS_H5_U64, 1, dims[0], (void **)&s->id));
	NS_GO(ns_h5_read(file, path, "label", NS_H5_I32, 1, dims[0], (void **)&s->label));
	NS_GO(ns_h5_read(file, path, "source", NS_H5_U8, 1, dims[0], (void **)&s->source));
	NS_GO(ns_h5_read(file, path, "repeat", NS_H5_U32, 1, dims[0], (void **)&s->repeat));
	s->rows = (int64_t)dims[0];
out:
	H5Fclose(file);
	if (status != NS_OK)
		ns_selection_release(s);
	return status;
}
