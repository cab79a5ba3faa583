/* jobs/evaluate/answers.c - answers of other tasks than classify against the annotations that their data set keeps; a row whose annotation does not speak of them is not counted. */
#include "jobs/evaluate/evaluate_inner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/shard/shard.h"
#include "host/outputs/outputs.h"
#include "host/stat/stat.h"

/* --- boxes --- */

struct boxes {
	struct ns_scored_image *images;
	struct ns_truth **truth;
	struct ns_detection **found;
	int64_t n, truths, unknown;
};

static enum ns_status take_object(const struct ns_judged *r, int64_t row, const json_t *one, const json_t *answer, struct ns_truth *t)
{
	const json_t *box = json_object_get(one, "bbox"), *shares = json_object_get(one, "bbox_normalized");
	double w = shares ? json_number_value(json_object_get(answer, "width")) : 1,
	       h = shares ? json_number_value(json_object_get(answer, "height")) : 1;
	size_t k;

	box = box ? box : shares;
	if (shares != box) /* of pixels, though both may be there */
		w = h = 1;
	for (k = 0; k < json_array_size(box) && json_is_number(json_array_get(box, k)); k++)
		;
	if (k != 4 || json_array_size(box) != 4 || ns_judged_item(box, 2) < 0 || ns_judged_item(box, 3) < 0)
		return ns_fail(NS_BAD_DATA, "row %lld: an object whose box is not x, y and a width and height of at least 0", (long long)row);
	t->x0 = ns_judged_item(box, 0) * w;
	t->y0 = ns_judged_item(box, 1) * h;
	t->x1 = (ns_judged_item(box, 0) + ns_judged_item(box, 2)) * w;
	t->y1 = (ns_judged_item(box, 1) + ns_judged_item(box, 3)) * h;
	t->area = ns_json_number(one, "area", (t->x1 - t->x0) * (t->y1 - t->y0));
	t->crowd = ns_json_number(one, "iscrowd", 0) > 0;
	t->cls = ns_judged_class(r->p, ns_json_text(one, "category"));
	return NS_OK;
}

/* Objects of classes that the model does not know are not asked of it; they are counted. */
static enum ns_status take_image(const struct ns_judged *r, int64_t row, const json_t *truth, const json_t *answer, void *to)
{
	struct boxes *b = to;
	const json_t *objects = json_object_get(truth, r->member), *boxes = json_object_get(answer, "boxes"), *one;
	struct ns_truth *t = calloc(json_array_size(objects) + 1, sizeof *t);
	struct ns_detection *d = calloc(json_array_size(boxes) + 1, sizeof *d);
	struct ns_scored_image *image = &b->images[b->n];
	size_t i;

	b->truth[b->n] = t;
	b->found[b->n++] = d;
	if (!t || !d)
		return ns_fail(NS_NO_MEMORY, "out of memory for the boxes of row %lld", (long long)row);
	json_array_foreach(objects, i, one) {
		NS_TRY(take_object(r, row, one, answer, &t[image->truths]));
		if (t[image->truths].cls < 0)
			b->unknown++;
		else
			image->truths++;
	}
	json_array_foreach(boxes, i, one) {
		const json_t *box = json_object_get(one, "box");

		d[image->n++] = (struct ns_detection){(float)ns_judged_item(box, 0),	      (float)ns_judged_item(box, 1),
						      (float)ns_judged_item(box, 2),	      (float)ns_judged_item(box, 3),
						      (float)ns_json_number(one, "score", 0), ns_judged_class(r->p, ns_json_text(one, "class"))};
	}
	b->truths += image->truths;
	image->truth = t;
	image->found = d;
	return NS_OK;
}

static enum ns_status tell_precision(const struct ns_judged *r, const struct boxes *b)
{
	struct ns_average_precision ap;
	json_t *classes = json_object();
	double *by_class = calloc((size_t)r->p->class_names + 1, sizeof *by_class);
	enum ns_status status = by_class && classes ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for classes");
	int k;

	NS_GO(status);
	NS_GO(ns_average_precision(b->images, b->n, r->p->class_names, &ap, by_class));
	ns_judged_put(r->json, "ap", ap.ap);
	ns_judged_put(r->json, "ap50", ap.ap50);
	ns_judged_put(r->json, "ap75", ap.ap75);
	ns_judged_put(r->json, "ap_small", ap.small);
	ns_judged_put(r->json, "ap_medium", ap.medium);
	ns_judged_put(r->json, "ap_large", ap.large);
	ns_judged_put(r->json, "recall", ap.recall);
	for (k = 0; k < r->p->class_names; k++)
		ns_judged_put(classes, r->p->names[k], by_class[k]);
	json_object_set(r->json, "classes", classes);
out:
	json_decref(classes);
	free(by_class);
	return status;
}

static enum ns_status detect(const struct ns_judged *r)
{
	size_t n = (size_t)r->p->rows + 1;
	struct boxes b = {calloc(n, sizeof *b.images), calloc(n, sizeof *b.truth), calloc(n, sizeof *b.found), 0, 0, 0};
	enum ns_status status = b.images && b.truth && b.found ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %zu images", n);
	int64_t row;

	NS_GO(status);
	NS_GO(ns_judged_each(r, take_image, &b));
	json_object_set_new(r->json, "objects", json_integer(b.truths));
	json_object_set_new(r->json, "objects_of_unknown_classes", json_integer(b.unknown));
	status = tell_precision(r, &b);
out:
	for (row = 0; b.truth && b.found && row < b.n; row++) {
		free(b.truth[row]);
		free(b.found[row]);
	}
	free(b.images);
	free(b.truth);
	free(b.found);
	return status;
}

/* --- texts --- */

struct texts {
	double *edits, *length;
	int64_t n, exact;
};

static enum ns_status take_text(const struct ns_judged *r, int64_t row, const json_t *truth, const json_t *answer, void *to)
{
	struct texts *t = to;
	int characters, e = ns_edits(ns_json_text(answer, "text"), ns_json_text(truth, r->member), &characters);

	if (e < 0)
		return ns_fail(NS_NO_MEMORY, "out of memory for the text of row %lld", (long long)row);
	t->edits[t->n] = e;
	t->length[t->n++] = characters;
	t->exact += e == 0;
	return NS_OK;
}

/* Edits over characters, with the interval of a ratio of sums over images. */
static void tell_edits(const struct ns_judged *r, const struct texts *t)
{
	double e = 0, all = 0, square = 0, rate, wide, low, high;
	const int64_t n = t->n;
	int64_t i;

	for (i = 0; i < n; i++) {
		e += t->edits[i];
		all += t->length[i];
	}
	rate = e / all;
	for (i = 0; i < n; i++)
		square += (t->edits[i] - rate * t->length[i]) * (t->edits[i] - rate * t->length[i]);
	wide = 1.959963984540054 * sqrt(square * (double)n / (n > 1 ? (double)(n - 1) : 1)) / all;
	ns_judged_put(r->json, "character_error_rate", rate);
	ns_judged_put(r->json, "character_error_low", rate > wide ? rate - wide : rate >= 0 ? 0 : NAN);
	ns_judged_put(r->json, "character_error_high", rate + wide);
	json_object_set_new(r->json, "characters", json_integer((json_int_t)all));
	ns_stat_wilson(t->exact, n, &low, &high);
	json_object_set_new(r->json, "correct", json_integer(t->exact));
	ns_judged_put(r->json, "accuracy", (double)t->exact / (double)n);
	ns_judged_put(r->json, "low", low);
	ns_judged_put(r->json, "high", high);
}

static enum ns_status read_texts(const struct ns_judged *r)
{
	size_t bytes = sizeof(double) * (size_t)(r->p->rows + 1);
	struct texts t = {malloc(bytes), malloc(bytes), 0, 0};
	enum ns_status status = t.edits && t.length ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for %lld texts", (long long)r->p->rows);

	NS_GO(status);
	NS_GO(ns_judged_each(r, take_text, &t));
	tell_edits(r, &t);
out:
	free(t.edits);
	free(t.length);
	return status;
}

/* --- tags --- */

static int has(const json_t *list, const char *key, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *text = key ? ns_json_text(one, key) : json_string_value(one);

		if (text && !strcmp(text, name))
			return 1;
	}
	return 0;
}

struct agreement {
	int64_t both, found, said;
};

static json_t *tell_agreement(const struct agreement *a)
{
	json_t *json = json_object();

	json_object_set_new(json, "found", json_integer(a->found));
	json_object_set_new(json, "said", json_integer(a->said));
	json_object_set_new(json, "right", json_integer(a->both));
	ns_judged_put(json, "precision", (double)a->both / (double)a->found);
	ns_judged_put(json, "recall", (double)a->both / (double)a->said);
	ns_judged_put(json, "f1", 2 * (double)a->both / (double)(a->found + a->said));
	return json;
}

/* to: of each class, and last of all of them. */
static enum ns_status take_tags(const struct ns_judged *r, int64_t row, const json_t *truth, const json_t *answer, void *to)
{
	struct agreement *of = to, *all = &of[r->p->class_names];
	int k;

	(void)row;
	for (k = 0; k < r->p->class_names; k++) {
		int said = has(json_object_get(truth, r->member), NULL, r->p->names[k]);
		int found = has(json_object_get(answer, "tags"), "tag", r->p->names[k]);

		of[k].both += said && found;
		of[k].said += said;
		of[k].found += found;
		all->both += said && found;
		all->said += said;
		all->found += found;
	}
	return NS_OK;
}

static enum ns_status tags(const struct ns_judged *r)
{
	struct agreement *of = calloc((size_t)r->p->class_names + 1, sizeof *of);
	enum ns_status status = of ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for tags");
	json_t *classes = json_object();
	int k;

	NS_GO(status);
	NS_GO(ns_judged_each(r, take_tags, of));
	for (k = 0; k < r->p->class_names; k++)
		json_object_set_new(classes, r->p->names[k], tell_agreement(&of[k]));
	json_object_set_new(r->json, "all", tell_agreement(&of[k]));
	json_object_set(r->json, "classes", classes);
out:
	json_decref(classes);
	free(of);
	return status;
}

/* --- numbers --- */

struct sums {
	double n, error, absolute, square;
};

/* A number of each name: the annotation's member is an object of them. */
static enum ns_status take_numbers(const struct ns_judged *r, int64_t row, const json_t *truth, const json_t *answer, void *to)
{
	struct sums *of = to;
	const json_t *one;
	size_t k;

	(void)row;
	json_array_foreach(json_object_get(answer, "values"), k, one) {
		const json_t *said = json_object_get(json_object_get(truth, r->member), ns_json_text(one, "name"));
		double error = ns_json_number(one, "value", NAN) - json_number_value(said);

		if (!json_is_number(said) || k >= (size_t)r->p->class_names)
			continue;
		of[k].n++;
		of[k].error += error;
		of[k].absolute += fabs(error);
		of[k].square += error * error;
	}
	return NS_OK;
}

static enum ns_status numbers(const struct ns_judged *r)
{
	struct sums *of = calloc((size_t)r->p->class_names + 1, sizeof *of);
	enum ns_status status = of ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for values");
	json_t *values = json_object();
	size_t k;

	NS_GO(status);
	NS_GO(ns_judged_each(r, take_numbers, of));
	for (k = 0; k < (size_t)r->p->class_names; k++)
		json_object_set_new(values, r->p->names[k],
				    NS_JSON_OBJECT({"rows", json_integer((json_int_t)of[k].n)}, {"mean_error", ns_json_real(of[k].error / of[k].n)},
						   {"mean_absolute_error", ns_json_real(of[k].absolute / of[k].n)},
						   {"root_mean_square_error", ns_json_real(sqrt(of[k].square / of[k].n))}));
	json_object_set(r->json, "values", values);
out:
	json_decref(values);
	free(of);
	return status;
}

static const struct ns_measure measures[] = {
	{"detect", "objects", detect, JSON_ARRAY, "a list of objects"},
	{"read", "text", read_texts, JSON_STRING, "a text"},
	{"tags", "tags", tags, JSON_ARRAY, "a list of texts"},
	{"regress", "values", numbers, JSON_OBJECT, "an object of numbers"},
	{"segment", "objects", ns_judge_masks, JSON_ARRAY, "a list of objects"},
	{"regions", "objects", ns_judge_regions, JSON_ARRAY, "a list of objects"},
	{"embed", "identity", ns_judge_identities, JSON_STRING, "a text"},
	{NULL, NULL, NULL, JSON_NULL, NULL},
};

enum ns_status ns_evaluate_answers(const struct ns_predictions *p, struct ns_dataset *data, const char *member, int empty, json_t *json)
{
	const struct ns_measure *m = measures;
	struct ns_judged r = {p, NULL, data, member, empty, json};

	while (m->task && strcmp(m->task, p->task))
		m++;
	if (!m->task && empty) {
		json_object_set_new(json, "task", json_string(p->task));
		ns_judged_rows(&r, 0);
		return NS_OK;
	}
	if (!m->task)
		return ns_fail(NS_CONFIG,
			       "evaluate: of the task %s there is no measure here: expected detect, read, tags, regress, segment, regions or embed",
			       p->task);
	if (!p->id)
		return ns_fail(NS_BAD_DATA, "evaluate: predictions need id");
	if (p->rows != data->rows)
		return ns_fail(NS_BAD_DATA, "evaluate: %lld predictions, but %s has %lld rows", (long long)p->rows, data->path,
			       (long long)data->rows);
	r.member = member ? member : m->member;
	r.measure = m;
	json_object_set_new(json, "task", json_string(p->task));
	return m->of(&r);
}
