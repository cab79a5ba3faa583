/*
 * kernels/formula/ctc.h - connectionist temporal classification of one image (Graves et al. 2006): the loss is -log of the sum, over all ways to stretch a text by repeats and blanks
 * to the network's steps, of the products of their probabilities. In double, in logarithms.
 */
#ifndef NS_CTC_H
#define NS_CTC_H

#include "kernels/formula/inline.h"
#include "kernels/tensor.h"

/* Doubles that one image needs. */
NS_FORMULA int64_t ns_ctc_work(const struct ns_op_ctc *v)
{
	return v->t + 2 * v->t * (2 * v->most + 1);
}

NS_FORMULA double ns_log_add(double a, double b)
{
	double top = a > b ? a : b, low = a > b ? b : a;

	return low == -INFINITY ? top : top + log1p(exp(low - top));
}

/* Symbol of state s of the text with blanks between, before and after. */
NS_FORMULA int ns_ctc_symbol(const struct ns_op_ctc *v, const int32_t *text, int64_t s)
{
	return s % 2 ? text[s / 2] : v->blank;
}

/* May a path step over state s - 1: from a symbol to another one without a blank? */
NS_FORMULA int ns_ctc_skips(const int32_t *text, int64_t s)
{
	return s % 2 && s > 1 && text[s / 2] != text[s / 2 - 1];
}

/* The length of a text that ends with -1 or after `most` symbols; -1: it is not known, or it does not fit into the steps. */
NS_FORMULA int64_t ns_ctc_length(const struct ns_op_ctc *v, const int32_t *text)
{
	int64_t n, steps = 0;

	if (v->most > 0 && text[0] < -1)
		return -1;
	for (n = 0; n < v->most && text[n] >= 0; n++) {
		if (text[n] >= v->k || text[n] == v->blank)
			return -1;
		steps += 1 + (n > 0 && text[n] == text[n - 1]);
	}
	return steps <= v->t ? n : -1;
}

/* log p of a symbol at a step */
NS_FORMULA double ns_ctc_at(const struct ns_op_ctc *v, const float *z, const double *lse, int64_t t, int symbol)
{
	return (double)z[t * v->k + symbol] - lse[t];
}

/* Forward: a[t, s] is the log of all that is at state s at step t, its symbol included. Returns log p of the text. */
NS_FORMULA double ns_ctc_forward(const struct ns_op_ctc *v, const float *z, const int32_t *text, int64_t states, const double *lse, double *a)
{
	int64_t t, s;

	for (s = 0; s < states; s++)
		a[s] = s < 2 ? ns_ctc_at(v, z, lse, 0, ns_ctc_symbol(v, text, s)) : -INFINITY;
	for (t = 1; t < v->t; t++)
		for (s = 0; s < states; s++) {
			const double *before = a + (t - 1) * states;
			double sum = before[s];

			if (s > 0)
				sum = ns_log_add(sum, before[s - 1]);
			if (ns_ctc_skips(text, s))
				sum = ns_log_add(sum, before[s - 2]);
			a[t * states + s] = sum + ns_ctc_at(v, z, lse, t, ns_ctc_symbol(v, text, s));
		}
	a += (v->t - 1) * states;
	return states > 1 ? ns_log_add(a[states - 1], a[states - 2]) : a[0];
}

/* Backward: b[t, s] is the log of all that follows state s at step t, its symbol not included. */
NS_FORMULA void ns_ctc_backward(const struct ns_op_ctc *v, const float *z, const int32_t *text, int64_t states, const double *lse, double *b)
{
	int64_t t, s, to;

	for (s = 0; s < states; s++)
		b[(v->t - 1) * states + s] = s >= states - 2 ? 0 : -INFINITY;
	for (t = v->t - 2; t >= 0; t--)
		for (s = 0; s < states; s++) {
			const double *after = b + (t + 1) * states;
			double sum = -INFINITY;

			for (to = s; to < states && to <= s + 2; to++)
				if (to < s + 2 || ns_ctc_skips(text, to))
					sum = ns_log_add(sum, after[to] + ns_ctc_at(v, z, lse, t + 1, ns_ctc_symbol(v, text, to)));
			b[t * states + s] = sum;
		}
}

/* Is the text what the largest of each step say, repeats and blanks left out? */
NS_FORMULA int ns_ctc_is_read(const struct ns_op_ctc *v, const float *z, const int32_t *text, int64_t length)
{
	int64_t t, n = 0;
	int k, best, last = -1;

	for (t = 0; t < v->t; t++, last = best) {
		for (best = 0, k = 1; k < v->k; k++)
			if (z[t * v->k + k] > z[t * v->k + best])
				best = k;
		if (best == v->blank || best == last)
			continue;
		if (n == length || text[n] != best)
			return 0;
		n++;
	}
	return n == length;
}

/* Loss of one image, z (t, k) and dx alike; a text that is not known, or does not fit, has none, and no gradient. */
NS_FORMULA double ns_ctc_one(const struct ns_op_ctc *v, const float *z, const int32_t *text, float *dx, double *work, int *read)
{
	const int64_t length = ns_ctc_length(v, text), states = 2 * length + 1;
	double *lse = work, *a = lse + v->t, *b = a + v->t * states, p, top, sum;
	int64_t t, s;
	int k;

	*read = 0;
	for (t = 0; length < 0 && t < v->t * v->k; t++)
		dx[t] = 0;
	if (length < 0)
		return 0;
	for (t = 0; t < v->t; t++) {
		for (top = (double)z[t * v->k], k = 1; k < v->k; k++)
			top = (double)z[t * v->k + k] > top ? (double)z[t * v->k + k] : top;
		for (sum = 0, k = 0; k < v->k; k++)
			sum += exp((double)z[t * v->k + k] - top);
		lse[t] = top + log(sum);
	}
	p = ns_ctc_forward(v, z, text, states, lse, a);
	ns_ctc_backward(v, z, text, states, lse, b);
	for (t = 0; t < v->t; t++) {
		for (k = 0; k < v->k; k++)
			dx[t * v->k + k] = (float)((double)v->scale * exp(ns_ctc_at(v, z, lse, t, k)));
		for (s = 0; s < states; s++)
			dx[t * v->k + ns_ctc_symbol(v, text, s)] -= (float)((double)v->scale * exp(a[t * states + s] + b[t * states + s] - p));
	}
	*read = ns_ctc_is_read(v, z, text, length);
	return -p;
}

#endif
