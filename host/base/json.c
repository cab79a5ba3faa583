/* host/base/json.c - JSON: read, written, digested; members are read with messages that name what was found. */
#include "host/base/base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *ns_json_string(const char *text)
{
	json_t *json = json_string(text);
	char *plain = json ? NULL : malloc(4 * strlen(text) + 1), *to = plain;

	for (; plain && *text; text++)
		if ((unsigned char)*text < 0x80)
			*to++ = *text;
		else
			to += sprintf(to, "\\x%02X", (unsigned char)*text);
	if (plain) {
		*to = 0;
		json = json_string(plain);
	}
	free(plain);
	return json;
}

json_t *ns_json_clean(const json_t *json)
{
	json_t *copy, *value;
	const char *key;
	size_t i;

	if (json_is_string(json))
		return ns_json_string(json_string_value(json));
	if (json_is_array(json)) {
		copy = json_array();
		json_array_foreach(json, i, value)
			json_array_append_new(copy, ns_json_clean(value));
		return copy;
	}
	if (!json_is_object(json))
		return json_deep_copy(json);
	copy = json_object();
	NS_JSON_EACH(json, key, value)
		json_object_set_new(copy, key, ns_json_clean(value));
	return copy;
}

json_t *ns_json_real(double x)
{
	return isfinite(x) ? json_real(x) : json_null();
}

json_t *ns_json_object(const struct ns_json_pair *pairs)
{
	json_t *json = json_object();
	int bad = !json;

	for (; pairs->name; pairs++)
		bad |= json_object_set_new(json, pairs->name, pairs->value) != 0;
	if (bad)
		json_decref(json);
	return bad ? NULL : json;
}

json_t *ns_json_fields(json_t *json, const struct ns_json_field *fields, size_t n, const void *of)
{
	size_t i;
	int bad = !json;

	for (i = 0; i < n; i++) {
		const char *from = (const char *)of + fields[i].offset, *text;
		json_t *value;

		switch (fields[i].type) {
		case 'i':
			value = json_integer(*(const int *)from);
			break;
		case 'l':
			value = json_integer((json_int_t) * (const int64_t *)from);
			break;
		case 'r':
			value = ns_json_real(*(const double *)from);
			break;
		case 'b':
			value = json_boolean(*(const int *)from);
			break;
		case 's':
			text = *(const char *const *)from;
			value = text ? json_string(text) : json_null();
			break;
		default:
			value = json_string(from);
		}
		bad |= json_object_set_new(json, fields[i].name, value) != 0;
	}
	if (bad)
		json_decref(json);
	return bad ? NULL : json;
}

enum ns_status ns_json_write(const char *path, const json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	enum ns_status status;

	if (!text)
		return ns_fail(NS_INTERNAL, "%s: cannot be encoded as JSON", path);
	status = ns_write_file(path, text, strlen(text));
	free(text);
	return status;
}

enum ns_status ns_json_read(const char *path, json_t **json, const char *schema)
{
	json_error_t error;
	size_t bytes;
	char *text;

	*json = NULL;
	NS_TRY(ns_read_file(path, &text, &bytes));
	*json = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
	free(text);
	if (!*json)
		return ns_fail(NS_BAD_DATA, "%s: line %d: %s", path, error.line, error.text);
	if (schema && strcmp(ns_json_text(*json, "schema"), schema)) {
		ns_fail(NS_BAD_DATA, "%s: schema is '%s', expected '%s'", path, ns_json_text(*json, "schema"), schema);
		json_decref(*json);
		*json = NULL;
		return NS_BAD_DATA;
	}
	return NS_OK;
}

char *ns_json_canonical(const json_t *json)
{
	json_t *clean = ns_json_clean(json);
	char *text = json_dumps(clean, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));

	json_decref(clean);
	return text;
}

void ns_json_digest(char hex[NS_SHA256_HEX], const json_t *json)
{
	char *text = ns_json_canonical(json);

	ns_sha256(hex, text ? text : "", text ? strlen(text) : 0);
	free(text);
}

const char *ns_json_text(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

double ns_json_number(const json_t *json, const char *key, double otherwise)
{
	const json_t *value = json_object_get(json, key);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

enum ns_status ns_json_read_if_there(const char *path, json_t **json, const char *schema)
{
	int is;

	*json = NULL;
	NS_TRY(ns_exists(path, &is));
	return is ? ns_json_read(path, json, schema) : NS_OK;
}

/* what was found, for a message */
static void found(const json_t *value, char text[64])
{
	char *dump = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;

	snprintf(text, 64, "%.60s", dump ? dump : "missing");
	free(dump);
}

enum ns_status ns_json_int(const json_t *value, const char *name, const char *where, int64_t low, int64_t high, int64_t *out)
{
	char text[64];

	*out = json_integer_value(value);
	if (json_is_integer(value) && *out >= low && *out <= high)
		return NS_OK;
	found(value, text);
	return ns_fail(NS_BAD_DATA, "%s: %s is %s, expected a whole number from %lld to %lld", where, name, text, (long long)low, (long long)high);
}

enum ns_status ns_json_finite(const json_t *value, const char *name, const char *where, double *out)
{
	char text[64];

	*out = json_number_value(value);
	if (json_is_number(value) && isfinite(*out))
		return NS_OK;
	found(value, text);
	return ns_fail(NS_BAD_DATA, "%s: %s is %s, expected a finite number", where, name, text);
}

enum ns_status ns_json_get_int(const json_t *json, const char *key, const char *where, int64_t low, int64_t high, int64_t *out)
{
	return ns_json_int(json_object_get(json, key), key, where, low, high, out);
}

enum ns_status ns_json_get_real(const json_t *json, const char *key, const char *where, double *out)
{
	return ns_json_finite(json_object_get(json, key), key, where, out);
}
