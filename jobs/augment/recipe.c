/*
 * jobs/augment/recipe.c - `augment:` from YAML: a list of operations, each a map of one key.
 *
 *	augment:
 *	  - crop: {padding: 4}
 *	  - flip: 0.5
 *	  - rotate: [-25, 25]
 *	  - brightness: {range: [0.6, 1.4], p: 0.8}
 *
 * or {version: 1, operations: [..]}, whose operations mean what they meant in version 1. Those of the geometry act in the order of the
 * list, all others in the order of the table, which the list must follow: another order is an error, never silently reordered.
 */
#include "jobs/augment/augment.h"

#include <stddef.h>
#include <string.h>

static const struct operation {
	const char *name;
	int ranged;	  /* else the value is a probability */
	double low, high; /* the allowed values */
	const char *unit;
} table[NS_AUGMENT_KINDS] = {
	[NS_AUGMENT_CROP] = {"crop", 0, 0, 4096, "{padding: pixels}"},
	[NS_AUGMENT_RESIZED_CROP] = {"random_resized_crop", 1, 0.01, 1, "share of the area"},
	[NS_AUGMENT_ROTATE] = {"rotate", 1, -360, 360, "degrees"},
	[NS_AUGMENT_ZOOM] = {"zoom", 1, 0.0625, 16, "factor"},
	[NS_AUGMENT_SHEAR] = {"shear", 1, -60, 60, "degrees"},
	[NS_AUGMENT_SHIFT] = {"shift", 1, -1, 1, "share of the side"},
	[NS_AUGMENT_FLIP] = {"flip", 0, 0, 1, "probability"},
	[NS_AUGMENT_VERTICAL_FLIP] = {"vertical_flip", 0, 0, 1, "probability"},
	[NS_AUGMENT_RESOLUTION] = {"resolution", 1, 0.01, 1, "share of the side"},
	[NS_AUGMENT_BLUR] = {"blur", 1, 0, 4, "standard deviation in pixels"},
	[NS_AUGMENT_BRIGHTNESS] = {"brightness", 1, 0, 8, "factor"},
	[NS_AUGMENT_CONTRAST] = {"contrast", 1, 0, 8, "factor"},
	[NS_AUGMENT_SATURATION] = {"saturation", 1, 0, 8, "factor"},
	[NS_AUGMENT_HUE] = {"hue", 1, -0.5, 0.5, "turns"},
	[NS_AUGMENT_GAMMA] = {"gamma", 1, 0.1, 10, "exponent"},
	[NS_AUGMENT_NOISE] = {"noise", 1, 0, 1, "standard deviation, white being 1"},
	[NS_AUGMENT_CUTOUT] = {"cutout", 1, 0, 1, "share of the side"},
};

/* What an operation allows in this version. */
static struct operation allowed(const struct ns_augment_config *c, enum ns_augment_kind kind)
{
	struct operation o = table[kind];

	if (c->version == 1 && kind == NS_AUGMENT_BLUR)
		o.high = 2;
	if (c->version == 1 && kind == NS_AUGMENT_NOISE) {
		o.high = 255;
		o.unit = "standard deviation of 255";
	}
	return o;
}

static int kind_find(const char *name)
{
	int i;

	for (i = 0; i < NS_AUGMENT_KINDS; i++)
		if (!strcmp(table[i].name, name))
			return i;
	return -1;
}

static enum ns_status unknown(const char *where, size_t i, const char *name)
{
	const char *words[NS_AUGMENT_KINDS + 1] = {NULL}, *near;
	size_t k;

	for (k = 0; k < NS_AUGMENT_KINDS; k++)
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

/* Version 1 draws once for all operations from first to last. */
static int first_of_stage(enum ns_augment_kind kind)
{
	return kind >= NS_AUGMENT_ROTATE && kind <= NS_AUGMENT_SHIFT	 ? NS_AUGMENT_ROTATE
	       : kind >= NS_AUGMENT_BRIGHTNESS && kind <= NS_AUGMENT_HUE ? NS_AUGMENT_BRIGHTNESS
									 : (int)kind;
}

static enum ns_status set_probability(struct ns_augment_config *c, enum ns_augment_kind kind, double p, const char *where)
{
	const char *name = table[kind].name;
	int k;

	if (!(p >= 0 && p <= 1))
		return ns_fail(NS_CONFIG, "%s: %s: p = %g, expected 0 to 1", where, name, p);
	for (k = first_of_stage(kind); c->version == 1 && k < (int)kind; k++)
		if (c->op[k].on && c->op[k].p != p)
			return ns_fail(NS_CONFIG, "%s: %s: p = %g, but version 1 draws operations of one stage together, and %s has p = %g", where,
				       name, p, table[k].name, c->op[k].p);
	c->op[kind].on = 1;
	c->op[kind].p = p;
	return NS_OK;
}

/* An operation's map: {range, p}, and what only some have. */
static enum ns_status take_map(struct ns_augment_config *c, enum ns_augment_kind kind, const json_t *value, const char *where)
{
	const struct operation o = allowed(c, kind);
	int crop = kind == NS_AUGMENT_CROP;
	const json_t *p = json_object_get(value, "p"), *needed = json_object_get(value, o.ranged ? "range" : crop ? "padding" : "p");
	const char *key;
	json_t *v;

	NS_JSON_EACH(value, key, v) {
		if (!strcmp(key, "p") && json_is_number(v)) {
			continue;
		} else if (!strcmp(key, "padding") && crop && json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= 4096) {
			c->pad = (int)json_integer_value(v);
		} else if (!strcmp(key, "range") && o.ranged) {
			NS_TRY(range_of(&o, v, where, &c->op[kind].range));
		} else if (!strcmp(key, "aspect") && kind == NS_AUGMENT_RESIZED_CROP) {
			struct operation aspect = {"random_resized_crop: aspect", 1, 0.1, 10, "width by height"};

			NS_TRY(range_of(&aspect, v, where, &c->aspect));
		} else {
			return ns_fail(NS_CONFIG, "%s: %s: unknown or unsuitable key '%s', expected %s%s", where, o.name, key,
				       o.ranged ? "range or p" : "p",
				       crop				 ? " or padding (0 to 4096)"
				       : kind == NS_AUGMENT_RESIZED_CROP ? " or aspect"
									 : "");
		}
	}
	if (!needed)
		return ns_fail(NS_CONFIG, "%s: %s: the map has no %s (%s)", where, o.name, o.ranged ? "range" : crop ? "padding" : "p", o.unit);
	return set_probability(c, kind, p ? json_number_value(p) : 1, where);
}

static enum ns_status take(struct ns_augment_config *c, enum ns_augment_kind kind, const json_t *value, const char *where)
{
	const struct operation o = allowed(c, kind);

	if (json_is_object(value))
		return take_map(c, kind, value, where);
	if (kind == NS_AUGMENT_CROP)
		return ns_fail(NS_CONFIG, "%s: crop: expected {padding: pixels}", where);
	if (!o.ranged && !json_is_number(value))
		return ns_fail(NS_CONFIG, "%s: %s: expected a probability", where, o.name);
	if (!o.ranged)
		return set_probability(c, kind, json_number_value(value), where);
	NS_TRY(range_of(&o, value, where, &c->op[kind].range));
	return set_probability(c, kind, 1, where);
}

/* Takes the place of an operation in the list; `last` is the one before it. */
static enum ns_status order(struct ns_augment_config *c, enum ns_augment_kind kind, int last, const char *where, size_t i)
{
	int free = c->version != 1 && kind < NS_AUGMENT_GEOMETRY && last < NS_AUGMENT_GEOMETRY;

	if (c->op[kind].on)
		return ns_fail(NS_CONFIG, "%s[%zu]: %s is listed a second time", where, i, table[kind].name);
	if (!free && (int)kind <= last)
		return ns_fail(NS_CONFIG, "%s[%zu]: %s acts before %s; list operations in the order in which they act", where, i, table[kind].name,
			       table[last].name);
	if (kind < NS_AUGMENT_GEOMETRY)
		c->order[c->ordered++] = (int)kind;
	return NS_OK;
}

/* Tells the list from its version. */
static enum ns_status open_recipe(struct ns_augment_config *c, const json_t **recipe, const char *where)
{
	const json_t *version = json_object_get(*recipe, "version"), *list = json_object_get(*recipe, "operations");
	const char *key;
	json_t *v;

	c->version = 2;
	if (!json_is_object(*recipe))
		return !*recipe || json_is_array(*recipe) ? NS_OK : ns_fail(NS_CONFIG, "%s: expected a list of operations", where);
	NS_JSON_EACH(*recipe, key, v)
		if (strcmp(key, "version") && strcmp(key, "operations"))
			return ns_fail(NS_CONFIG, "%s: unknown key '%s', expected a list of operations, or {version: 1, operations: [..]}", where,
				       key);
	if (!json_is_integer(version) || (json_integer_value(version) != 1 && json_integer_value(version) != 2))
		return ns_fail(NS_CONFIG, "%s: version: expected 1 or 2", where);
	if (!json_is_array(list))
		return ns_fail(NS_CONFIG, "%s: operations: expected a list of operations", where);
	c->version = (int)json_integer_value(version);
	*recipe = list;
	return NS_OK;
}

enum ns_status ns_recipe_parse(struct ns_augment_config *c, const json_t *recipe, int h, int w, const char *where)
{
	const char *trouble;
	json_t *entry;
	int last = -1;
	size_t i;

	memset(c, 0, sizeof *c);
	NS_TRY(open_recipe(c, &recipe, where));
	c->aspect = c->version == 1 ? (struct ns_range){1, 1} : (struct ns_range){3.0 / 4, 4.0 / 3};
	json_array_foreach(recipe, i, entry) {
		const char *name = json_object_iter_key(json_object_iter(entry));
		int kind;

		if (!json_is_object(entry) || json_object_size(entry) != 1)
			return ns_fail(NS_CONFIG, "%s[%zu]: expected a map of one operation, as in - rotate: [-25, 25]", where, i);
		kind = kind_find(name);
		if (kind < 0)
			return unknown(where, i, name);
		NS_TRY(order(c, (enum ns_augment_kind)kind, last, where, i));
		NS_TRY(take(c, (enum ns_augment_kind)kind, json_object_get(entry, name), where));
		last = kind;
	}
	trouble = ns_augment_prepare(c, h, w);
	return trouble ? ns_fail(NS_CONFIG, "%s: %s", where, trouble) : NS_OK;
}

json_t *ns_recipe_versioned(const json_t *recipe, int version)
{
	return json_is_array(recipe) ? json_pack("{s:i, s:o}", "version", version, "operations", json_deep_copy(recipe)) : json_deep_copy(recipe);
}
