/*
 * jobs/evaluate/identities.c - embeddings against who or what is shown: how well the cosine of two tells the same from others (area under the curve, and how many of the same are accepted where
 * one of a hundred or a thousand others is), and whether the nearest other image shows the same.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jobs/evaluate/evaluate_inner.h"

#define BINS	  65536 /* of cosines from -1 to 1 */
#define ROWS_MOST 50000

struct identities {
	double *x; /* rows of length 1 */
	int *who, n, d, names;
	json_t *number; /* of each name */
	int64_t *same, *others;
};

static enum ns_status take_identity(const struct ns_judged *r, int64_t row, const json_t *truth, const json_t *answer, void *to)
{
	const json_t *list = json_object_get(answer, "embedding"), *known;
	const char *name = json_string_value(json_object_get(truth, r->member));
	struct identities *c = to;
	double length = 0, *x;
	int k;

	if (json_object_get(answer, "error"))
		return NS_OK;
	if (!c->n)
		c->d = (int)json_array_size(list);
	if (!c->d || (int)json_array_size(list) != c->d)
		return ns_fail(NS_BAD_DATA, "row %lld: an embedding of %zu numbers, where others have %d", (long long)row, json_array_size(list),
			       c->d);
	if (c->n == ROWS_MOST)
		return ns_fail(NS_CONFIG, "more than %d rows have a member '%s': all pairs of so many are not compared here", ROWS_MOST, r->member);
	x = realloc(c->x, sizeof *x * (size_t)c->d * (size_t)(c->n + 1));
	if (!x)
		return ns_fail(NS_NO_MEMORY, "out of memory for embeddings of %d rows", c->n);
	c->x = x;
	x += (size_t)c->n * (size_t)c->d;
	for (k = 0; k < c->d; k++) {
		x[k] = ns_judged_item(list, (size_t)k);
		length += x[k] * x[k];
	}
	for (k = 0; k < c->d; k++)
		x[k] = length > 0 ? x[k] / sqrt(length) : 0;
	known = json_object_get(c->number, name);
	if (!known)
		json_object_set_new(c->number, name, json_integer(c->names++));
	c->who[c->n++] = (int)json_integer_value(json_object_get(c->number, name));
	return NS_OK;
}

/* What is nearest to a row so far; of equally near ones the first. */
struct near {
	double cosine;
	int row, any; /* any: another row is of the same */
};

static void take_near(struct near *n, double cosine, int row, int same)
{
	n->any |= same;
	if (cosine > n->cosine) {
		n->cosine = cosine;
		n->row = row;
	}
}

/* All pairs, each once; how many rows have another of theirs, and how many of those have it nearest. */
static enum ns_status compare(const struct identities *c, int64_t *asked, int64_t *first)
{
	struct near *near = calloc((size_t)c->n + 1, sizeof *near);
	enum ns_status status = near ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for pairs of %d rows", c->n);
	int i, j, k;

	for (i = 0; status == NS_OK && i < c->n; i++)
		near[i] = (struct near){-2, -1, 0};
	for (i = 0; status == NS_OK && i < c->n; i++) {
		for (j = i + 1; j < c->n; j++) {
			int same = c->who[i] == c->who[j];
			double cosine = 0;

			for (k = 0; k < c->d; k++)
				cosine += c->x[(size_t)i * (size_t)c->d + (size_t)k] * c->x[(size_t)j * (size_t)c->d + (size_t)k];
			take_near(&near[i], cosine, j, same);
			take_near(&near[j], cosine, i, same);
			(same ? c->same : c->others)[(int)fmin(fmax((cosine + 1) / 2 * BINS, 0), BINS - 1)]++;
		}
		*asked += near[i].any; /* those before have come to it already */
		*first += near[i].any && c->who[near[i].row] == c->who[i];
	}
	free(near);
	return status;
}

/* From the largest cosine down: pairs of the same that are accepted before more than this share of others is. */
static double accepted(const struct identities *c, int64_t same, int64_t others, double share)
{
	int64_t right = 0, wrong = 0;
	int b;

	for (b = BINS - 1; b >= 0; b--) {
		if ((double)(wrong + c->others[b]) > share * (double)others)
			break;
		wrong += c->others[b];
		right += c->same[b];
	}
	return same && others ? (double)right / (double)same : NAN;
}

static enum ns_status tell(const struct ns_judged *r, const struct identities *c)
{
	int64_t same = 0, others = 0, asked = 0, first = 0;
	double area = 0;
	int b;

	NS_TRY(compare(c, &asked, &first));
	for (b = 0; b < BINS; b++) { /* pairs of the same above pairs of others; in one bin, half */
		area += (double)c->same[b] * ((double)others + (double)c->others[b] / 2);
		same += c->same[b];
		others += c->others[b];
	}
	json_object_set_new(r->json, "identities", json_integer(c->names));
	json_object_set_new(r->json, "pairs_same", json_integer(same));
	json_object_set_new(r->json, "pairs_other", json_integer(others));
	ns_judged_put(r->json, "auroc", same && others ? area / (double)same / (double)others : NAN);
	ns_judged_put(r->json, "accepted_at_1e-2", accepted(c, same, others, 1e-2));
	ns_judged_put(r->json, "accepted_at_1e-3", accepted(c, same, others, 1e-3));
	ns_judged_put(r->json, "nearest_is_same", asked ? (double)first / (double)asked : NAN);
	return NS_OK;
}

enum ns_status ns_judge_identities(const struct ns_judged *r)
{
	struct identities c = {
		NULL, malloc(sizeof *c.who * ROWS_MOST), 0, 0, 0, json_object(), calloc(BINS, sizeof *c.same), calloc(BINS, sizeof *c.others)};
	enum ns_status status =
		c.who && c.number && c.same && c.others ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for identities of %d rows", ROWS_MOST);

	NS_GO(status);
	NS_GO(ns_judged_each(r, take_identity, &c));
	status = tell(r, &c);
out:
	free(c.x);
	free(c.who);
	json_decref(c.number);
	free(c.same);
	free(c.others);
	return status;
}
