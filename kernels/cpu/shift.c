/* kernels/cpu/shift.c - MMD with all permutations, by subset-sum tables. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/vec.h"
#include "kernels/formula/mmd.h"

/*
 * Sixteen rows i are the lanes. Columns j are processed GROUP at a time: for each six of them a table holds the sums of all 64
 * subsets of their kernel values, and a permutation's labels of the group are one word, so its sum is five loads and
 * adds from 20 KiB of tables. Kernel values are below 2^15: CHUNK columns fit in 32 bits.
 */
#define GROUP	30
#define BITS	6
#define TABLES	(GROUP / BITS)
#define SUBSETS (1 << BITS)
#define AHEAD	5 /* columns whose distances are computed at once, to hide latency */
#define CHUNK	((int64_t)GROUP * 2048)

struct mmd_space {	  /* carved out of the workspace */
	v16u *sums;	  /* (P + 1): w_p' K over the columns so far, for the 16 rows */
	v16u *table;	  /* (TABLES, SUBSETS) */
	float *rows;	  /* (D, 16) */
	uint32_t *bits;	  /* of one permutation */
	uint32_t *labels; /* (ceil(N / GROUP), P + 1), bit j % GROUP of word j / GROUP */
};

static size_t carve(struct mmd_space *s, const struct ns_op_mmd *v, void *base)
{
	size_t p = (size_t)v->permutations + 1, n = (size_t)(v->m + v->n), at = 0;
	char *b = base;

	s->sums = (v16u *)(void *)b;
	at += p * sizeof(v16u);
	s->table = (v16u *)(void *)(b + at);
	at += TABLES * SUBSETS * sizeof(v16u);
	s->rows = (float *)(void *)(b + at);
	at += 16 * (size_t)v->d * sizeof(float);
	s->bits = (uint32_t *)(void *)(b + at);
	at += (n / 32 + 2) * sizeof(uint32_t); /* one word more, for reads across a word's end */
	s->labels = (uint32_t *)(void *)(b + at);
	return at + (n + GROUP - 1) / GROUP * p * sizeof(uint32_t);
}

static const float *row_of(const struct ns_op_mmd *v, const struct ns_args *a, int64_t i)
{
	return i < v->m ? (const float *)a->in[NS_MMD_REF] + i * v->d : (const float *)a->in[NS_MMD_CUR] + (i - v->m) * v->d;
}

static void draw_labels(const struct ns_op_mmd *v, const int32_t *block, struct mmd_space *s)
{
	uint32_t n = (uint32_t)(v->m + v->n), g, groups = (n + GROUP - 1) / GROUP, units = block ? (uint32_t)v->blocks : n;
	size_t p, all = (size_t)v->permutations + 1;

	s->bits[units / 32] = s->bits[units / 32 + 1] = 0;
	for (p = 0; p < all; p++) {
		ns_mmd_members(s->bits, (uint32_t)(block ? v->ref_blocks : v->m), units, v->seed, (uint32_t)p);
		for (g = 0; g < groups; g++) {
			uint32_t at = g * GROUP, w = 0, i;

			if (block) {
				for (i = 0; i < GROUP && at + i < n; i++)
					w |= (s->bits[block[at + i] / 32] >> block[at + i] % 32 & 1) << i;
			} else {
				uint64_t pair = s->bits[at / 32] | (uint64_t)s->bits[at / 32 + 1] << 32;

				w = (uint32_t)(pair >> at % 32) & ((1u << GROUP) - 1);
			}
			s->labels[g * all + p] = w;
		}
	}
}

/* kernel values of 16 squared distances, as ns_mmd_kernel() */
static v16u quantise(v16f d2, float gamma, int distance)
{
	v16f k;
	int l;

	if (distance) {
		for (l = 0; l < 16; l++)
			d2[l] = sqrtf(d2[l]);
		k = v16_where_positive(1.0f - gamma * d2, 1.0f - gamma * d2);
	} else {
		k = v16_exp_neg(-gamma * d2);
	}
	return (v16u) __builtin_convertvector(k * 32767.0f + 0.5f, v16i);
}

/* kernels of AHEAD columns from j on with the 16 rows from i0 on; 0 on the diagonal and beyond the rows */
static void kernels(const struct ns_op_mmd *v, const struct ns_args *a, const struct mmd_space *s, int64_t i0, int lanes, int64_t j, v16u k[AHEAD])
{
	int64_t n = v->m + v->n;
	const float *y[AHEAD];
	v16f d2[AHEAD] = {{0}};
	int c, t, l;

	for (t = 0; t < AHEAD; t++)
		y[t] = row_of(v, a, j + t < n ? j + t : n - 1);
	for (c = 0; c < v->d; c++) {
		v16f x = v16_load_f32(s->rows + c * 16, 16);

#pragma GCC unroll 5
		for (t = 0; t < AHEAD; t++) { /* ns_mmd_distance() */
			v16f difference = x - y[t][c];

			d2[t] = v16_fma(difference, difference, d2[t]);
		}
	}
	for (t = 0; t < AHEAD; t++) {
		k[t] = quantise(d2[t], v->gamma, v->distance);
		if (j + t >= n)
			k[t] = (v16u){0};
		for (l = 0; (lanes < 16 || (j + t >= i0 && j + t < i0 + 16)) && l < 16; l++)
			if (l >= lanes || i0 + l == j + t)
				k[t][l] = 0;
	}
}

static void subset_sums(v16u *table, const v16u k[BITS])
{
	int b, bit;

	table[0] = (v16u){0};
	for (bit = 0; bit < BITS; bit++)
		for (b = 0; b < 1 << bit; b++)
			table[(1 << bit) + b] = table[b] + k[bit];
}

/* Adds the sums of a chunk of columns to the totals: only rows of group X count for q. */
static void flush(const struct ns_op_mmd *v, struct mmd_space *s, int64_t i0, int lanes, v16u row_sum, int64_t *q, int64_t *sum, int64_t *total)
{
	size_t p, all = (size_t)v->permutations + 1;
	int l;

	for (l = 0; l < lanes; l++)
		*total += row_sum[l];
	for (p = 0; p < all; p++) {
		for (l = 0; l < lanes; l++)
			if (s->labels[(size_t)(i0 + l) / GROUP * all + p] >> (i0 + l) % GROUP & 1) {
				q[p] += s->sums[p][l];
				sum[p] += row_sum[l];
			}
		s->sums[p] = (v16u){0};
	}
}

static void rows16(const struct ns_op_mmd *v, const struct ns_args *a, struct mmd_space *s, int64_t i0, int lanes)
{
	size_t all = (size_t)v->permutations + 1, p;
	int64_t n = v->m + v->n, j;
	v16u row_sum = {0}, k[GROUP];
	int l, c, t;

	for (l = 0; l < 16; l++)
		for (c = 0; c < v->d; c++)
			s->rows[c * 16 + l] = row_of(v, a, i0 + (l < lanes ? l : 0))[c];
	memset(s->sums, 0, all * sizeof *s->sums);
	for (j = 0; j < n; j += GROUP) {
		const uint32_t *labels = s->labels + (size_t)j / GROUP * all;
		const v16u *table = s->table;

		for (t = 0; t < GROUP; t += AHEAD)
			kernels(v, a, s, i0, lanes, j + t, k + t);
		for (t = 0; t < GROUP; t++)
			row_sum += k[t];
		for (t = 0; t < TABLES; t++)
			subset_sums(s->table + t * SUBSETS, k + t * BITS);
		for (p = 0; p < all; p++) {
			uint32_t w = labels[p];

			s->sums[p] += table[w & 63] + table[SUBSETS + (w >> 6 & 63)] + table[2 * SUBSETS + (w >> 12 & 63)] +
				      table[3 * SUBSETS + (w >> 18 & 63)] + table[4 * SUBSETS + (w >> 24)];
		}
		if ((j + GROUP) % CHUNK == 0) {
			flush(v, s, i0, lanes, row_sum, a->out[NS_MMD_Q], a->out[NS_MMD_S], a->out[NS_MMD_TOTAL]);
			row_sum = (v16u){0};
		}
	}
	flush(v, s, i0, lanes, row_sum, a->out[NS_MMD_Q], a->out[NS_MMD_S], a->out[NS_MMD_TOTAL]);
}

static enum ns_status mmd_run(const struct ns_plan *plan, const struct ns_args *a, struct ns_queue *queue)
{
	const struct ns_op_mmd *v = &ns_cpu_op(plan)->u.mmd;
	size_t bytes = ((size_t)v->permutations + 1) * sizeof(int64_t);
	struct mmd_space s;
	int64_t i;

	(void)queue;
	carve(&s, v, a->workspace);
	memset(a->out[NS_MMD_Q], 0, bytes);
	memset(a->out[NS_MMD_S], 0, bytes);
	*(int64_t *)a->out[NS_MMD_TOTAL] = 0;
	draw_labels(v, v->blocks ? a->in[NS_MMD_BLOCK] : NULL, &s);
	for (i = v->row_begin; i < v->row_end; i += 16)
		rows16(v, a, &s, i, v->row_end - i < 16 ? (int)(v->row_end - i) : 16);
	return NS_OK;
}

static enum ns_status make_mmd(struct ns_plan **plan, struct ns_device *dev, const struct ns_op *op)
{
	const struct ns_op_mmd *v = &op->u.mmd;
	static char base[64] __attribute__((aligned(64)));
	struct mmd_space s;

	(void)dev;
	if (v->m + v->n >= (int64_t)1 << 31)
		return NS_DECLINED;
	return ns_plain_plan_make(plan, op, carve(&s, v, base), mmd_run);
}

const struct ns_impl ns_cpu_mmd = {"mmd/cpu", NS_OP_MMD, make_mmd};
