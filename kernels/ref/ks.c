/*
 * kernels/ref/ks.c - two-sample Kolmogorov-Smirnov distance of each column: the largest difference of the two
 * empirical distribution functions, evaluated only where a group of ties ends. NaN sorts last, as one value.
 */
#include "kernels/ref/ref.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	if (isnan(x) || isnan(y))
		return isnan(x) - isnan(y);
	return (x > y) - (x < y);
}

static int same(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

static double distance(const double *x, int64_t m, const double *y, int64_t n)
{
	int64_t i = 0, j = 0;
	double best = 0;

	while (i < m && j < n) {
		double v = by_value(x + i, y + j) <= 0 ? x[i] : y[j], d;

		while (i < m && same(x[i], v))
			i++;
		while (j < n && same(y[j], v))
			j++;
		d = fabs((double)i / (double)m - (double)j / (double)n);
		if (d > best)
			best = d;
	}
	return best;
}

static enum ns_status ks_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_ks *v = &ns_ref_op(plan)->u.ks;
	double *x = a->workspace, *y = x + v->m;
	int64_t i;
	int c;

	(void)queue;
	for (c = 0; c < v->d; c++) {
		for (i = 0; i < v->m; i++)
			x[i] = (double)((const float *)a->in[NS_KS_REF])[i * v->d + c];
		for (i = 0; i < v->n; i++)
			y[i] = (double)((const float *)a->in[NS_KS_CUR])[i * v->d + c];
		qsort(x, (size_t)v->m, sizeof *x, by_value);
		qsort(y, (size_t)v->n, sizeof *y, by_value);
		((double *)a->out[NS_KS_D])[c] = distance(x, v->m, y, v->n);
	}
	return NS_OK;
}

NS_REF_IMPL(ns_ref_ks, "ks/ref", NS_OP_KS, ks_run, (size_t)(op->u.ks.m + op->u.ks.n) * sizeof(double));
