/* datasets/predict/predictions_inner.h - what the files of predictions share. */
#ifndef NS_PREDICTIONS_INNER_H
#define NS_PREDICTIONS_INNER_H

#include <stddef.h>

#include "datasets/h5/h5.h"
#include "datasets/predict/predict.h"

/* columns of one value a row, which are kept in memory, and of several */
struct ns_prediction_column {
	const char *name;
	size_t field; /* offset in ns_predictions */
	enum ns_h5_type type;
	size_t bytes;
};
struct ns_prediction_matrix {
	const char *name;
	size_t field;
	const char *attribute; /* names of its columns; NULL: they have none of their own */
	size_t names, named;
};
#define NS_PREDICTION_COLUMNS  6
#define NS_PREDICTION_MATRICES 4
extern const struct ns_prediction_column ns_prediction_columns[NS_PREDICTION_COLUMNS];
extern const struct ns_prediction_matrix ns_prediction_matrices[NS_PREDICTION_MATRICES];

static inline void **field(struct ns_predictions *p, const struct ns_prediction_column *c)
{
	return (void **)(void *)((char *)p + c->field);
}

static inline struct ns_matrix *matrix(struct ns_predictions *p, const struct ns_prediction_matrix *w)
{
	return (struct ns_matrix *)(void *)((char *)p + w->field);
}

static inline char ***names_of(struct ns_predictions *p, const struct ns_prediction_matrix *w)
{
	return (char ***)(void *)((char *)p + w->names);
}

static inline int *named_of(struct ns_predictions *p, const struct ns_prediction_matrix *w)
{
	return (int *)(void *)((char *)p + w->named);
}

/* Answers of a file's rows: appended to p's, of `rows` rows behind p->rows; and written. */
enum ns_status ns_results_append(struct ns_predictions *p, hid_t file, const char *path, int64_t rows);
enum ns_status ns_results_write(hid_t file, const char *path, const struct ns_predictions *p);

#endif
