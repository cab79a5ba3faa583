/* kernels/cpu/shift.c - two-sample statistics: KS by radix sort, MMD by subset-sum tables. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec.h"
#include "kernels/formula/mmd.h"
#include "kernels/formula/sort.h"

/* --- Kolmogorov-Smirnov --- */

static double distance(const uint32_t *x, int64_t m, const uint32_t *y, int64_t n)
{
	double best = 0;
	int64_t i = 0, j = 0;

	while (i < m && j < n) {
		uint32_t v = x[i] <= y[j] ? x[i] : y[j];
		double d;

		while (i < m && x[i] == v)
			i++;
		while (j < n && y[j] == v)
			j++;
		d = fabs((double)i / (double)m - (double)j / (double)n);
		if (d > best)
			best = d;
	}
	return best;
}

static enum ns_status ks_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_ks *v = &ns_cpu_op(plan)->u.ks;
	uint32_t *x = a->workspace, *y = x + 2 * v->m;
	int64_t i;
	int c;

	(void)queue;
	for (c = 0; c < v->d; c++) {
		const float *ref = (const float *)a->in[NS_KS_REF] + c, *cur = (const float *)a->in[NS_KS_CUR] + c;

		for (i = 0; i < v->m; i++)
			x[i] = ns_float_key(ref[i * v->d]);
		for (i = 0; i < v->n; i++)
			y[i] = ns_float_key(cur[i * v->d]);
		((double *)a->out[NS_KS_D])[c] =
			distance(ns_sort_keys(x, x + v->m, v->m), v->m, ns_sort_keys(y, y + v->n, v->n), v->n);
	}
	return NS_OK;
}

static enum ns_status make_ks(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	(void)dev;
	return ns_plain_plan_make(plan, op, (size_t)(op->u.ks.m + op->u.ks.n) * 2 * sizeof(uint32_t), ks_run);
}

/* --- MMD with all permutations --- */

/*
 * Sixteen rows i are the lanes. For each eight columns j a table holds the sums of all 256 subsets of their kernel
 * values; a permutation's labels of these columns are one byte, so its sum is one load and one add. Kernel
 * values are below 2^15: 2^17 columns fit 32 bits.
 */
#define CHUNK ((int64_t)1 << 16)

struct mmd_space { /* carved out of the workspace */
	v16u *sums;	  /* (P + 1): w_p' K over the columns so far, for the 16 rows */
	v16u *table;	  /* 2 x 256 */
	float *rows;	  /* (D, 16) */
	uint32_t *bits;	  /* of one labelling */
	uint8_t *labels;  /* (ceil(N / 8), P + 1), bit j % 8 of byte j / 8 */
};

static size_t carve(struct mmd_space *s, const struct ns_mmd *v, void *base)
{
	size_t p = (size_t)v->permutations + 1, n = (size_t)(v->m + v->n), at = 0;
	char *b = base;

	s->sums = (v16u *)(void *)b;
	at += p * sizeof(v16u);
	s->table = (v16u *)(void *)(b + at);
	at += 512 * sizeof(v16u);
	s->rows = (float *)(void *)(b + at);
	at += 16 * (size_t)v->d * sizeof(float);
	s->bits = (uint32_t *)(void *)(b + at);
	at += (n + 31) / 32 * sizeof(uint32_t);
	s->labels = (uint8_t *)b + at;
	return at + (n + 15) / 16 * 2 * p;
}

static const float *row_of(const struct ns_mmd *v, const struct ns_args *a, int64_t i)
{
	return i < v->m ? (const float *)a->in[NS_MMD_REF] + i * v->d
			: (const float *)a->in[NS_MMD_CUR] + (i - v->m) * v->d;
}

static void draw_labels(const struct ns_mmd *v, struct mmd_space *s)
{
	uint32_t n = (uint32_t)(v->m + v->n), i;
	size_t p, all = (size_t)v->permutations + 1;

	memset(s->labels, 0, ((size_t)n + 15) / 16 * 2 * all);
	for (p = 0; p < all; p++) {
		ns_mmd_labels(s->bits, (uint32_t)v->m, n, v->seed, (uint32_t)p);
		for (i = 0; i < (n + 7) / 8; i++)
			s->labels[i * all + p] = (uint8_t)(s->bits[i / 4] >> i % 4 * 8);
	}
}

/* kernel of column j with the 16 rows from i0 on; 0 on the diagonal and beyond the rows */
static v16u kernel16(const struct ns_mmd *v, const struct ns_args *a, const struct mmd_space *s, int64_t i0, int lanes,
		     int64_t j)
{
	const float *y = row_of(v, a, j);
	float d2[16] = {0};
	v16u k;
	uint32_t out[16];
	int c, l;

	for (c = 0; c < v->d; c++) {
#pragma omp simd
		for (l = 0; l < 16; l++)
			d2[l] = ns_mmd_distance(d2[l], s->rows[c * 16 + l], y[c]);
	}
	if (v->distance) {
#pragma omp simd
		for (l = 0; l < 16; l++)
			out[l] = l < lanes && i0 + l != j ? ns_mmd_kernel(d2[l], v->gamma, 1) : 0;
	} else {
#pragma omp simd
		for (l = 0; l < 16; l++)
			out[l] = l < lanes && i0 + l != j ? ns_mmd_kernel(d2[l], v->gamma, 0) : 0;
	}
	memcpy(&k, out, sizeof k);
	return k;
}

static void subset_sums(v16u *table, const v16u k[8])
{
	int b, bit;

	table[0] = (v16u){0};
	for (bit = 0; bit < 8; bit++)
		for (b = 0; b < 1 << bit; b++)
			table[(1 << bit) + b] = table[b] + k[bit];
}

/* hand the sums of a chunk of columns to the totals: rows of group X count for q */
static void flush(const struct ns_mmd *v, struct mmd_space *s, int64_t i0, int lanes, v16u row_sum, int64_t *q,
		  int64_t *sum, int64_t *total)
{
	size_t p, all = (size_t)v->permutations + 1;
	int l;

	for (l = 0; l < lanes; l++)
		*total += row_sum[l];
	for (p = 0; p < all; p++) {
		for (l = 0; l < lanes; l++)
			if (s->labels[(size_t)(i0 + l) / 8 * all + p] >> ((i0 + l) % 8) & 1) {
				q[p] += s->sums[p][l];
				sum[p] += row_sum[l];
			}
		s->sums[p] = (v16u){0};
	}
}

static void rows16(const struct ns_mmd *v, const struct ns_args *a, struct mmd_space *s, int64_t i0, int lanes)
{
	size_t all = (size_t)v->permutations + 1, p;
	int64_t n = v->m + v->n, j;
	v16u row_sum = {0}, k[16];
	int l, c, t;

	for (l = 0; l < 16; l++)
		for (c = 0; c < v->d; c++)
			s->rows[c * 16 + l] = row_of(v, a, i0 + (l < lanes ? l : 0))[c];
	memset(s->sums, 0, all * sizeof *s->sums);
	for (j = 0; j < n; j += 16) {
		const uint8_t *first = s->labels + (size_t)j / 8 * all, *second = first + all;

		for (t = 0; t < 16; t++) {
			k[t] = j + t < n ? kernel16(v, a, s, i0, lanes, j + t) : (v16u){0};
			row_sum += k[t];
		}
		subset_sums(s->table, k);
		subset_sums(s->table + 256, k + 8);
		for (p = 0; p < all; p++)
			s->sums[p] += s->table[first[p]] + s->table[256 + second[p]];
		if ((j + 16) % CHUNK == 0) {
			flush(v, s, i0, lanes, row_sum, a->out[NS_MMD_Q], a->out[NS_MMD_S], a->out[NS_MMD_TOTAL]);
			row_sum = (v16u){0};
		}
	}
	flush(v, s, i0, lanes, row_sum, a->out[NS_MMD_Q], a->out[NS_MMD_S], a->out[NS_MMD_TOTAL]);
}

static enum ns_status mmd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_mmd *v = &ns_cpu_op(plan)->u.mmd;
	size_t bytes = ((size_t)v->permutations + 1) * sizeof(int64_t);
	struct mmd_space s;
	int64_t i;

	(void)queue;
	carve(&s, v, a->workspace);
	memset(a->out[NS_MMD_Q], 0, bytes);
	memset(a->out[NS_MMD_S], 0, bytes);
	*(int64_t *)a->out[NS_MMD_TOTAL] = 0;
	draw_labels(v, &s);
	for (i = v->row_begin; i < v->row_end; i += 16)
		rows16(v, a, &s, i, v->row_end - i < 16 ? (int)(v->row_end - i) : 16);
	return NS_OK;
}

static enum ns_status make_mmd(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_mmd *v = &op->u.mmd;
	static char base[64] __attribute__((aligned(64)));
	struct mmd_space s;

	(void)dev;
	if (v->m + v->n >= (int64_t)1 << 32)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, carve(&s, v, base), mmd_run);
}

const struct ns_impl ns_cpu_ks = {"ks/cpu", NS_OP_KS, make_ks};
const struct ns_impl ns_cpu_mmd = {"mmd/cpu", NS_OP_MMD, make_mmd};
