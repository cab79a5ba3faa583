/* jobs/look/tell.c - what a person reads on the terminal, from look.json. */
#include "jobs/look/look_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASS_LINES 40 /* of one set: the largest and smallest classes, the rest in one line */
#define SMALLEST    13 /* of these lines */
#define BAR	    30
#define REASONS	    10

/* A name from outside may hold anything: what would colour a terminal or begin a line is printed as \xNN. */
static void say(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];

		if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0))
			printf("\\x%02X", c);
		else
			putchar(c);
	}
}

static int64_t whole(const json_t *json, const char *key)
{
	return json_integer_value(json_object_get(json, key));
}

static const char *count(char text[32], const json_t *json, const char *key)
{
	return ns_look_number(text, whole(json, key));
}

/* "jpeg 1,200, png 4": a list of names with their rows */
static void tell_ranked(const json_t *list, size_t most)
{
	const json_t *one;
	char n[32];
	size_t i;

	json_array_foreach(list, i, one) {
		if (i == most) {
			printf(", and %zu others", json_array_size(list) - most);
			break;
		}
		printf("%s", i ? ", " : "");
		say(ns_json_text(one, "name"));
		printf(" %s", count(n, one, "rows"));
	}
}

static int by_rows(const void *a, const void *b)
{
	const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
	int64_t p = whole(x, "rows"), q = whole(y, "rows");

	return p != q ? (p < q) - (p > q) : strcmp(ns_json_text(x, "name"), ns_json_text(y, "name"));
}

static void tell_class(const json_t *class, int64_t most)
{
	int64_t rows = whole(class, "rows");
	int bar = most ? (int)((double)rows * BAR / (double)most + 0.5) : 0;
	char n[32];

	printf("  %12s  %.*s%*s  ", ns_look_number(n, rows), bar, "##############################", BAR - bar, "");
	say(ns_json_text(class, "name"));
	printf("\n");
}

/* All classes in their order, or, where they are many, by rows: the largest, the sum of those between, the smallest. */
static void tell_classes(const json_t *set)
{
	const json_t *classes = json_object_get(set, "classes"), *one;
	size_t n = json_array_size(classes), i, largest = CLASS_LINES - 1 - SMALLEST;
	const json_t **sorted = calloc(n + 1, sizeof *sorted);
	int64_t between = 0;
	char text[32];

	if (!sorted)
		return;
	json_array_foreach(classes, i, one)
		sorted[i] = one;
	qsort(sorted, n, sizeof *sorted, by_rows);
	printf("%-12s%zu", "classes", n);
	if (json_is_number(json_object_get(set, "imbalance")))
		printf("; the largest has %.4g times the rows of the smallest", ns_json_number(set, "imbalance", 0));
	if (whole(set, "empty_classes"))
		printf("; %s without rows", count(text, set, "empty_classes"));
	printf("\n");
	for (i = 0; i < n; i++) {
		if (n > CLASS_LINES && i >= largest && i < n - SMALLEST)
			between += whole(sorted[i], "rows");
		else
			tell_class(n > CLASS_LINES ? sorted[i] : json_array_get(classes, i), whole(sorted[0], "rows"));
		if (n > CLASS_LINES && i + 1 == n - SMALLEST)
			printf("  %12s  in %zu classes between these\n", ns_look_number(text, between), n - SMALLEST - largest);
	}
	free(sorted);
}

static void tell_duplicates(const json_t *set)
{
	const json_t *same = json_object_get(set, "duplicates");
	char a[32], b[32];

	printf("%-12s%s row%s whose pixels an earlier row has", "duplicates", count(a, same, "rows"), whole(same, "rows") == 1 ? "" : "s");
	if (json_is_integer(json_object_get(same, "files")))
		printf("; %s whose file is the same", count(a, same, "files"));
	printf("\n");
	if (whole(same, "conflicts"))
		printf("%-12s%s image%s in several classes, in %s rows\n", "conflicts", count(a, same, "conflicts"),
		       whole(same, "conflicts") == 1 ? " is" : "s are", count(b, same, "conflict_rows"));
}

static void tell_spread(const char *what, const json_t *spread)
{
	char a[32], b[32], c[32];

	printf("  %-10s%s to %s, median %s\n", what, count(a, spread, "min"), count(b, spread, "max"), count(c, spread, "median"));
}

static void tell_files(const json_t *set)
{
	const json_t *files = json_object_get(set, "files"), *captured = json_object_get(files, "captured");
	char a[32], b[32], c[32];

	if (!json_is_object(files)) {
		printf("%-12s%s\n", "files", "the rows were no files of their own, or it is not known what they were");
		return;
	}
	printf("%-12s", "files");
	tell_ranked(json_object_get(files, "formats"), 8);
	printf("; %s are grey\n", count(a, files, "grey"));
	tell_spread("width", json_object_get(files, "width"));
	tell_spread("height", json_object_get(files, "height"));
	tell_spread("bytes", json_object_get(files, "bytes"));
	printf("%-12s%s by EXIF's orientation\n", "turned", count(a, files, "turned"));
	if (json_is_integer(json_object_get(captured, "first")))
		printf("%-12s%s to %s; %s do not say when\n", "captured", ns_look_time(a, whole(captured, "first")),
		       ns_look_time(b, whole(captured, "last")), count(c, captured, "without"));
	else
		printf("%-12s%s\n", "captured", "no file says when");
	printf("%-12s%s", "cameras", whole(files, "camera_count") ? "" : "no file names one");
	tell_ranked(json_object_get(files, "cameras"), 5);
	if (whole(files, "camera_count") > 5)
		printf(", and %lld others", (long long)whole(files, "camera_count") - 5);
	if (whole(files, "camera_count"))
		printf("; %s name none", count(a, files, "without_camera"));
	printf("\n%-12s%s say where they were taken\n", "places", count(a, files, "positions"));
}

static void tell_refused(const json_t *refused, const char *what)
{
	const json_t *one;
	char n[32];
	size_t i;

	if (!json_is_object(refused))
		return;
	printf("%-12s%s", what, count(n, refused, "lines"));
	printf(", as %s says\n", ns_json_text(refused, "file"));
	json_array_foreach(json_object_get(refused, "reasons"), i, one) {
		if (i == REASONS) {
			printf("  and %zu other reasons\n", json_array_size(json_object_get(refused, "reasons")) - i);
			break;
		}
		printf("  %12s  ", count(n, one, "lines"));
		say(ns_json_text(one, "reason"));
		printf("%s (%s", json_is_true(json_object_get(one, "differ")) ? ", or alike" : "", whole(one, "lines") > 1 ? "the first: " : "");
		say(ns_json_text(one, "first"));
		printf(")\n");
	}
}

static void tell_stored(const json_t *set)
{
	const json_t *stored = json_object_get(set, "stored");
	char a[32], b[32];

	if (json_object_get(stored, "height"))
		printf("%-12sraw, %lldx%lldx%lld", "stored", (long long)whole(stored, "height"), (long long)whole(stored, "width"),
		       (long long)whole(stored, "channels"));
	else
		printf("%-12sfiles as they came (%s)", "stored", ns_json_text(stored, "encoding"));
	printf("; %s shard%s, %s\n", count(a, set, "shards"), whole(set, "shards") > 1 ? "s" : "", ns_look_bytes(b, (double)whole(set, "bytes")));
}

static void tell_set(const json_t *set)
{
	const json_t *brightness = json_object_get(set, "brightness");
	char a[32], b[32], c[32];

	say(ns_json_text(set, "name"));
	printf("\n%-12s%s\n", "digest", ns_json_text(set, "digest"));
	printf("%-12s%s: %s labelled, %s unlabelled\n", "rows", count(a, set, "rows"), count(b, set, "labelled"), count(c, set, "unlabelled"));
	tell_stored(set);
	tell_classes(set);
	tell_duplicates(set);
	tell_files(set);
	printf("%-12s%.3f on average, standard deviation %.3f; contrast %.3f, saturation %.3f\n", "brightness", ns_json_number(brightness, "mean", 0),
	       ns_json_number(brightness, "std", 0), ns_json_number(set, "contrast", 0), ns_json_number(set, "saturation", 0));
	printf("%-12s", "groups");
	tell_ranked(json_object_get(set, "groups"), 8);
	printf("\n");
}

/* A folder of sets: a line each, and what two of them share. */
static void tell_sets(const struct ns_look_job *k)
{
	const json_t *sets = json_object_get(k->all, "sets"), *pair, *set;
	char a[32], b[32], c[32], d[32];
	size_t i;

	say(k->path);
	printf(": %d data sets\n%12s %12s %8s %12s %12s  %s\n", k->count, "rows", "unlabelled", "classes", "duplicates", "conflicts", "set");
	json_array_foreach(sets, i, set) {
		const json_t *same = json_object_get(set, "duplicates");

		printf("%12s %12s %8zu %12s %12s  ", count(a, set, "rows"), count(b, set, "unlabelled"),
		       json_array_size(json_object_get(set, "classes")), count(c, same, "rows"), count(d, same, "conflicts"));
		say(ns_json_text(set, "folder"));
		printf("\n");
	}
	json_array_foreach(json_object_get(k->all, "between"), i, pair) {
		if (!i)
			printf("in both (equal pixels)\n");
		printf("%12s  ", count(a, pair, "images"));
		say(ns_json_text(pair, "a"));
		printf(" and ");
		say(ns_json_text(pair, "b"));
		if (whole(pair, "images"))
			printf(": %s rows of the one, %s of the other; %s under another class", count(b, pair, "rows_a"), count(c, pair, "rows_b"),
			       count(d, pair, "conflicts"));
		printf("\n");
	}
}

void ns_look_tell(const struct ns_look_job *k)
{
	if (k->folder)
		tell_sets(k);
	else
		tell_set(json_array_get(json_object_get(k->all, "sets"), 0));
	tell_refused(json_object_get(k->all, "refused"), "refused");
	tell_refused(json_object_get(k->all, "passed"), "passed over");
	if (k->folder)
		printf("the name of one of these folders tells of it in full\n");
}
