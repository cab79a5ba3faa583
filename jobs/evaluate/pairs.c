/* jobs/evaluate/pairs.c - two models on the same images: who alone is right, by images and by sequences. */
#include "jobs/evaluate/evaluate_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/stat/stat.h"

struct joined {
	uint64_t id;
	int64_t row;
};

static int by_id(const void *a, const void *b)
{
	const struct joined *x = a, *y = b;

	return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : (x->row > y->row) - (x->row < y->row);
}

static struct joined *index_of(const struct ns_predictions *p)
{
	struct joined *j = malloc(sizeof *j * (size_t)(p->rows + 1));
	int64_t i;

	for (i = 0; j && i < p->rows; i++)
		j[i] = (struct joined){p->id[i], i};
	if (j)
		qsort(j, (size_t)p->rows, sizeof *j, by_id);
	return j;
}

/* The votes of two models: one an image (equal images have equal ids), and one a sequence, where rows have them. */
struct votes {
	const int32_t *block; /* of each row; NULL: each image votes */
	int64_t *balance;     /* (blocks): images of which the first alone is right, less those of which the second is */
	uint8_t *voted;	      /* (blocks) */
	int64_t blocks, count[3];
	int64_t *of_class; /* (classes, 2): images of it of which the first alone is right, and the second */
	int64_t images;
};

static void vote(struct votes *v, int64_t row, int balance)
{
	if (v->block) {
		v->balance[v->block[row]] += balance;
		v->voted[v->block[row]] = 1;
		return;
	}
	v->count[0]++;
	v->count[1] += balance > 0;
	v->count[2] += balance < 0;
}

/* Counts the images that count, and those where only one of the two models is right. */
static enum ns_status count_pairs(const struct ns_predictions *p, const struct ns_predictions *q, const struct joined *a, const struct joined *b,
				  const uint8_t *gate, struct votes *v)
{
	uint64_t last = 0;
	int64_t i;
	int any = 0;

	for (i = 0; i < p->rows; i++) {
		int64_t r = a[i].row, s = b[i].row;
		int right, was;

		if (a[i].id != b[i].id)
			return ns_fail(NS_BAD_DATA, "evaluate: row %016llx is not in both predictions", (unsigned long long)a[i].id);
		if (q->label && q->label[s] != p->label[r])
			return ns_fail(NS_BAD_DATA, "evaluate: row %016llx has label %d here, %d there", (unsigned long long)a[i].id, p->label[r],
				       q->label[s]);
		if (!ns_evaluate_counts(p, r, gate) || (any && a[i].id == last))
			continue;
		any = 1;
		last = a[i].id;
		right = p->pred[r] == p->label[r];
		was = q->pred[s] == p->label[r];
		vote(v, r, right - was);
		v->images++;
		v->of_class[2 * (int64_t)p->label[r]] += right && !was;
		v->of_class[2 * (int64_t)p->label[r] + 1] += was && !right;
	}
	for (i = 0; v->block && i < v->blocks; i++) {
		v->count[0] += v->voted[i];
		v->count[1] += v->balance[i] > 0;
		v->count[2] += v->balance[i] < 0;
	}
	return NS_OK;
}

#define WORSE	      .01 /* level of all classes together at which one is surely worse */
#define WORSE_CLASSES 100 /* that are listed */

/* Classes that got worse, by the chance that a fair coin is for it as seldom. */
static json_t *worse_classes(const struct ns_predictions *p, const struct votes *v)
{
	const int64_t *of_class = v->of_class;
	double share = v->images ? (double)v->count[0] / (double)v->images : 1; /* images of a sequence count as the one vote that it has */
	json_t *list = json_array();
	int k, differ = 0;

	for (k = 0; k < p->prob.d; k++)
		differ += of_class[2 * (int64_t)k] + of_class[2 * (int64_t)k + 1] > 0;
	for (k = 0; k < p->prob.d && json_array_size(list) < WORSE_CLASSES; k++) {
		int64_t better = (int64_t)ceil((double)of_class[2 * (int64_t)k] * share),
			worse = (int64_t)((double)of_class[2 * (int64_t)k + 1] * share);
		double chance = worse > better ? ns_stat_binomial_sf(worse, better + worse, .5) : 1;

		if (chance < WORSE / fmax(1, differ))
			json_array_append_new(list,
					      NS_JSON_OBJECT({"class", p->names && k < p->class_names ? json_string(p->names[k]) : json_integer(k)},
							     {"better", json_integer((json_int_t)better)}, {"worse", json_integer((json_int_t)worse)},
							     {"p", json_real(chance)}));
	}
	return list;
}

enum ns_status ns_evaluate_pairs(const struct ns_predictions *p, const struct ns_predictions *q, const uint8_t *gate, double seconds,
				 int64_t count[3], json_t **worse)
{
	struct joined *a = index_of(p), *b = index_of(q);
	struct votes v = {.of_class = calloc(2 * (size_t)p->prob.d + 1, sizeof *v.of_class)};
	int32_t *block = NULL;
	enum ns_status status = a && b ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for pairing rows");

	NS_GO(status);
	NS_GO(ns_predictions_sequences(p, seconds, &block, &v.blocks));
	v.block = block;
	v.balance = calloc((size_t)v.blocks + 1, sizeof *v.balance);
	v.voted = calloc((size_t)v.blocks + 1, 1);
	status = v.balance && v.voted && v.of_class ? count_pairs(p, q, a, b, gate, &v) : ns_fail(NS_NO_MEMORY, "out of memory for pairing rows");
	memcpy(count, v.count, sizeof v.count);
	if (status == NS_OK)
		*worse = worse_classes(p, &v);
out:
	free(v.of_class);
	free(v.balance);
	free(v.voted);
	free(block);
	free(a);
	free(b);
	return status;
}
