/*
 * jobs/evaluate/confusion.c - which classes are taken for which: the whole matrix of up to 1,000 classes; of more, whose matrix would have gigabytes,
 * its largest cells, the best and the worst classes, and sums of the rest.
 */
#include "jobs/evaluate/evaluate_inner.h"

#include <stdlib.h>
#include <string.h>

#define WHOLE 1000 /* classes whose matrix is written whole: a million numbers */
#define CELLS 1000 /* of a matrix that is not */
#define ENDS  100  /* classes at either end */

static enum ns_status whole(const struct ns_predictions *p, const uint8_t *gate, json_t *json)
{
	int k = p->prob.d, a, b;
	int64_t *m = calloc((size_t)k * (size_t)k, sizeof *m), i;
	json_t *rows = json_array(), *names = json_array();

	for (i = 0; m && i < p->rows; i++)
		if (ns_evaluate_counts(p, i, gate))
			m[p->label[i] * k + p->pred[i]]++;
	for (a = 0; m && a < k; a++) {
		json_t *row = json_array();

		for (b = 0; b < k; b++)
			json_array_append_new(row, json_integer(m[a * k + b]));
		json_array_append_new(rows, row);
	}
	for (a = 0; a < p->class_names; a++)
		json_array_append_new(names, json_string(p->names[a]));
	json_object_set_new(json, "confusion", rows);
	json_object_set_new(json, "classes", names);
	free(m);
	return m ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the confusion matrix of %d classes", k);
}

/* --- of many classes --- */

struct cell { /* rows of one label and one prediction that differ; or of a class: `of` its label, rows and hits */
	int64_t of, rows, hits;
};

static int by_of(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	return (x->of > y->of) - (x->of < y->of);
}

static int by_rows(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	return x->rows != y->rows ? (y->rows > x->rows) - (y->rows < x->rows) : by_of(a, b);
}

/* by accuracy; of equal ones that with more rows first */
static int by_accuracy(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;
	int64_t left = x->hits * y->rows, right = y->hits * x->rows;

	return left != right ? (right > left) - (right < left) : by_rows(a, b);
}

static json_t *name_of(const struct ns_predictions *p, int64_t k)
{
	return p->names && k < p->class_names ? json_string(p->names[k]) : json_integer(k);
}

/* Cells of rows whose prediction is wrong, the largest first. */
static enum ns_status wrong_cells(const struct ns_predictions *p, const uint8_t *gate, json_t *json)
{
	struct cell *cell = malloc(sizeof *cell * (size_t)(p->rows + 1));
	json_t *list = json_array();
	int64_t i, n = 0, cells = 0, rest = 0, k = p->prob.d;

	for (i = 0; cell && i < p->rows; i++)
		if (ns_evaluate_counts(p, i, gate) && p->label[i] != p->pred[i])
			cell[n++] = (struct cell){p->label[i] * k + p->pred[i], 1, 0};
	if (cell)
		qsort(cell, (size_t)n, sizeof *cell, by_of);
	for (i = 0; i < n; i++)
		if (cells && cell[cells - 1].of == cell[i].of)
			cell[cells - 1].rows++;
		else
			cell[cells++] = cell[i];
	if (cell)
		qsort(cell, (size_t)cells, sizeof *cell, by_rows);
	for (i = 0; i < cells; i++)
		if (i < CELLS)
			json_array_append_new(list, json_pack("{s:o, s:o, s:I}", "label", name_of(p, cell[i].of / k), "pred",
							      name_of(p, cell[i].of % k), "rows", (json_int_t)cell[i].rows));
		else
			rest += cell[i].rows;
	json_object_set_new(json, "confusions",
			    json_pack("{s:o, s:{s:I, s:I}}", "cells", list, "rest", "cells", (json_int_t)(cells > CELLS ? cells - CELLS : 0), "rows",
				      (json_int_t)rest));
	free(cell);
	return cell ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the confusions of %lld rows", (long long)p->rows);
}

static json_t *class_json(const struct ns_predictions *p, const struct cell *c)
{
	return json_pack("{s:o, s:I, s:I}", "class", name_of(p, c->of), "rows", (json_int_t)c->rows, "correct", (json_int_t)c->hits);
}

/* The classes that rows are labelled with: those of the highest accuracy, those of the lowest, the lowest first, and sums of all others. */
static enum ns_status ends_of_classes(const struct ns_predictions *p, const uint8_t *gate, json_t *json)
{
	struct cell *c = calloc((size_t)p->prob.d + 1, sizeof *c);
	json_t *best = json_array(), *worst = json_array();
	int64_t i, used = 0, rest[3] = {0};

	for (i = 0; c && i < p->prob.d; i++)
		c[i].of = i;
	for (i = 0; c && i < p->rows; i++)
		if (ns_evaluate_counts(p, i, gate)) {
			c[p->label[i]].rows++;
			c[p->label[i]].hits += p->label[i] == p->pred[i];
		}
	for (i = 0; c && i < p->prob.d; i++)
		if (c[i].rows)
			c[used++] = c[i];
	if (c)
		qsort(c, (size_t)used, sizeof *c, by_accuracy);
	for (i = 0; i < used; i++)
		if (i < ENDS) {
			json_array_append_new(best, class_json(p, &c[i]));
		} else if (i >= used - ENDS) {
			json_array_insert_new(worst, 0, class_json(p, &c[i]));
		} else {
			rest[0]++;
			rest[1] += c[i].rows;
			rest[2] += c[i].hits;
		}
	json_object_set_new(json, "by_class",
			    json_pack("{s:o, s:o, s:{s:I, s:I, s:I}, s:I}", "best", best, "worst", worst, "rest", "classes", (json_int_t)rest[0],
				      "rows", (json_int_t)rest[1], "correct", (json_int_t)rest[2], "without_rows", (json_int_t)(p->prob.d - used)));
	free(c);
	return c ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %d classes", p->prob.d);
}

enum ns_status ns_evaluate_confusion(const struct ns_predictions *p, const uint8_t *gate, json_t *json)
{
	if (p->prob.d <= WHOLE)
		return whole(p, gate, json);
	json_object_set_new(json, "confusion", json_null());
	json_object_set_new(json, "classes", json_null());
	json_object_set_new(json, "class_count", json_integer(p->prob.d));
	NS_TRY(wrong_cells(p, gate, json));
	return ends_of_classes(p, gate, json);
}
