#include "host/base/base.h"

#include <stdlib.h>
#include <string.h>

static const struct ns_key *by_name(const struct ns_conf *conf, const char *name)
{
	const struct ns_key *k;

	for (k = conf->keys; k->name; k++)
		if (!strcmp(k->name, name))
			return k;
	return NULL;
}

const struct ns_key *ns_conf_key(const struct ns_conf *conf, const char *name, int verb)
{
	const struct ns_key *k;

	for (k = conf->keys; k->name; k++)
		if (k->flag && !strcmp(k->flag, name) && (verb < 0 || k->verbs >> verb & 1))
			return k;
	return by_name(conf, name);
}

static size_t distance(const char *a, const char *b)
{
	size_t row[64], la = strlen(a), lb = strlen(b), i, j;

	if (la > 62 || lb > 62)
		return 99;
	for (j = 0; j <= lb; j++)
		row[j] = j;
	for (i = 1; i <= la; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (j = 1; j <= lb; j++) {
			size_t t = row[j], best = corner + (a[i - 1] != b[j - 1]);

			best = t + 1 < best ? t + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			corner = t;
		}
	}
	return row[lb];
}

int ns_word_find(const char *const *words, const char *word)
{
	int i;

	for (i = 0; words[i]; i++)
		if (!strcmp(words[i], word))
			return i;
	return -1;
}

const char *ns_nearest(const char *word, const char *const *words)
{
	const char *best = NULL;
	size_t least = strlen(word) / 3 + 2;

	for (; *words; words++) {
		const char *dot = strrchr(*words, '.');
		size_t d = distance(word, *words);

		if (dot && !strchr(word, '.') && distance(word, dot + 1) + 1 < d)
			d = distance(word, dot + 1) + 1;
		if (d < least) {
			least = d;
			best = *words;
		}
	}
	return best;
}

static enum ns_status unknown_key(const struct ns_conf *conf, const char *name, const char *where)
{
	const char *words[512], *near;
	const struct ns_key *k;
	size_t n = 0;

	for (k = conf->keys; k->name && n < 510; k++) {
		words[n++] = k->name;
		if (k->flag)
			words[n++] = k->flag;
	}
	words[n < 511 ? n : 511] = NULL;
	near = ns_nearest(name, words);
	if (near && !strcmp(near, name)) /* the short name of a key that this verb lacks, or in a file */
		return ns_fail(NS_CONFIG, "%s: unknown key '%s': it is an option of other verbs, on their command lines; see nightshift VERB --help",
			       where, name);
	return near ? ns_fail(NS_CONFIG, "%s: unknown key '%s'; did you mean '%s'?", where, name, near)
		    : ns_fail(NS_CONFIG, "%s: unknown key '%s'; see nightshift VERB --help", where, name);
}

static const char *type_name(enum ns_key_type type)
{
	static const char *const names[] = {"a whole number", "a number", "true or false", "text", "YAML"};

	return names[type];
}

static int type_fits(enum ns_key_type type, const json_t *value)
{
	switch (type) {
	case NS_KEY_INT:
		return json_is_integer(value);
	case NS_KEY_REAL:
		return json_is_number(value);
	case NS_KEY_BOOL:
		return json_is_boolean(value);
	case NS_KEY_TEXT:
		return json_is_string(value);
	case NS_KEY_NODE:
		break;
	}
	return 1;
}

/* below: a key that was given before keeps its value; the new one is checked all the same */
static enum ns_status put_checked(struct ns_conf *conf, const struct ns_key *k, const json_t *value, const char *where, int below)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
	enum ns_status status = NS_OK;
	double x = json_number_value(value);
	json_t *put = NULL;

	/* `--name 2024` is text that looks like a number */
	if (k->type == NS_KEY_TEXT && json_is_number(value)) {
		put = json_string(text);
	} else if (!json_is_null(value) && !type_fits(k->type, value)) {
		status = ns_fail(NS_CONFIG, "%s: %s = %s, expected %s", where, k->name, text, type_name(k->type));
	} else if (json_is_null(value) && strcmp(k->otherwise, "null")) {
		status = ns_fail(NS_CONFIG, "%s: %s has no value, expected %s", where, k->name, type_name(k->type));
	} else if (json_is_number(value) && (k->low != 0 || k->high != 0) && !(x >= k->low && x <= k->high)) {
		status = ns_fail(NS_CONFIG, "%s: %s = %s, expected %g to %g", where, k->name, text, k->low, k->high);
	} else {
		put = json_deep_copy(value);
	}
	if (status == NS_OK && !(below && ns_conf_given(conf, k->name))) {
		json_object_set(conf->values, k->name, put);
		json_object_set_new(conf->given, k->name, json_true());
	}
	json_decref(put);
	free(text);
	return status;
}

static enum ns_status merge(struct ns_conf *conf, const json_t *tree, const char *prefix, const char *where, int below)
{
	const char *key;
	json_t *value;

	NS_JSON_EACH(tree, key, value) {
		char name[256];
		const struct ns_key *k;

		snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
		k = by_name(conf, name);
		if (!k && !json_is_object(value))
			return unknown_key(conf, name, where);
		if (!k)
			NS_TRY(merge(conf, value, name, where, below));
		else
			NS_TRY(put_checked(conf, k, value, where, below));
	}
	return NS_OK;
}

static enum ns_status merge_map(struct ns_conf *conf, const json_t *tree, const char *where, int below)
{
	if (!json_is_object(tree))
		return ns_fail(NS_CONFIG, "%s: expected a map of keys", where);
	return merge(conf, tree, "", where, below);
}

enum ns_status ns_conf_merge(struct ns_conf *conf, const json_t *tree, const char *where)
{
	return merge_map(conf, tree, where, 0);
}

enum ns_status ns_conf_init(struct ns_conf *conf, const struct ns_key *keys)
{
	const struct ns_key *k;

	conf->keys = keys;
	conf->values = json_object();
	conf->given = json_object();
	for (k = keys; k->name; k++) {
		json_t *value = NULL;

		NS_TRY(ns_yaml_parse(&value, k->otherwise, strlen(k->otherwise), k->name));
		json_object_set_new(conf->values, k->name, value);
	}
	return NS_OK;
}

void ns_conf_release(struct ns_conf *conf)
{
	json_decref(conf->values);
	json_decref(conf->given);
	conf->values = conf->given = NULL;
}

enum ns_status ns_conf_copy(struct ns_conf *to, const struct ns_conf *from)
{
	to->keys = from->keys;
	to->values = json_deep_copy(from->values);
	to->given = json_deep_copy(from->given);
	return to->values && to->given ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for the configuration");
}

enum ns_status ns_yaml_read(json_t **json, const char *path)
{
	char *text;
	size_t bytes;
	enum ns_status status;

	NS_TRY(ns_read_file(path, &text, &bytes));
	status = ns_yaml_parse(json, text, bytes, path);
	free(text);
	return status;
}

enum ns_status ns_conf_file(struct ns_conf *conf, const char *path)
{
	json_t *tree = NULL;
	enum ns_status status = ns_yaml_read(&tree, path);

	if (status == NS_OK)
		status = ns_conf_merge(conf, tree, path);
	json_decref(tree);
	return status;
}

enum ns_status ns_conf_file_under(struct ns_conf *conf, const char *path, const char *section)
{
	json_t *tree = NULL, *value;
	size_t n = strlen(section);
	const char *name;
	enum ns_status status = ns_yaml_read(&tree, path);

	json_object_foreach(tree, name, value)
		if (strncmp(name, section, n) || (name[n] && name[n] != '.'))
			status = ns_fail(NS_CONFIG, "%s: %s: expected only keys under %s:", path, name, section);
	if (status == NS_OK)
		status = merge_map(conf, tree, path, 1);
	json_decref(tree);
	return status;
}

enum ns_status ns_conf_set(struct ns_conf *conf, const char *name, const char *text, int verb)
{
	const struct ns_key *k = ns_conf_key(conf, name, verb);
	json_t *value = NULL;
	enum ns_status status;
	char where[300];

	if (!k)
		return unknown_key(conf, name, "command line");
	if (verb >= 0 && !(k->verbs >> verb & 1))
		return ns_fail(NS_CONFIG, "command line: --%s is not an option of this verb; see its --help", name);
	snprintf(where, sizeof where, "--%s", name);
	if (k->type == NS_KEY_TEXT)
		value = json_string_nocheck(text); /* a path may hold any bytes: ns_json_clean() before it is written */
	else
		NS_TRY(ns_yaml_parse(&value, text, strlen(text), where));
	status = value ? put_checked(conf, k, value, where, 0) : ns_fail(NS_NO_MEMORY, "%s: out of memory", where);
	json_decref(value);
	return status;
}

static const json_t *value_of(const struct ns_conf *conf, const char *name)
{
	return json_object_get(conf->values, name);
}

int64_t ns_conf_int(const struct ns_conf *conf, const char *name)
{
	return json_integer_value(value_of(conf, name));
}

double ns_conf_real(const struct ns_conf *conf, const char *name)
{
	return json_number_value(value_of(conf, name));
}

int ns_conf_bool(const struct ns_conf *conf, const char *name)
{
	return json_is_true(value_of(conf, name));
}

const char *ns_conf_text(const struct ns_conf *conf, const char *name)
{
	return json_string_value(value_of(conf, name));
}

const json_t *ns_conf_node(const struct ns_conf *conf, const char *name)
{
	const json_t *v = value_of(conf, name);

	return json_is_null(v) ? NULL : v;
}

void ns_conf_read(const struct ns_conf *conf, const struct ns_conf_field *fields, size_t n, void *settings)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const struct ns_conf_field *f = &fields[i];
		const json_t *v = ns_conf_node(conf, f->key);
		char *to = (char *)settings + f->offset;

		switch (f->type) {
		case 'i':
			*(int *)to = json_is_boolean(v) ? json_is_true(v) : (int)json_integer_value(v);
			break;
		case 'l':
			*(int64_t *)to = json_integer_value(v);
			break;
		case 'r':
			*(double *)to = json_number_value(v);
			break;
		case 's':
			*(const char **)to = json_string_value(v);
			break;
		default:
			*(const json_t **)to = v;
		}
	}
}

int ns_conf_given(const struct ns_conf *conf, const char *name)
{
	return json_object_get(conf->given, name) != NULL;
}

void ns_conf_put(struct ns_conf *conf, const char *name, json_t *value)
{
	json_object_set_new(conf->values, name, value);
	json_object_set_new(conf->given, name, json_true());
}

void ns_conf_put_text(struct ns_conf *conf, const char *name, const char *text)
{
	ns_conf_put(conf, name, text ? json_string_nocheck(text) : json_null()); /* a path may hold any bytes */
}

json_t *ns_conf_nondefault(const struct ns_conf *conf, const char *const *without)
{
	json_t *chosen = json_object(), *by_default;
	const struct ns_key *k;

	for (k = conf->keys; k->name && chosen; k++) {
		const json_t *value = value_of(conf, k->name);

		if (ns_yaml_parse(&by_default, k->otherwise, strlen(k->otherwise), k->name) != NS_OK)
			continue; /* cannot happen: ns_conf_init() has parsed it */
		if (!json_equal(value, by_default))
			json_object_set_new(chosen, k->name, json_deep_copy(value));
		json_decref(by_default);
	}
	for (; *without; without++)
		json_object_del(chosen, *without);
	return chosen;
}
