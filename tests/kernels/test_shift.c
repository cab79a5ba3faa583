/* tests/kernels/test_shift.c - KS and MMD: integers and comparisons, so the same bits on every backend. */
#include "tests/kernels/cases.h"

#include <math.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* coarse values, so that there are ties, and now and then a value that sorts oddly */
static void odd_values(float *x, int64_t n, unsigned salt)
{
	static const float odd[] = {0.0f, -0.0f, INFINITY, -INFINITY, 1e-42f, -1e-42f, 3e38f, NAN};
	int64_t i;

	for (i = 0; i < n; i++) {
		unsigned t = (unsigned)i * 2654435761u + salt * 40503u;

		x[i] = t >> 27 == 0 ? odd[t >> 8 & 7] : (float)((int)(t >> 16 & 31) - 16) / 4;
	}
	for (i = salt & 1; i < n; i += 9) /* a NaN that is not the usual one */
		if (isnan(x[i]))
			x[i] = -NAN;
}

static void test_ks(void **state)
{
	static const int z[][3] = {{1, 1, 1}, {1, 33, 2}, {31, 1, 1}, {33, 31, 3}, {257, 300, 17}, {2048, 2049, 2}};
	struct nst_tally tally = {0};
	size_t i;
	int odd;

	(void)state;
	for (i = 0; i < COUNT(z); i++)
		for (odd = 0; odd < 2; odd++) {
			int64_t m = z[i][0], n = z[i][1], d = z[i][2];
			float *x = malloc((size_t)((m + n) * d) * sizeof *x), *y = x + m * d;
			struct nst_case c = {.op = {.kind = NS_OP_KS, .u.ks = {m, n, (int)d}}};

			assert_non_null(x);
			odd_values(x, m * d, 1);
			odd_values(y, n * d, 2);
			snprintf(c.label, sizeof c.label, "ks %d, %d x %d, odd %d", z[i][0], z[i][1], z[i][2], odd);
			nst_in(&c, NS_KS_REF, NST_F32, m * d, NST_UNIT, 0);
			nst_in(&c, NS_KS_CUR, NST_F32, n * d, NST_UNIT, 0);
			if (odd) {
				nst_given(&c, NS_KS_REF, NST_F32, m * d, x);
				nst_given(&c, NS_KS_CUR, NST_F32, n * d, y);
			}
			nst_out(&c, NS_KS_D, NST_F64, d, NST_EXACT);
			nst_check(&c, &tally);
			free(x);
		}
	nst_report(&tally, NS_OP_KS);
}

/* one column of many values, of a shape that buckets of equal width find hard */
static float awkward(int shape, int64_t i, unsigned salt)
{
	unsigned t = ((unsigned)i + salt * 7919u) * 2654435761u;
	float u = (float)(t >> 8) / 16777216;

	switch (shape) {
	case 0: /* even, the window a little apart */
		return u * (salt == 2 ? 1.002f : 1);
	case 1: /* from 2^-60 to 2^60: most lie in the first bucket, whoever looks at them */
		return exp2f(120 * u - 60);
	case 2: /* far apart from everybody */
		return i % 999 == 5 ? 3e38f * (u - 0.5f) : u;
	case 3: /* their difference is no number */
		return i % 999 == 5 ? (u > 0.5f ? 3e38f : -3e38f) : u;
	case 4: /* no differences in 24 bits */
		return 1e-44f * (float)(t >> 24);
	case 5:
		return 1 + (float)(t >> 30) * 1.1920929e-7f;
	case 6: /* all but a few alike */
		return i % 50 ? 0.25f : u;
	default: /* nobody in common */
		return salt == 2 ? u + 2 : u;
	}
}

static void test_ks_awkward(void **state)
{
	static const int64_t rows[][2] = {{6000, 6000}, {1000, 9000}, {49, 1000}};
	struct nst_tally tally = {0};
	size_t r;
	int shape;

	(void)state;
	for (r = 0; r < COUNT(rows); r++)
		for (shape = 0; shape < 8; shape++) {
			int64_t m = rows[r][0], n = rows[r][1], i;
			struct nst_case c = {.op = {.kind = NS_OP_KS, .u.ks = {m, n, 1}}};
			float *x;

			if (!nst_in_pairs((size_t)shape, 0, r, COUNT(rows)))
				continue;
			x = malloc((size_t)(m + n) * sizeof *x);
			assert_non_null(x);
			for (i = 0; i < m + n; i++)
				x[i] = awkward(shape, i < m ? i : i - m, i < m ? 1 : 2);
			snprintf(c.label, sizeof c.label, "ks %d, %d, shape %d", (int)m, (int)n, shape);
			nst_given(&c, NS_KS_REF, NST_F32, m, x);
			nst_given(&c, NS_KS_CUR, NST_F32, n, x + m);
			nst_out(&c, NS_KS_D, NST_F64, 1, NST_EXACT);
			nst_check(&c, &tally);
			free(x);
		}
	nst_report(&tally, NS_OP_KS);
}

static void check_mmd(const struct ns_op_mmd *v, enum nst_fill fill, struct nst_tally *tally)
{
	struct nst_case c = {.op = {.kind = NS_OP_MMD, .u.mmd = *v}};
	int32_t *block;
	int64_t i;

	snprintf(c.label, sizeof c.label, "mmd %d, %d x %d, rows %d to %d, %d permutations, gamma %g%s%s", (int)v->m, (int)v->n, v->d,
		 (int)v->row_begin, (int)v->row_end, v->permutations, (double)v->gamma, v->distance ? ", distance" : "",
		 v->blocks ? ", in threes" : "");
	nst_in(&c, NS_MMD_REF, NST_F32, v->m * v->d, fill, 0);
	nst_in(&c, NS_MMD_CUR, NST_F32, v->n * v->d, fill, 0);
	block = calloc((size_t)(v->m + v->n), sizeof *block);
	for (i = 0; block && i < v->m + v->n; i++)
		block[i] = (int32_t)(i < v->m ? i / 3 : v->ref_blocks + (i - v->m) / 3);
	if (v->blocks)
		nst_given(&c, NS_MMD_BLOCK, NST_I32, v->m + v->n, block);
	nst_out(&c, NS_MMD_Q, NST_I64, v->permutations + 1, NST_EXACT);
	nst_out(&c, NS_MMD_S, NST_I64, v->permutations + 1, NST_EXACT);
	nst_out(&c, NS_MMD_TOTAL, NST_I64, 1, NST_EXACT);
	nst_check(&c, tally);
	free(block);
}

static void test_mmd(void **state)
{
	/* m, n, d, first row, last row (0: all), permutations */
	static const int z[][6] = {{1, 1, 1, 0, 0, 0},	   {2, 3, 2, 0, 0, 9},	    {16, 16, 8, 0, 0, 31},
				   {33, 31, 17, 0, 0, 33}, {64, 48, 8, 5, 77, 20},  {48, 1, 3, 17, 18, 5},
				   {1, 257, 5, 0, 0, 7},   {40, 40, 33, 40, 40, 3}, {100, 29, 1, 64, 129, 257}};
	static const float gamma[] = {0.7f, 0, 100};
	struct nst_tally tally = {0};
	size_t i, g;

	(void)state;
	for (i = 0; i < COUNT(z); i++)
		for (g = 0; g < COUNT(gamma); g++) {
			struct ns_op_mmd v = {z[i][0], z[i][1], z[i][3], z[i][4] ? z[i][4] : z[i][0] + z[i][1], z[i][2], z[i][5], 11, gamma[g],
					      0,       0,	0};

			if (nst_in_pairs(i, 0, g, COUNT(gamma)))
				check_mmd(&v, g ? NST_COARSE : NST_UNIT, &tally);
			v.distance = 1; /* under 1 - gamma d */
			if (nst_in_pairs(i, 1, g, COUNT(gamma)))
				check_mmd(&v, g ? NST_COARSE : NST_UNIT, &tally);
			v.ref_blocks = (v.m + 2) / 3; /* rows in threes */
			v.blocks = v.ref_blocks + (v.n + 2) / 3;
			if (nst_in_pairs(i, 2, g, COUNT(gamma)))
				check_mmd(&v, g ? NST_COARSE : NST_UNIT, &tally);
		}
	nst_report(&tally, NS_OP_MMD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ks),
		cmocka_unit_test(test_ks_awkward),
		cmocka_unit_test(test_mmd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
