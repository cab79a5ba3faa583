/* What is read of symbols' probabilities, by hand or by trying every path; and how far a text is from another. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host/base/base.h"
#include "host/outputs/outputs.h"
#include "kernels/formula/random.h"

static void test_greedy(void **state)
{
	/* blank a a blank a b b: "aab" */
	const float p[7 * 3] = {.8f, .1f, .1f, .1f, .7f, .2f, .2f, .5f, .3f, .6f, .3f, .1f, .1f, .9f, 0, .2f, .2f, .6f, .1f, .1f, .8f};
	const struct ns_output o = {"y", {3, {7, 1, 3}}, p};
	float *q;
	int text[7], steps, symbols;
	double sure;

	(void)state;
	assert_int_equal(ns_ctc_steps(&o, &steps, &symbols, &q), NS_OK);
	assert_true(steps == 7 && symbols == 3 && !memcmp(p, q, sizeof p));
	assert_int_equal(ns_ctc_greedy(q, 7, 3, 0, text, &sure), 3);
	assert_true(text[0] == 1 && text[1] == 1 && text[2] == 2);
	assert_true(fabs(sure - (.7 + .9 + .6) / 3) < 1e-6);
	assert_int_equal(ns_ctc_greedy(q, 7, 3, 1, text, &sure), 3); /* another blank: 0 0 2 */
	assert_true(text[0] == 0 && text[1] == 0 && text[2] == 2);
	free(q);
	{ /* logits become probabilities */
		const float z[4] = {0, (float)log(3), 0, 0};
		const struct ns_output l = {"z", {3, {1, 2, 2}}, z};

		assert_int_equal(ns_ctc_steps(&l, &steps, &symbols, &q), NS_OK);
		assert_true(steps == 2 && fabs((double)q[1] - .75) < 1e-6 && fabs((double)q[3] - .5) < 1e-6);
		free(q);
	}
}

/* The text of a path of symbols, as a number to the base 4. */
static int spelled(const int *path, int steps, int blank)
{
	int t, last = -1, value = 0;

	for (t = 0; t < steps; t++) {
		if (path[t] != blank && path[t] != last)
			value = 4 * value + path[t] + 1;
		last = path[t];
	}
	return value;
}

/* Against all paths, whose probabilities are added up for each text. */
static void test_beam(void **state)
{
	enum { STEPS = 6, SYMBOLS = 3, PATHS = 729 };
	int round, differs = 0;

	(void)state;
	for (round = 0; round < 200; round++) {
		float p[STEPS * SYMBOLS];
		double total[4096] = {0}, best = 0, sure, greedy_sure;
		int path[STEPS], text[STEPS], greedy[STEPS], i, t, n, value = 0, greedy_value = 0, blank = round % SYMBOLS;

		for (t = 0; t < STEPS; t++) {
			double sum = 0;

			for (i = 0; i < SYMBOLS; i++)
				sum += (double)(p[t * SYMBOLS + i] = (float)(.05 + ns_uniform(ns_draw(7, NS_FOR_SPLIT, (uint32_t)round,
												      (uint64_t)(t * SYMBOLS + i), 0)
												      .v[0])));
			for (i = 0; i < SYMBOLS; i++)
				p[t * SYMBOLS + i] /= (float)sum;
		}
		for (i = 0; i < PATHS; i++) {
			double product = 1;
			int rest = i;

			for (t = 0; t < STEPS; t++, rest /= SYMBOLS) {
				path[t] = rest % SYMBOLS;
				product *= (double)p[t * SYMBOLS + path[t]];
			}
			total[spelled(path, STEPS, blank)] += product;
		}
		for (i = 0; i < 4096; i++)
			best = fmax(best, total[i]);
		n = ns_ctc_beam(p, STEPS, SYMBOLS, blank, 200, text, &sure);
		for (t = 0; t < n; t++)
			value = 4 * value + text[t] + 1;
		assert_true(fabs(total[value] - best) < 1e-9 && fabs(sure - best) < 1e-6);
		n = ns_ctc_greedy(p, STEPS, SYMBOLS, blank, greedy, &greedy_sure);
		for (t = 0; t < n; t++)
			greedy_value = 4 * greedy_value + greedy[t] + 1;
		differs += greedy_value != value;
		assert_true(ns_ctc_beam(p, STEPS, SYMBOLS, blank, 1, text, &sure) >= 0);
	}
	assert_in_range(differs, 10, 190); /* the best path is not the best text */
}

/* Prefix beam search in its plainest form: every text of every step by every symbol, texts as numbers to the base 10. */
struct plain {
	uint64_t text;
	double blank, other;
	int last;
};

static struct plain *of_text(struct plain *list, int *n, uint64_t text, int last)
{
	int i;

	for (i = 0; i < *n; i++)
		if (list[i].text == text)
			return &list[i];
	list[*n] = (struct plain){text, 0, 0, last};
	return &list[(*n)++];
}

static uint64_t plain_beam(const float *p, int steps, int symbols, int blank, int beam)
{
	struct plain live[8] = {{0, 1, 0, -1}}, next[100];
	int lives = 1, n, t, i, k;

	for (t = 0; t < steps; t++, p += symbols) {
		for (n = 0, i = 0; i < lives; i++) {
			double all = live[i].blank + live[i].other;

			of_text(next, &n, live[i].text, live[i].last)->blank += all * (double)p[blank];
			if (live[i].last >= 0)
				of_text(next, &n, live[i].text, live[i].last)->other += live[i].other * (double)p[live[i].last];
			for (k = 0; k < symbols; k++)
				if (k != blank)
					of_text(next, &n, live[i].text * 10 + (uint64_t)k + 1, k)->other +=
						(k == live[i].last ? live[i].blank : all) * (double)p[k];
		}
		for (lives = 0; lives < beam && lives < n; lives++) {
			for (k = lives, i = lives; i < n; i++)
				if (next[i].blank + next[i].other > next[k].blank + next[k].other)
					k = i;
			live[lives] = next[k];
			next[k] = next[lives];
		}
	}
	return live[0].text;
}

/* Beams narrower than the alphabet: symbols that are left out of a step change no answer. */
static void test_narrow_beam(void **state)
{
	enum { STEPS = 12, SYMBOLS = 9 };
	int round, beam, i, t, text[STEPS], n;

	(void)state;
	for (round = 0; round < 300; round++)
		for (beam = 1; beam <= 4; beam++) {
			float p[STEPS * SYMBOLS];
			uint64_t value = 0;
			double sure;

			for (t = 0; t < STEPS; t++) {
				double sum = 0;

				for (i = 0; i < SYMBOLS; i++) {
					double u = ns_uniform(ns_draw(8, NS_FOR_SPLIT, (uint32_t)round, (uint64_t)(t * SYMBOLS + i), 0).v[0]);

					sum += (double)(p[t * SYMBOLS + i] = (float)(.01 + u * u * u));
				}
				for (i = 0; i < SYMBOLS; i++)
					p[t * SYMBOLS + i] /= (float)sum;
			}
			n = ns_ctc_beam(p, STEPS, SYMBOLS, round % SYMBOLS, beam, text, &sure);
			for (i = 0; i < n; i++)
				value = value * 10 + (uint64_t)text[i] + 1;
			if (value != plain_beam(p, STEPS, SYMBOLS, round % SYMBOLS, beam))
				fail_msg("round %d, beam %d: %llu, expected %llu", round, beam, (unsigned long long)value,
					 (unsigned long long)plain_beam(p, STEPS, SYMBOLS, round % SYMBOLS, beam));
		}
}

static void test_edits(void **state)
{
	static const struct {
		const char *a, *b;
		int edits, length;
	} cases[] = {{"kitten", "sitting", 3, 7},
		     {"", "abc", 3, 3},
		     {"abc", "", 3, 0},
		     {"same", "same", 0, 4},
		     {"Gr\xc3\xb6\xc3\x9f"
		      "e",
		      "Grosse", 3, 6},
		     {"\xe7\x96\x97"
		      "a",
		      "a", 1, 1},
		     {"ab", "ba", 2, 2},
		     {"flaw", "lawn", 2, 4}};
	size_t i;
	int length;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(ns_edits(cases[i].a, cases[i].b, &length), cases[i].edits);
		assert_int_equal(length, cases[i].length);
	}
}

static void test_ctc_edges(void **state)
{
	const float low[2] = {.2f, .4f}, below[3] = {-.5f, .7f, .8f}, tie[3] = {.4f, .4f, .2f}, twins[3] = {.2f, .4f, .4f}, many[30] = {0};
	const struct ns_output o1 = {"z", {3, {1, 1, 2}}, low}, o2 = {"z", {3, {1, 1, 3}}, below}, o3 = {"z", {3, {2, 5, 3}}, many};
	float *p = NULL;
	int steps, symbols, text[4];
	double sure;

	(void)state;
	assert_int_equal(ns_ctc_steps(&o1, &steps, &symbols, &p), NS_OK); /* within 0 to 1, but their sum is not 1 */
	assert_true(fabs((double)p[0] - 1 / (1 + exp(.2))) < 1e-6);
	free(p);
	assert_int_equal(ns_ctc_steps(&o2, &steps, &symbols, &p), NS_OK); /* their sum is 1, but one is below 0 */
	assert_true(p[0] > 0 && fabs((double)p[2] - exp(.8) / (exp(-.5) + exp(.7) + exp(.8))) < 1e-6);
	free(p);
	p = NULL;
	assert_int_equal(ns_ctc_steps(&o3, &steps, &symbols, &p), NS_BAD_DATA); /* two texts */
	free(p);
	assert_int_equal(ns_ctc_greedy(tie, 1, 3, 0, text, &sure), 0); /* the first of two, a blank */
	assert_int_equal(ns_ctc_beam(twins, 1, 3, 0, 3, text, &sure), 1);
	assert_int_equal(text[0], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy), cmocka_unit_test(test_beam), cmocka_unit_test(test_narrow_beam),
					   cmocka_unit_test(test_edits), cmocka_unit_test(test_ctc_edges)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
