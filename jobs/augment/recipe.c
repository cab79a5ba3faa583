/*
 * jobs/augment/recipe.c - `augment:` from YAML: a list of operations, each a map of one key.
 *
 *	augment:
 *	  - crop: {padding: 4}
 *	  - flip: 0.5
 *	  - rotate: [-25, 25]
 *	  - brightness: {range: [0.6, 1.4], p: 0.8}
 *
 * They act in the order of the table, which the list must follow: another order is an error, never silently reordered.
 */
#include "jobs/augment/augment.h"

#include <stddef.h>
#include <string.h>

enum { NO_RANGE = -1 };

static const struct operation {
	const char *name;
	size_t p;	  /* offset of the stage's probability */
	long range;	  /* offset of its range, or NO_RANGE: the value is the probability */
	double low, high; /* the allowed values */
	const char *unit;
} table[] = {
#define AT(field) offsetof(struct ns_augment_config, field)
	{"crop", AT(p_crop), NO_RANGE, 0, 4096, "{padding: pixels}"},
	{"random_resized_crop", AT(p_resize), (long)AT(area), 0.01, 1, "share of the area"},
	{"rotate", AT(p_affine), (long)AT(rotate), -360, 360, "degrees"},
	{"zoom", AT(p_affine), (long)AT(zoom), 0.0625, 16, "factor"},
	{"shear", AT(p_affine), (long)AT(shear), -60, 60, "degrees"},
	{"shift", AT(p_affine), (long)AT(shift), -1, 1, "share of the side"},
	{"flip", AT(p_hflip), NO_RANGE, 0, 1, "probability"},
	{"vertical_flip", AT(p_vflip), NO_RANGE, 0, 1, "probability"},
	{"resolution", AT(p_resolution), (long)AT(resolution), 0.01, 1, "share of the side"},
	{"blur", AT(p_blur), (long)AT(blur), 0, 2, "standard deviation in pixels"},
	{"brightness", AT(p_colour), (long)AT(brightness), 0, 8, "factor"},
	{"contrast", AT(p_colour), (long)AT(contrast), 0, 8, "factor"},
	{"saturation", AT(p_colour), (long)AT(saturation), 0, 8, "factor"},
	{"hue", AT(p_colour), (long)AT(hue), -0.5, 0.5, "turns"},
	{"gamma", AT(p_gamma), (long)AT(gamma), 0.1, 10, "exponent"},
	{"noise", AT(p_noise), (long)AT(noise), 0, 255, "standard deviation of 255"},
	{"cutout", AT(p_cutout), (long)AT(cutout), 0, 1, "share of the side"},
};
#define OPERATIONS (sizeof table / sizeof *table)

static const struct operation *operation_find(const char *name)
{
	size_t i;

	for (i = 0; i < OPERATIONS; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

static enum ns_status unknown(const char *where, size_t i, const char *name)
{
	const char *words[OPERATIONS + 1] = {NULL}, *near;
	size_t k;

	for (k = 0; k < OPERATIONS; k++)
		words[k] = table[k].name;
	near = ns_nearest(name, words);
	return ns_fail(NS_CONFIG, "%s[%zu]: unknown operation '%s'%s%s%s", where, i, name, near ? "; did you mean '" : "", near ? near : "",
		       near ? "'?" : "");
}

/* Reads a number or [low, high]. */
static enum ns_status range_of(const struct operation *o, const json_t *value, const char *where, struct ns_range *r)
{
	if (json_is_number(value)) {
		r->low = r->high = json_number_value(value);
	} else if (json_array_size(value) == 2 && json_is_number(json_array_get(value, 0)) && json_is_number(json_array_get(value, 1))) {
		r->low = json_number_value(json_array_get(value, 0));
		r->high = json_number_value(json_array_get(value, 1));
	} else {
		return ns_fail(NS_CONFIG, "%s: %s: expected a number or [low, high] (%s)", where, o->name, o->unit);
	}
	if (!(r->low <= r->high) || r->low < o->low || r->high > o->high)
		return ns_fail(NS_CONFIG, "%s: %s: [%g, %g], expected values within %g to %g (%s)", where, o->name, r->low, r->high, o->low, o->high,
			       o->unit);
	return NS_OK;
}

static enum ns_status set_probability(const struct operation *o, struct ns_augment_config *c, double p, const char *where)
{
	double *at = (double *)(void *)((char *)c + o->p);

	if (!(p >= 0 && p <= 1))
		return ns_fail(NS_CONFIG, "%s: %s: p = %g, expected 0 to 1", where, o->name, p);
	if (*at > 0 && o->range != NO_RANGE && *at != p)
		return ns_fail(NS_CONFIG, "%s: %s: p = %g, but operations of one stage are drawn together, and an earlier one has p = %g", where,
			       o->name, p, *at);
	*at = p;
	return NS_OK;
}

static enum ns_status take(const struct operation *o, struct ns_augment_config *c, const json_t *value, const char *where)
{
	struct ns_range *range = o->range == NO_RANGE ? NULL : (struct ns_range *)(void *)((char *)c + o->range);
	const char *key;
	double p = 1;
	json_t *v;
	int crop = !strcmp(o->name, "crop");

	if (!json_is_object(value)) {
		if (crop)
			return ns_fail(NS_CONFIG, "%s: crop: expected {padding: pixels}", where);
		if (!range)
			return json_is_number(value) ? set_probability(o, c, json_number_value(value), where)
						     : ns_fail(NS_CONFIG, "%s: %s: expected a probability", where, o->name);
		NS_TRY(range_of(o, value, where, range));
		return set_probability(o, c, p, where);
	}
	NS_JSON_EACH(value, key, v) {
		if (!strcmp(key, "p") && json_is_number(v)) {
			p = json_number_value(v);
		} else if (!strcmp(key, "padding") && crop && json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= 4096) {
			c->pad = (int)json_integer_value(v);
		} else if (!strcmp(key, "range") && range) {
			NS_TRY(range_of(o, v, where, range));
		} else if (!strcmp(key, "aspect") && !strcmp(o->name, "random_resized_crop")) {
			struct operation aspect = *o;

			aspect.low = 0.1;
			aspect.high = 10;
			NS_TRY(range_of(&aspect, v, where, &c->aspect));
		} else {
			return ns_fail(NS_CONFIG, "%s: %s: unknown or unsuitable key '%s', expected range or p%s", where, o->name, key,
				       crop ? ", padding" : "");
		}
	}
	return set_probability(o, c, p, where);
}

enum ns_status ns_recipe_parse(struct ns_augment_config *c, const json_t *list, int h, int w, const char *where)
{
	const struct operation *last = NULL;
	const char *trouble;
	json_t *entry;
	size_t i;

	memset(c, 0, sizeof *c);
	c->zoom = c->brightness = c->contrast = c->saturation = c->gamma = c->aspect = (struct ns_range){1, 1};
	if (list && !json_is_array(list))
		return ns_fail(NS_CONFIG, "%s: expected a list of operations", where);
	json_array_foreach(list, i, entry) {
		const char *name = json_object_iter_key(json_object_iter(entry));
		const struct operation *o;

		if (!json_is_object(entry) || json_object_size(entry) != 1)
			return ns_fail(NS_CONFIG, "%s[%zu]: expected a map of one operation, as in - rotate: [-25, 25]", where, i);
		o = operation_find(name);
		if (!o)
			return unknown(where, i, name);
		if (last && o <= last)
			return ns_fail(NS_CONFIG, "%s[%zu]: %s acts before %s; list operations in the order in which they act", where, i, o->name,
				       last->name);
		last = o;
		NS_TRY(take(o, c, json_object_get(entry, name), where));
	}
	trouble = ns_augment_prepare(c, h, w);
	return trouble ? ns_fail(NS_CONFIG, "%s: %s", where, trouble) : NS_OK;
}
