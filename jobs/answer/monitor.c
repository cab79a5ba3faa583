/*
 * jobs/answer/monitor.c - the numbers of an answer that are watched. One function a task says names and values together, so that they cannot part; without a
 * result it is asked for the names.
 */
#include "jobs/answer/answer_inner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"
#include "host/onnx/onnx.h"

#define NAME_BYTES 400
#define NAMED	   40 /* classes with a column of their own, the first ones */

struct sink {
	const struct ns_model *model;
	const json_t *result; /* NULL: names alone */
	char **names;
	float *values;
	int n;
};

static void put(struct sink *s, double value, const char *format, const char *name)
{
	char text[NAME_BYTES];
	size_t end;

	if (s->n == NS_MONITOR_MOST)
		return;
	if ((size_t)snprintf(text, sizeof text, format, name) >= sizeof text) { /* no character is cut in two */
		for (end = sizeof text - 1; end && ((unsigned char)text[end] & 0xc0) == 0x80; end--)
			;
		text[end] = 0;
	}
	if (s->names) {
		s->names[s->n] = malloc(strlen(text) + 1);
		if (s->names[s->n])
			strcpy(s->names[s->n], text);
	} else {
		s->values[s->n] = (float)value;
	}
	s->n++;
}

static double number(const json_t *json, const char *key)
{
	return json_number_value(json_object_get(json, key));
}

static double at(const json_t *list, size_t i)
{
	return json_number_value(json_array_get(list, i));
}

/* Means over things found, NAN of none. */
struct means {
	double n, score, area, x, y;
};

/* Shoelace formula; a box has two corners. */
static void add_thing(struct means *m, const json_t *one, double pixels)
{
	const json_t *box = json_object_get(one, "box"), *c = json_object_get(one, "corners");
	double area = 0, x = 0, y = 0;
	size_t k;

	if (box) {
		area = (at(box, 2) - at(box, 0)) * (at(box, 3) - at(box, 1));
		x = (at(box, 0) + at(box, 2)) / 2;
		y = (at(box, 1) + at(box, 3)) / 2;
	}
	for (k = 0; c && k < 4; k++) {
		const json_t *p = json_array_get(c, k), *q = json_array_get(c, (k + 1) % 4);

		area += (at(p, 0) * at(q, 1) - at(q, 0) * at(p, 1)) / 2;
		x += at(p, 0) / 4;
		y += at(p, 1) / 4;
	}
	m->n++;
	m->score += number(one, "score");
	m->area += fabs(area) / pixels;
	m->x += x;
	m->y += y;
}

static void things(struct sink *s, const char *list)
{
	double w = number(s->result, "width"), h = number(s->result, "height"), pixels = w * h > 0 ? w * h : 1;
	struct means m = {0};
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(s->result, list), i, one)
		add_thing(&m, one, pixels);
	put(s, m.n, "found%s", "");
	put(s, m.score / m.n, "mean score%s", ""); /* 0 / 0 is NAN */
	put(s, m.area / m.n, "mean area%s", "");
	put(s, m.x / m.n / (w > 0 ? w : 1), "mean x%s", "");
	put(s, m.y / m.n / (h > 0 ? h : 1), "mean y%s", "");
}

/* How many rows of a list name each class, or what they say of it. */
static void by_class(struct sink *s, const char *list, const char *key, const char *value, const char *format)
{
	const json_t *one;
	double sum;
	size_t i;
	int k;

	for (k = 0; k < s->model->class_count && k < NAMED; k++) {
		sum = 0;
		json_array_foreach(json_object_get(s->result, list), i, one)
			if (!strcmp(ns_json_text(one, key), s->model->classes[k]))
				sum += value ? number(one, value) : 1;
		put(s, sum, format, s->model->classes[k]);
	}
}

static void detect(struct sink *s)
{
	things(s, "boxes");
	by_class(s, "boxes", "class", NULL, "found: %s");
}

static void regions(struct sink *s)
{
	things(s, "regions");
}

static void tags(struct sink *s)
{
	put(s, (double)json_array_size(json_object_get(s->result, "tags")), "tags%s", "");
	by_class(s, "tags", "tag", NULL, "tag: %s");
}

static void segment(struct sink *s)
{
	by_class(s, "classes", "class", "share", "share: %s");
}

static void regress(struct sink *s)
{
	by_class(s, "values", "name", "value", "value: %s");
}

/* Characters, and not bytes: those that go on with one begin with the bits 10. */
static void read_text(struct sink *s)
{
	const char *text = s->result ? ns_json_text(s->result, "text") : "";
	int n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	put(s, n, "length%s", "");
	put(s, n ? number(s->result, "confidence") : NAN, "confidence%s", "");
}

static void embed(struct sink *s)
{
	double sum = 0;
	const json_t *one;
	size_t i;

	json_array_foreach(json_object_get(s->result, "embedding"), i, one)
		sum += json_number_value(one) * json_number_value(one);
	put(s, sqrt(sum), "length%s", "");
}

static void raw(struct sink *s)
{
	const json_t *one, *value;
	char name[24];
	size_t i;
	int k;

	for (k = 0; k < s->model->onnx->outputs && k < NS_MONITOR_MOST / 2; k++) {
		double n = 0, sum = 0, square = 0;

		one = json_array_get(json_object_get(s->result, "outputs"), (size_t)k);
		json_array_foreach(json_object_get(one, "values"), i, value) {
			double x = json_is_number(value) ? json_number_value(value) : NAN;

			n++;
			sum += x;
			square += x * x;
		}
		snprintf(name, sizeof name, "%d", k);
		put(s, sum / n, "output %s: mean", name);
		put(s, isnan(sum) ? NAN : sqrt(fmax(square / n - sum / n * (sum / n), 0)), "output %s: deviation", name);
	}
}

static void none(struct sink *s)
{
	(void)s;
}

static void (*const monitors[])(struct sink *) = {
	[NS_TASK_CLASSIFY] = none,  [NS_TASK_TAGS] = tags,   [NS_TASK_DETECT] = detect,	  [NS_TASK_SEGMENT] = segment, [NS_TASK_REGIONS] = regions,
	[NS_TASK_READ] = read_text, [NS_TASK_EMBED] = embed, [NS_TASK_REGRESS] = regress, [NS_TASK_RAW] = raw,
};

enum ns_status ns_monitor_names(const struct ns_model *model, char ***names, int *n)
{
	struct sink s = {.model = model, .names = calloc(NS_MONITOR_MOST, sizeof *s.names)};
	int i;

	*names = s.names;
	*n = 0;
	if (!s.names)
		return ns_fail(NS_NO_MEMORY, "out of memory for names");
	monitors[model->net.arch.task](&s);
	for (i = 0; i < s.n; i++)
		if (!s.names[i])
			return ns_fail(NS_NO_MEMORY, "out of memory for names");
	*n = s.n;
	return NS_OK;
}

void ns_monitor_of(const struct ns_model *model, const json_t *result, float *values)
{
	struct sink s = {.model = model, .result = result, .values = values};

	monitors[model->net.arch.task](&s);
}
