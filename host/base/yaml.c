/* host/base/yaml.c - libyaml's documents as JSON values. */
#include "host/base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MOST   32
#define ANCHORS_MOST 1000
#define TEXT_MOST    ((size_t)16 << 20)

static json_t *scalar(const yaml_node_t *node)
{
	const char *s = (const char *)node->data.scalar.value;
	char *end;
	long long i;
	double r;

	if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return json_string(s);
	if (!*s || !strcmp(s, "null") || !strcmp(s, "~"))
		return json_null();
	if (!strcmp(s, "true") || !strcmp(s, "false"))
		return json_boolean(*s == 't');
	errno = 0;
	i = strtoll(s, &end, 10);
	if (!*end && !errno)
		return json_integer(i);
	r = strtod(s, &end);
	if (!*end && end != s && (r - r == 0))
		return json_real(r);
	return json_string(s);
}

struct walk {
	yaml_document_t *doc;
	int left; /* nodes that may still be made: an alias is a copy, and aliases of aliases multiply */
};

static json_t *convert(struct walk *w, int index, int depth);

static json_t *mapping(struct walk *w, const yaml_node_t *node, int depth)
{
	const yaml_node_pair_t *pair;
	json_t *map = json_object();

	for (pair = node->data.mapping.pairs.start; map && pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(w->doc, pair->key);
		const char *name = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "";
		json_t *value = convert(w, pair->value, depth + 1);

		if (value && (!*name || json_object_get(map, name))) {
			ns_fail(NS_CONFIG, "line %zu: key '%s' is given twice, or is not a word", key->start_mark.line + 1, name);
			json_decref(value);
			value = NULL;
		}
		if (!value || json_object_set_new(map, name, value)) {
			json_decref(map);
			return NULL;
		}
	}
	return map;
}

static json_t *sequence(struct walk *w, const yaml_node_t *node, int depth)
{
	const yaml_node_item_t *item;
	json_t *list = json_array();

	for (item = node->data.sequence.items.start; list && item < node->data.sequence.items.top; item++) {
		json_t *value = convert(w, *item, depth + 1);

		if (!value || json_array_append_new(list, value)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *convert(struct walk *w, int index, int depth)
{
	const yaml_node_t *node = yaml_document_get_node(w->doc, index);

	if (!node || depth > DEPTH_MOST) {
		ns_fail(NS_CONFIG, "nested deeper than %d", DEPTH_MOST);
		return NULL;
	}
	if (w->left-- <= 0) {
		ns_fail(NS_CONFIG, "more than 100000 values, aliases counted each time");
		return NULL;
	}
	switch (node->type) {
	case YAML_SCALAR_NODE:
		return scalar(node);
	case YAML_SEQUENCE_NODE:
		return sequence(w, node, depth);
	case YAML_MAPPING_NODE:
		return mapping(w, node, depth);
	default:
		return json_null();
	}
}

static int has_anchor(const yaml_event_t *e)
{
	return (e->type == YAML_SCALAR_EVENT && e->data.scalar.anchor) || (e->type == YAML_SEQUENCE_START_EVENT && e->data.sequence_start.anchor) ||
	       (e->type == YAML_MAPPING_START_EVENT && e->data.mapping_start.anchor);
}

/*
 * Nesting and anchors are limited on the stream of events, before the document is loaded: libyaml scans all open brackets at each token
 * and all anchors at each anchor, so that a megabyte of them takes it minutes.
 */
static enum ns_status check_depth(const char *text, size_t bytes, const char *where)
{
	yaml_parser_t parser;
	yaml_event_t event;
	int depth = 0, deepest = 0, anchors = 0, ended = 0;

	if (bytes > TEXT_MOST)
		return ns_fail(NS_CONFIG, "%s: is %zu bytes long, at most %zu are read", where, bytes, TEXT_MOST);
	if (!yaml_parser_initialize(&parser))
		return ns_fail(NS_NO_MEMORY, "%s: out of memory while reading it", where);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
	while (!ended && depth <= DEPTH_MOST && anchors <= ANCHORS_MOST && yaml_parser_parse(&parser, &event)) {
		anchors += has_anchor(&event);
		depth += event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
		depth -= event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
		deepest = depth > deepest ? depth : deepest;
		ended = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	/* what is not YAML is reported by the loader, with its line */
	if (anchors > ANCHORS_MOST)
		return ns_fail(NS_CONFIG, "%s: has more than %d anchors", where, ANCHORS_MOST);
	return deepest > DEPTH_MOST ? ns_fail(NS_CONFIG, "%s: nested deeper than %d", where, DEPTH_MOST) : NS_OK;
}

enum ns_status ns_yaml_parse(json_t **json, const char *text, size_t bytes, const char *where)
{
	enum ns_status status = NS_OK;
	yaml_document_t doc;
	struct walk walk = {&doc, 100000};
	yaml_parser_t parser;

	NS_TRY(check_depth(text, bytes, where));
	if (!yaml_parser_initialize(&parser))
		return ns_fail(NS_NO_MEMORY, "%s: out of memory while reading it", where);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
	if (!yaml_parser_load(&parser, &doc)) {
		status = ns_fail(NS_CONFIG, "%s: line %zu: %s", where, parser.problem_mark.line + 1, parser.problem ? parser.problem : "is not YAML");
		yaml_parser_delete(&parser);
		return status;
	}
	if (!yaml_document_get_root_node(&doc)) {
		*json = json_object();
	} else {
		ns_fail(NS_CONFIG, "cannot be read");
		*json = convert(&walk, 1, 0);
		if (!*json)
			status = ns_fail_in(NS_CONFIG, "%s", where);
	}
	yaml_document_delete(&doc);
	yaml_parser_delete(&parser);
	return status;
}
