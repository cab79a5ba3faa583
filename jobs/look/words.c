/* jobs/look/words.c - what figures are made of: rows by class and source, counts by name; and numbers, bytes and times as people read them. */
#define _POSIX_C_SOURCE 200809L
#include "jobs/look/look_inner.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *ns_look_number(char text[32], int64_t n)
{
	char digits[24];
	size_t len, i, at = 0;

	snprintf(digits, sizeof digits, "%lld", (long long)n);
	len = strlen(digits);
	for (i = 0; i < len; i++) {
		text[at++] = digits[i];
		if ((len - 1 - i) % 3 == 0 && i + 1 < len && digits[i] != '-')
			text[at++] = ',';
	}
	text[at] = 0;
	return text;
}

const char *ns_look_bytes(char text[32], double bytes)
{
	static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	int i = 0;

	for (; bytes >= 1024 && i < 4; i++)
		bytes /= 1024;
	snprintf(text, 32, i ? "%.1f %s" : "%.0f %s", bytes, unit[i]);
	return text;
}

const char *ns_look_time(char text[32], int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm))
		snprintf(text, 32, "an unknown time");
	return text;
}

const char *ns_look_class(const struct ns_dataset *data, int64_t row)
{
	int32_t label = ns_dataset_label(data, row);

	return label < 0 ? NULL : ns_dataset_head(data)->classes[label];
}

json_t *ns_look_row(const struct ns_dataset *data, int64_t row)
{
	const char *class = ns_look_class(data, row), *source;
	const struct ns_shard *shard;
	char text[NS_PATH_MAX];
	int64_t in_shard;
	size_t len;

	shard = ns_dataset_at(data, row, &in_shard);
	source = ns_shard_source(shard, in_shard, &len);
	len = len < sizeof text - 1 ? len : sizeof text - 1;
	memcpy(text, source, len);
	text[len] = 0;
	return NS_JSON_OBJECT({"row", json_integer(row)}, {"class", class ? ns_json_string(class) : json_null()}, {"source", ns_json_string(text)});
}

void ns_look_tally(json_t *tally, const char *name, int64_t n)
{
	json_t *count = json_object_get(tally, name);

	if (count)
		json_integer_set(count, json_integer_value(count) + n);
	else
		json_object_set_new_nocheck(tally, name, json_integer(n)); /* a key of this process alone: it need not be UTF-8 */
}

struct ranked {
	const char *name;
	int64_t rows;
};

static int by_rows(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->rows != y->rows ? (x->rows < y->rows) - (x->rows > y->rows) : strcmp(x->name, y->name);
}

json_t *ns_look_ranked(const json_t *tally, size_t most)
{
	size_t n = json_object_size(tally), i = 0;
	struct ranked *list = calloc(n + 1, sizeof *list);
	json_t *json = list ? json_array() : NULL, *count;
	const char *name;

	if (json) {
		NS_JSON_EACH(tally, name, count)
			list[i++] = (struct ranked){name, json_integer_value(count)};
		qsort(list, n, sizeof *list, by_rows);
	}
	for (i = 0; json && i < n && (!most || i < most); i++)
		json_array_append_new(json, NS_JSON_OBJECT({"name", ns_json_string(list[i].name)}, {"rows", json_integer(list[i].rows)}));
	free(list);
	return json;
}
