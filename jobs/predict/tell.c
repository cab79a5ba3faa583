/* jobs/predict/tell.c - results as lines: for a person, or as CSV. */
#include "jobs/predict/predict_inner.h"

#include <stdio.h>
#include <string.h>

#include "host/base/base.h"

#define NUMBERS_TOLD 8 /* of a list, to a person */

/* A text of CSV, in quotes where it has to be. */
static void csv_text(const char *text)
{
	if (!strpbrk(text, ",\"\n\r")) {
		printf("%s", text);
		return;
	}
	putchar('"');
	for (; *text; text++)
		printf(*text == '"' ? "\"\"" : "%c", *text);
	putchar('"');
}

/* A number, a text, or a list of them; a list in a list is one list. */
static void value(const json_t *json, int csv, int *told)
{
	const json_t *one;
	size_t i;

	if (json_is_array(json)) {
		json_array_foreach(json, i, one)
			value(one, csv, told);
		return;
	}
	if (!csv && ++*told > NUMBERS_TOLD)
		return;
	putchar(csv ? ',' : ' ');
	if (json_is_string(json))
		csv ? csv_text(json_string_value(json)) : (void)printf("%s", json_string_value(json));
	else if (json_is_integer(json))
		printf("%lld", (long long)json_integer_value(json));
	else if (json_is_real(json))
		printf(csv ? "%.7g" : "%.4g", json_real_value(json));
}

static void row(const json_t *file, const json_t *json, const char *columns, int csv)
{
	char name[32];
	int n, told;

	if (csv)
		csv_text(json_string_value(file));
	else
		printf(" ");
	for (; sscanf(columns, "%31s%n", name, &n) == 1; columns += n) {
		told = 0;
		if (json_object_get(json, name))
			value(json_object_get(json, name), csv, &told);
		if (told > NUMBERS_TOLD)
			printf(" ... %d in all", told);
	}
	printf("\n");
}

/* The columns of a row, and those of what was read in its place. */
static const char *columns_of(const char *columns, const json_t *json, char all[100])
{
	snprintf(all, 100, "%s%s", columns, json_object_get(json, "text") && !strstr(columns, "text") ? " text confidence" : "");
	return all;
}

void ns_predict_tell(const json_t *result, enum ns_task task, int csv)
{
	const char *columns = ns_task_columns(task), *name = ns_task_list(task);
	const json_t *file = json_object_get(result, "file"), *list = name ? json_object_get(result, name) : NULL, *one;
	char all[100];
	size_t i;

	if (!csv)
		printf("%s: %lldx%lld%s\n", json_string_value(file), (long long)json_integer_value(json_object_get(result, "width")),
		       (long long)json_integer_value(json_object_get(result, "height")), name && !json_array_size(list) ? ", nothing" : "");
	if (!name)
		row(file, result, columns_of(columns, result, all), csv);
	json_array_foreach(list, i, one)
		row(file, one, columns_of(columns, one, all), csv);
}

/* The head of a CSV. Places have a column for each number; lists of any length have one name, for their first. */
void ns_predict_tell_columns(enum ns_task task, int text)
{
	const char *columns = ns_task_columns(task);
	char name[32];
	int n;

	printf("file");
	for (; sscanf(columns, "%31s%n", name, &n) == 1; columns += n) {
		if (!strcmp(name, "box"))
			printf(",x0,y0,x1,y1");
		else if (!strcmp(name, "corners"))
			printf(",x0,y0,x1,y1,x2,y2,x3,y3");
		else
			printf(",%s", name);
	}
	printf("%s\n", text ? ",text,confidence" : "");
}
