#define _POSIX_C_SOURCE 200809L
#include "datasets/predict/predictions_inner.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/h5/h5.h"

/* columns of one value a row, which are kept in memory, and of several */
const struct ns_prediction_column ns_prediction_columns[NS_PREDICTION_COLUMNS] = {
#define ONE(name, type, bytes)                                                                                                                       \
	{                                                                                                                                            \
#name, offsetof(struct ns_predictions, name), type, bytes                                                                            \
	}
	ONE(id, NS_H5_U64, 8),	  ONE(label, NS_H5_I32, 4), ONE(pred, NS_H5_I32, 4),
	ONE(group, NS_H5_I32, 4), ONE(time, NS_H5_I64, 8),  ONE(weight, NS_H5_F32, 4),
};

const struct ns_prediction_matrix ns_prediction_matrices[NS_PREDICTION_MATRICES] = {
	{"prob", offsetof(struct ns_predictions, prob), NULL, 0, 0},
	{"stats", offsetof(struct ns_predictions, stats), "stats_names", offsetof(struct ns_predictions, stats_names),
	 offsetof(struct ns_predictions, stats_named)},
	{"monitor", offsetof(struct ns_predictions, monitor), "monitor_names", offsetof(struct ns_predictions, monitor_names),
	 offsetof(struct ns_predictions, monitor_named)},
	{"embedding", offsetof(struct ns_predictions, embedding), NULL, 0, 0},
};

void ns_predictions_release(struct ns_predictions *p)
{
	size_t i;

	for (i = 0; i < NS_PREDICTION_COLUMNS; i++)
		free(*field(p, &ns_prediction_columns[i]));
	for (i = 0; i < NS_PREDICTION_MATRICES; i++) {
		ns_matrix_release(matrix(p, &ns_prediction_matrices[i]));
		if (ns_prediction_matrices[i].attribute)
			ns_texts_free(*names_of(p, &ns_prediction_matrices[i]), *named_of(p, &ns_prediction_matrices[i]));
	}
	ns_texts_free(p->names, p->class_names);
	ns_vocabulary_release(&p->groups);
	free(p->result_offset);
	free(p->result);
	memset(p, 0, sizeof *p);
}

/* Is the column in this file? All files must have it, or none. */
static enum ns_status here(hid_t file, const char *path, const char *name, int first, int before, int *is)
{
	*is = ns_h5_has(file, name);
	if (!first && *is != before)
		return ns_fail(NS_BAD_DATA, *is ? "%s: has '%s', but the files before it do not" : "%s: has no '%s', but the files before it do",
			       path, name);
	return NS_OK;
}

/* one column of one file, appended */
static enum ns_status append(struct ns_predictions *p, hid_t file, const char *path, const struct ns_prediction_column *c, int64_t rows, int first)
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
		return ns_fail(NS_BAD_DATA, "%s: %s: is of %d dimensions with %llu rows; expected 1 dimension and %lld rows", path, c->name, rank,
			       (unsigned long long)dims[0], (long long)rows);
	NS_TRY(ns_h5_read(file, path, c->name, c->type, rank, dims[0], &data));
	grown = realloc(*to, old + more + 1);
	if (!grown) {
		free(data);
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for column %s", path, c->name);
	}
	memcpy((char *)grown + old, data, more);
	free(data);
	*to = grown;
	return NS_OK;
}

static enum ns_status append_matrix(struct ns_predictions *p, hid_t file, const char *path, const struct stat *st,
				    const struct ns_prediction_matrix *w, int64_t rows, int first)
{
	struct ns_matrix *m = matrix(p, w);
	int is;

	NS_TRY(here(file, path, w->name, first, m->d > 0, &is));
	return is ? ns_matrix_add_h5(m, file, path, w->name, rows, st) : NS_OK;
}

static enum ns_status count_rows(hid_t file, const char *path, int64_t *rows)
{
	static const char *const any[] = {"id", "prob", "embedding", "pred", "stats", "monitor", "group", "time", "label"};
	hsize_t dims[4];
	int rank;
	size_t i;

	for (i = 0; i < sizeof any / sizeof *any; i++)
		if (ns_h5_has(file, any[i])) {
			NS_TRY(ns_h5_shape(file, path, any[i], &rank, dims));
			*rows = (int64_t)dims[0];
			return NS_OK;
		}
	return ns_fail(NS_BAD_DATA, "%s: has none of the columns id, prob, embedding, pred, stats, monitor, group, time, label", path);
}

static void take_text(hid_t file, const char *name, char *out, size_t size)
{
	char *text = ns_h5_get_text(file, "/", name);

	if (text)
		snprintf(out, size, "%s", text);
	free(text);
}

static enum ns_status take_names(struct ns_predictions *p, hid_t file, const char *path, const struct ns_prediction_matrix *w)
{
	int d = matrix(p, w)->d;

	if (!w->attribute || !d || H5Aexists_by_name(file, w->name, w->attribute, H5P_DEFAULT) <= 0)
		return NS_OK;
	NS_TRY(ns_h5_get_texts(file, path, w->name, w->attribute, names_of(p, w), named_of(p, w)));
	return *named_of(p, w) == d ? NS_OK
				    : ns_fail(NS_BAD_DATA, "%s: %s has %d columns, but %s has %d", path, w->name, d, w->attribute, *named_of(p, w));
}

/* What the first file says holds for all. */
static enum ns_status take_head(struct ns_predictions *p, hid_t file, const char *path)
{
	size_t size, i;

	p->temperature = 1;
	NS_TRY(ns_h5_get_real(file, path, "/", "temperature", &p->temperature));
	take_text(file, "model", p->model, sizeof p->model);
	take_text(file, "weights", p->weights, sizeof p->weights);
	take_text(file, "dataset", p->dataset, sizeof p->dataset);
	NS_TRY(ns_h5_read_names(file, path, "classes", "class_names", &p->names, &p->class_names, &size));
	if (p->prob.d && p->names && p->class_names != p->prob.d)
		return ns_fail(NS_BAD_DATA, "%s: prob has %d columns, but classes has %d", path, p->prob.d, p->class_names);
	take_text(file, "task", p->task, sizeof p->task);
	for (i = 0; i < NS_PREDICTION_MATRICES; i++)
		NS_TRY(take_names(p, file, path, &ns_prediction_matrices[i]));
	return NS_OK;
}

/* Each file has its own list of groups; their rows get the numbers of one list. All files must have names, or none. */
static enum ns_status take_groups(struct ns_predictions *p, hid_t file, const char *path, int64_t rows, int first)
{
	char **names = NULL;
	int n = 0;
	size_t size;
	int64_t i;
	enum ns_status status = NS_OK;

	NS_TRY(ns_h5_read_names(file, path, "groups", "group_names", &names, &n, &size));
	if (!first && (n > 0) != (p->groups.count > 0)) {
		ns_texts_free(names, n);
		return ns_fail(NS_BAD_DATA,
			       n ? "%s: names its groups, but the files before it do not"
				 : "%s: does not name its groups, but the files before it do",
			       path);
	}
	for (i = 0; n && p->group && i < rows && status == NS_OK; i++)
		if (p->group[p->rows + i] < 0 || p->group[p->rows + i] >= n)
			status = ns_fail(NS_BAD_DATA, "%s: group[%lld] = %d, but groups has %d", path, (long long)i, p->group[p->rows + i], n);
	if (status == NS_OK && p->group && n)
		status = ns_vocabulary_map(&p->groups, names, n, p->group + p->rows, rows);
	ns_texts_free(names, n);
	return status;
}

/* All files are of one task, and columns of one name mean the same in all. */
static enum ns_status check_head(struct ns_predictions *p, hid_t file, const char *path)
{
	struct ns_predictions other = {.stats = {.d = p->stats.d}, .monitor = {.d = p->monitor.d}};
	enum ns_status status = NS_OK;
	size_t i;
	int k;

	take_text(file, "task", other.task, sizeof other.task);
	if (strcmp(other.task, p->task))
		return ns_fail(NS_BAD_DATA, "%s: its task is '%s', but that of the files before it is '%s'", path, other.task, p->task);
	for (i = 0; i < NS_PREDICTION_MATRICES && status == NS_OK; i++) {
		const struct ns_prediction_matrix *m = &ns_prediction_matrices[i];

		status = take_names(&other, file, path, m);
		for (k = 0; status == NS_OK && m->attribute && k < *named_of(p, m) && k < *named_of(&other, m); k++)
			if (strcmp((*names_of(p, m))[k], (*names_of(&other, m))[k]))
				status = ns_fail(NS_BAD_DATA, "%s: column %d of %s is '%s', but '%s' in the files before it", path, k, m->name,
						 (*names_of(&other, m))[k], (*names_of(p, m))[k]);
		if (m->attribute)
			ns_texts_free(*names_of(&other, m), *named_of(&other, m));
	}
	return status;
}

static enum ns_status add_open_file(struct ns_predictions *p, hid_t file, const char *path, const struct stat *st, int first)
{
	int64_t rows = 0;
	size_t i;

	NS_TRY(count_rows(file, path, &rows));
	for (i = 0; i < NS_PREDICTION_COLUMNS; i++)
		NS_TRY(append(p, file, path, &ns_prediction_columns[i], rows, first));
	for (i = 0; i < NS_PREDICTION_MATRICES; i++)
		NS_TRY(append_matrix(p, file, path, st, &ns_prediction_matrices[i], rows, first));
	NS_TRY(first ? take_head(p, file, path) : check_head(p, file, path));
	NS_TRY(take_groups(p, file, path, rows, first));
	if (p->results)
		NS_TRY(ns_results_append(p, file, path, rows));
	p->rows += rows;
	return NS_OK;
}

/* Adds a file that was looked at. */
static enum ns_status add_file(struct ns_predictions *p, const char *path, int below, int first)
{
	enum ns_status status;
	struct stat st;
	hid_t file;
	int fd;

	NS_TRY(ns_open(&fd, path, below));
	status = fstat(fd, &st) ? ns_io_error(path, "cannot stat") : ns_h5_open_fd(&file, path, fd);
	close(fd);
	NS_TRY(status);
	status = add_open_file(p, file, path, &st, first);
	ns_h5_file_close(file);
	return status;
}

/* Runs in a child process: reads columns, and all rows of matrices that libhdf5 has to unpack. */
static enum ns_status look(hid_t file, const char *path, const struct stat *st)
{
	struct ns_predictions p = {.results = ns_h5_has(file, "result") && ns_h5_has(file, "result_offset")};
	enum ns_status status = add_open_file(&p, file, path, st, 1);
	size_t i;

	for (i = 0; i < NS_PREDICTION_MATRICES && status == NS_OK; i++)
		status = ns_matrix_look(matrix(&p, &ns_prediction_matrices[i]), file);
	ns_predictions_release(&p);
	return status;
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
		if (p->weight && !(p->weight[i] > 0 && p->weight[i] < 1e9f))
			return ns_fail(NS_BAD_DATA, "%s: weight[%lld] = %g, expected a number above 0", path, (long long)i, (double)p->weight[i]);
	}
	return NS_OK;
}

enum ns_status ns_predictions_check_prob(const struct ns_predictions *p, int64_t first, int64_t n, const float *x)
{
	int d = p->prob.d;
	int64_t i;

	for (i = 0; i < n * d; i++)
		if (!(x[i] >= 0 && x[i] <= 1.001f))
			return ns_fail(NS_BAD_DATA, "%s: prob[%lld][%lld] = %g, expected a probability", ns_matrix_path(&p->prob, first + i / d),
				       (long long)(first + i / d), (long long)(i % d), (double)x[i]);
	return NS_OK;
}

enum ns_status ns_predictions_prob(const struct ns_predictions *p, int64_t first, int64_t n, float *out)
{
	NS_TRY(ns_matrix_read(&p->prob, first, n, out));
	return ns_predictions_check_prob(p, first, n, out);
}

/* Path of a listed file, whose sha256 is verified; a list written by hand may have none, and gets it here. */
static enum ns_status file_of(const char *folder, const char *index, json_t *one, json_t *seen, char path[NS_PATH_MAX])
{
	const char *name = ns_json_text(one, "file");
	char hex[NS_SHA256_HEX];

	if (!*name || strchr(name, '/') || *name == '.')
		return ns_fail(NS_BAD_DATA, "%s: invalid file name '%s'", index, name);
	NS_TRY(ns_path(path, "%s/%s", folder, name));
	if (json_object_get(one, "sha256")) {
		NS_TRY(ns_sha256_check(path, ns_json_text(one, "sha256"), index));
	} else {
		NS_TRY(ns_sha256_file(hex, path));
		json_object_set_new(one, "sha256", json_string(hex));
	}
	if (json_object_get(seen, name) || json_object_get(seen, ns_json_text(one, "sha256")))
		return ns_fail(NS_BAD_DATA, "%s: %s is listed twice", index, name);
	json_object_set_new(seen, name, json_true());
	json_object_set_new(seen, ns_json_text(one, "sha256"), json_true());
	return NS_OK;
}

/* rows of this file, against what the list says if it says so */
static enum ns_status check_rows(const json_t *one, int64_t found, const char *path, const char *index)
{
	int64_t rows;

	if (!json_object_get(one, "rows"))
		return NS_OK;
	NS_TRY(ns_json_get_int(one, "rows", index, 0, INT64_MAX, &rows));
	return found == rows ? NS_OK : ns_fail(NS_BAD_DATA, "%s: has %lld rows, but %s says %lld", path, (long long)found, index, (long long)rows);
}

static enum ns_status add_listed(struct ns_predictions *p, const char *folder, const char *index, json_t *files)
{
	char path[NS_PATH_MAX], **paths = calloc(json_array_size(files) + 1, sizeof *paths);
	json_t *seen = json_object(), *one;
	enum ns_status status = paths ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its files", index);
	size_t i, n = 0;

	NS_GO(status);
	json_array_foreach(files, i, one) {
		NS_GO(file_of(folder, index, one, seen, path));
		NS_GO((paths[n++] = strdup(path)) ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its files", index));
	}
	NS_GO(ns_look((const char *const *)paths, (int)n, 1, look));
	json_array_foreach(files, i, one) {
		int64_t before = p->rows;

		NS_GO(add_file(p, paths[i], 1, i == 0));
		NS_GO(check_rows(one, p->rows - before, paths[i], index));
	}
	ns_json_digest(p->digest, files);
out:
	ns_texts_free(paths, (int)n);
	json_decref(seen);
	return status;
}

static enum ns_status add_folder(struct ns_predictions *p, const char *folder)
{
	char index[NS_PATH_MAX], hex[NS_SHA256_HEX];
	enum ns_status status;
	const char *said;
	json_t *json, *files;

	NS_TRY(ns_path(index, "%s/predictions.json", folder));
	NS_TRY(ns_json_read(index, &json, "nightshift.predictions/1"));
	files = json_object_get(json, "files");
	said = ns_json_text(json, "digest");
	ns_json_digest(hex, files);
	if (*said && strcmp(hex, said))
		status = ns_fail(NS_DIGEST, "%s: digest is '%.16s..', but its list of files has %.16s..; it was changed", index, said, hex);
	else
		status = add_listed(p, folder, index, files);
	json_decref(json);
	return status;
}

/* One HDF5 file, of which no list states a digest. */
static enum ns_status add_alone(struct ns_predictions *p, const char *path)
{
	NS_TRY(ns_look(&path, 1, 0, look));
	NS_TRY(add_file(p, path, 0, 1));
	return ns_sha256_file(p->digest, path);
}

/* embeddings alone */
static enum ns_status add_npy(struct ns_predictions *p, const char *path)
{
	NS_TRY(ns_matrix_add_npy(&p->embedding, path));
	p->rows = p->embedding.rows;
	return ns_sha256_file(p->digest, path);
}

static enum ns_status open_all(struct ns_predictions *p, const char *path, int results)
{
	enum ns_status status;
	size_t n = strlen(path);
	int folder;

	memset(p, 0, sizeof *p);
	p->temperature = 1;
	p->results = results;
	NS_TRY(ns_is_dir(path, &folder));
	if (folder)
		status = add_folder(p, path);
	else
		status = n > 4 && !strcmp(path + n - 4, ".npy") ? add_npy(p, path) : add_alone(p, path);
	if (status == NS_OK && p->rows == 0)
		status = ns_fail(NS_BAD_DATA, "%s: has no rows", path);
	if (status == NS_OK)
		status = check_values(p, path);
	if (status != NS_OK)
		ns_predictions_release(p);
	return status;
}

enum ns_status ns_predictions_open(struct ns_predictions *p, const char *path)
{
	return open_all(p, path, 0);
}

enum ns_status ns_predictions_open_results(struct ns_predictions *p, const char *path)
{
	return open_all(p, path, 1);
}
