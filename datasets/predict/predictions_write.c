/* datasets/predict/predictions_write.c - one file of predictions. */
#define _POSIX_C_SOURCE 200809L
#include <unistd.h>

#include "datasets/predict/predictions_inner.h"

static enum ns_status write_all(hid_t file, const char *path, const struct ns_predictions *p)
{
	size_t i;

	NS_TRY(ns_h5_set_text(file, path, "/", "schema", "nightshift.predictions/1"));
	NS_TRY(ns_h5_set_text(file, path, "/", "model", p->model));
	NS_TRY(ns_h5_set_text(file, path, "/", "weights", p->weights));
	NS_TRY(ns_h5_set_text(file, path, "/", "dataset", p->dataset));
	if (*p->task)
		NS_TRY(ns_h5_set_text(file, path, "/", "task", p->task));
	NS_TRY(ns_h5_set_real(file, path, "/", "temperature", p->temperature));
	NS_TRY(ns_h5_write_names(file, path, "classes", "class_names", (const char *const *)p->names, p->class_names));
	if (p->groups.count)
		NS_TRY(ns_h5_write_names(file, path, "groups", "group_names", (const char *const *)p->groups.words, p->groups.count));
	for (i = 0; i < NS_PREDICTION_COLUMNS; i++) {
		struct ns_predictions copy = *p;
		hsize_t rows = (hsize_t)p->rows;

		if (*field(&copy, &ns_prediction_columns[i]))
			NS_TRY(ns_h5_write(file, path, ns_prediction_columns[i].name, ns_prediction_columns[i].type, 1, &rows,
					   *field(&copy, &ns_prediction_columns[i])));
	}
	for (i = 0; i < NS_PREDICTION_MATRICES; i++) {
		struct ns_predictions copy = *p;
		const struct ns_matrix *m = matrix(&copy, &ns_prediction_matrices[i]);
		hsize_t dims[2] = {(hsize_t)p->rows, (hsize_t)m->d};

		if (m->d)
			NS_TRY(ns_h5_write(file, path, ns_prediction_matrices[i].name, NS_H5_F32, 2, dims, m->data));
		if (m->d && ns_prediction_matrices[i].attribute && *names_of(&copy, &ns_prediction_matrices[i]))
			NS_TRY(ns_h5_set_texts(file, path, ns_prediction_matrices[i].name, ns_prediction_matrices[i].attribute,
					       (const char *const *)*names_of(&copy, &ns_prediction_matrices[i]), m->d));
	}
	return ns_results_write(file, path, p);
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
