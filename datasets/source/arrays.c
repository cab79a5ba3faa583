/* datasets/source/arrays.c - images and labels that are rows of arrays: which arrays are taken, what classes follow from labels, one item of them. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source/arrays_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

enum ns_status ns_arrays_add(struct ns_arrays *p, const char *key, struct ns_array **added)
{
	struct ns_array *more = realloc(p->array, sizeof *more * (size_t)(p->count + 1));

	if (!more)
		return ns_fail(NS_NO_MEMORY, "out of memory for a list of %d arrays", p->count + 1);
	p->array = more;
	*added = &more[p->count];
	**added = (struct ns_array){.key = strdup(key)};
	if (!(*added)->key)
		return ns_fail(NS_NO_MEMORY, "out of memory for an array's name");
	p->count++;
	return NS_OK;
}

void ns_arrays_release(struct ns_arrays *p)
{
	int64_t i, n = 0;

	for (i = 0; i < p->count; i++) {
		free(p->array[i].key);
		free(p->array[i].data);
	}
	for (i = 0; i < p->set_count; i++)
		n += p->set[i].n;
	for (i = 0; p->text && i < n; i++)
		free(p->text[i]);
	free(p->array);
	free(p->set);
	free(p->number);
	free(p->text);
	free(p->label);
	free(p->row);
	free(p->turned);
	memset(p, 0, sizeof *p);
}

void ns_arrays_where(const struct ns_source *s, const struct ns_arrays *p, const struct ns_array *a, char where[NS_ARRAY_TEXT])
{
	if (p->keyed)
		snprintf(where, NS_ARRAY_TEXT, "%s[%s]", s->path, a->key);
	else
		snprintf(where, NS_ARRAY_TEXT, "%s", a->key);
}

/* --- which arrays are taken --- */

static enum ns_status check_type(const char *where, const struct ns_array *a)
{
	char said[NS_ARRAY_SAID];

	ns_array_said(a, said);
	if (a->kind == 'O')
		return ns_fail(
			NS_BAD_DATA,
			"%s: is %s, a pickle that could run anything and is never loaded; images of uint8 are taken: numpy.stack(list of images)",
			where, said);
	if (a->kind == 'f')
		return ns_fail(
			NS_BAD_DATA,
			"%s: is %s; images of uint8 are taken: multiply by 255 if they are from 0 to 1, and store them as uint8 (x.round().astype('uint8'))",
			where, said);
	if (a->kind != 'u' || a->bytes != 1)
		return ns_fail(NS_BAD_DATA, "%s: is %s; images of uint8 are taken, (N,H,W), (N,H,W,C) or (N,C,H,W) with C 1 or 3", where, said);
	if (a->fortran)
		return ns_fail(NS_BAD_DATA, "%s: is %s in Fortran order, expected C order: numpy.ascontiguousarray() converts it", where, said);
	return NS_OK;
}

/* Channels come last, unless only the second size can be theirs. */
static enum ns_status check_images(const char *where, const struct ns_array *a, struct ns_array_set *set)
{
	const int64_t *d = a->dims;
	char said[NS_ARRAY_SAID];
	int last = a->rank == 4 && (d[3] == 1 || d[3] == 3);

	NS_TRY(check_type(where, a));
	ns_array_said(a, said);
	if (a->rank != 3 && a->rank != 4)
		return ns_fail(NS_BAD_DATA, "%s: is %s, expected (N,H,W), (N,H,W,C) or (N,C,H,W) with C 1 or 3: x.reshape() makes them of flat rows",
			       where, said);
	set->chw = a->rank == 4 && !last;
	if (set->chw && d[1] != 1 && d[1] != 3)
		return ns_fail(NS_BAD_DATA, "%s: is %s, expected 1 or 3 channels, last or second: x[..., :3] drops a fourth", where, said);
	set->n = d[0];
	set->c = a->rank == 3 ? 1 : (int)(last ? d[3] : d[1]);
	if (!d[0])
		return ns_fail(NS_BAD_DATA, "%s: is %s: holds no images", where, said);
	d += set->chw ? 2 : 1;
	if (d[0] < 1 || d[1] < 1 || d[0] > NS_ARRAY_SIDE || d[1] > NS_ARRAY_SIDE)
		return ns_fail(NS_BAD_DATA, "%s: is %s: images of %lld x %lld, expected sides from 1 to %d", where, said, (long long)d[0],
			       (long long)d[1], NS_ARRAY_SIDE);
	set->h = (int)d[0];
	set->w = (int)d[1];
	return ns_array_bytes(a) < 0 || set->n > INT32_MAX ? ns_fail(NS_BAD_DATA, "%s: is %s: claims an impossible size", where, said) : NS_OK;
}

static enum ns_status check_labels(const char *where, const struct ns_array *a, int64_t n, const char *images)
{
	char said[NS_ARRAY_SAID];
	int i, flat = a->rank >= 1 && a->rank <= NS_ARRAY_RANK;

	ns_array_said(a, said);
	for (i = 1; flat && i < a->rank; i++)
		flat = a->dims[i] == 1;
	if (!strchr("uibSU", a->kind))
		return ns_fail(NS_BAD_DATA, "%s: is %s, expected labels that are whole numbers or texts of a fixed width%s", where, said,
			       a->kind == 'O'	? "; objects are pickles, which are never loaded: numpy.array(labels, dtype=str)"
			       : a->kind == 'f' ? ": y.astype('int64')"
						: "");
	if (a->bytes < 1 || a->bytes > (a->kind == 'S' || a->kind == 'U' ? NS_ARRAY_TEXT : 8) ||
	    (a->kind != 'S' && a->kind != 'U' && (a->bytes & (a->bytes - 1))))
		return ns_fail(NS_BAD_DATA, "%s: is %s, of %d bytes each; expected 1 to 8, or texts of up to %d", where, said, a->bytes,
			       NS_ARRAY_TEXT);
	if (!flat)
		return ns_fail(NS_BAD_DATA,
			       "%s: is %s, expected one label for each image, (N,) or (N,1): numpy.argmax(y, 1) makes them of one-hot rows", where,
			       said);
	if (a->dims[0] != n)
		return ns_fail(NS_BAD_DATA, "%s: has %lld labels, but %s has %lld images", where, (long long)a->dims[0], images, (long long)n);
	return NS_OK;
}

/* What a person should know; the file's name is said before it. */
static enum ns_status tell(struct ns_source *s, const struct ns_arrays *p, const struct ns_array_set *set)
{
	char said[NS_ARRAY_SAID], note[NS_ARRAY_SAID + 512];

	snprintf(note, sizeof note, "%.256s%sis %s, taken for %s", p->keyed ? set->images->key : "", p->keyed ? " " : "",
		 ns_array_said(set->images, said),
		 set->images->rank == 3 ? "(N,H,W)"
		 : set->chw		? "(N,C,H,W)"
					: "(N,H,W,C)");
	return ns_source_note(s, note);
}

enum ns_status ns_arrays_add_set(struct ns_source *s, struct ns_arrays *p, const struct ns_array *images, const struct ns_array *labels, int split)
{
	struct ns_array_set *more = realloc(p->set, sizeof *more * (size_t)(p->set_count + 1)),
			    set = {.images = images, .labels = labels, .split = split};
	char where[NS_ARRAY_TEXT], beside[NS_ARRAY_TEXT];
	size_t bytes;

	if (!more)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for its splits", s->path);
	p->set = more;
	ns_arrays_where(s, p, images, where);
	NS_TRY(check_images(where, images, &set));
	if (labels) {
		ns_arrays_where(s, p, labels, beside);
		NS_TRY(check_labels(beside, labels, set.n, where));
	}
	set.first = s->items;
	if (s->items + set.n > INT32_MAX)
		return ns_fail(NS_BAD_DATA, "%s: holds more than %d images", s->path, INT32_MAX);
	s->items += set.n;
	bytes = (size_t)set.h * (size_t)set.w * (size_t)set.c;
	p->row_bytes = bytes > p->row_bytes ? bytes : p->row_bytes;
	more[p->set_count++] = set;
	return tell(s, p, &set);
}

/* --- labels --- */

/* Of which kind the labels are, the first says; memory is asked for when their number is known to be that of the images. */
static enum ns_status begin_labels(const struct ns_source *s, struct ns_arrays *p, int texts)
{
	int64_t i;

	if (texts ? p->number != NULL : p->text != NULL)
		return ns_fail(NS_BAD_DATA, "%s: has labels that are numbers and labels that are texts, expected one of both", s->path);
	if (texts && !p->text)
		p->text = calloc((size_t)s->items, sizeof *p->text);
	if (!texts && !p->number) {
		p->number = malloc(sizeof *p->number * (size_t)s->items);
		for (i = 0; p->number && i < s->items; i++)
			p->number[i] = -1;
	}
	return p->text || p->number ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld labels", s->path, (long long)s->items);
}

static enum ns_status bad_label(const struct ns_source *s, const struct ns_arrays *p, const struct ns_array_set *set, int64_t row, const char *what)
{
	char where[NS_ARRAY_TEXT];

	ns_arrays_where(s, p, set->labels, where);
	return ns_fail(NS_BAD_DATA, "%s: label %lld %s", where, (long long)row, what);
}

enum ns_status ns_arrays_number(struct ns_source *s, struct ns_arrays *p, const struct ns_array_set *set, int64_t row, int64_t value)
{
	char what[128];

	NS_TRY(begin_labels(s, p, 0));
	if (value < -1 || value >= NS_ARRAY_CLASS_MAX) {
		snprintf(what, sizeof what, "is %lld, expected 0 to %lld, or -1 of an image without one", (long long)value,
			 (long long)NS_ARRAY_CLASS_MAX - 1);
		return bad_label(s, p, set, row, what);
	}
	p->number[set->first + row] = value;
	return NS_OK;
}

enum ns_status ns_arrays_text(struct ns_source *s, struct ns_arrays *p, const struct ns_array_set *set, int64_t row, const char *text)
{
	NS_TRY(begin_labels(s, p, 1));
	free(p->text[set->first + row]);
	p->text[set->first + row] = strdup(text);
	return p->text[set->first + row] ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for labels", s->path);
}

static uint64_t word(const uint8_t *p, int bytes, int big)
{
	uint64_t x = 0;
	int i;

	for (i = 0; i < bytes; i++)
		x |= (uint64_t)p[big ? bytes - 1 - i : i] << 8 * i;
	return x;
}

/* One code point as UTF-8; 0 bytes where it is none. */
static int utf8(uint64_t c, char out[4])
{
	int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3, i;

	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	for (i = more; i; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(c | (more ? (0xff00u >> (more + 1)) & 0xff : 0));
	return more + 1;
}

/* The text of a label, without the zeros behind it. Returns what is wrong with it, or NULL. */
static const char *text_of(const struct ns_array *a, const uint8_t *value, char text[NS_ARRAY_TEXT + 1])
{
	int each = a->kind == 'U' ? 4 : 1, n = a->bytes / each, i, at = 0;

	while (n && !word(value + each * (n - 1), each, a->big))
		n--;
	for (i = 0; i < n; i++) {
		uint64_t c = word(value + each * i, each, a->big);
		int bytes = 1;

		if (!c)
			return "has a 0 within its text";
		if (each == 1)
			text[at] = (char)c;
		else if (!(bytes = utf8(c, text + at)))
			return "is no text of Unicode";
		at += bytes;
	}
	text[at] = 0;
	return NULL;
}

enum ns_status ns_arrays_values(struct ns_source *s, struct ns_arrays *p, const struct ns_array_set *set, int64_t row, int64_t n, const uint8_t *data)
{
	const struct ns_array *a = set->labels;
	char text[NS_ARRAY_TEXT + 1];
	int64_t i;

	for (i = 0; i < n; i++, data += a->bytes) {
		uint64_t x = 0;
		const char *wrong;

		if (a->kind == 'S' || a->kind == 'U') {
			wrong = text_of(a, data, text);
			NS_TRY(wrong ? bad_label(s, p, set, row + i, wrong) : ns_arrays_text(s, p, set, row + i, text));
			continue;
		}
		x = word(data, a->bytes, a->big);
		if (a->kind == 'i' && a->bytes < 8 && x >> (8 * a->bytes - 1))
			x -= (uint64_t)1 << 8 * a->bytes;
		if (a->kind == 'u' && x > INT64_MAX)
			x = INT64_MAX; /* as wrong, and a number of the message */
		NS_TRY(ns_arrays_number(s, p, set, row + i, (int64_t)x));
	}
	return NS_OK;
}

/* Classes of numbers are all numbers to the largest, as those of IDX are. */
static enum ns_status label_numbers(struct ns_source *s, struct ns_arrays *p)
{
	enum ns_status status = NS_OK;
	int64_t i, n = 0;
	char **names, most[24];
	int digits;

	for (i = 0; i < s->items; i++) {
		p->label[i] = (int32_t)p->number[i];
		n = p->number[i] >= n ? p->number[i] + 1 : n;
	}
	digits = snprintf(most, sizeof most, "%lld", (long long)(n ? n - 1 : 0));
	names = calloc((size_t)n + 1, sizeof *names);
	for (i = 0; names && i < n; i++) {
		names[i] = malloc(24);
		if (!names[i])
			break;
		snprintf(names[i], 24, "%0*lld", digits, (long long)i);
	}
	s->numbers = !s->class_count && n > 0;
	status = names && i == n ? ns_source_found_classes(s, (const char *const *)names, n, 0)
				 : ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld classes", s->path, (long long)n);
	for (i = 0; names && i < n; i++)
		free(names[i]);
	free(names);
	return status;
}

/* Texts are the names of classes, or indices into those that were given. */
static enum ns_status label_texts(struct ns_source *s, struct ns_arrays *p)
{
	const char **names = malloc(sizeof *names * (size_t)s->items);
	enum ns_status status = names ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for labels", s->path);
	int given = s->class_count > 0;
	int64_t i;

	for (i = 0; names && i < s->items; i++)
		names[i] = p->text[i] ? p->text[i] : "";
	if (status == NS_OK)
		status = ns_source_labels(s, names, s->items, 1, p->label);
	for (i = 0; status == NS_OK && given && i < s->items; i++)
		if (p->label[i] == NS_LABEL_UNKNOWN)
			p->label[i] = ns_source_index(s, names[i]);
	free(names);
	return status;
}

enum ns_status ns_arrays_label(struct ns_source *s, struct ns_arrays *p)
{
	if (!p->number && !p->text)
		return NS_OK;
	p->label = malloc(sizeof *p->label * (size_t)s->items);
	if (!p->label)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %lld labels", s->path, (long long)s->items);
	NS_TRY(p->number ? label_numbers(s, p) : label_texts(s, p));
	free(p->number);
	p->number = NULL;
	return NS_OK;
}

/* --- items --- */

enum ns_status ns_arrays_make_row(struct ns_source *s, struct ns_arrays *p)
{
	int i, turned = 0;

	for (i = 0; i < p->set_count; i++)
		turned |= p->set[i].chw && p->set[i].c > 1;
	p->row = malloc(p->row_bytes);
	if (turned)
		p->turned = malloc(p->row_bytes);
	return p->row && (p->turned || !turned) ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for an image of %zu bytes", s->path, p->row_bytes);
}

enum ns_status ns_arrays_get(struct ns_source *s, struct ns_arrays *p, int64_t item, struct ns_item *out, ns_arrays_read_fn *read)
{
	const char *name = strrchr(s->path, '/') ? strrchr(s->path, '/') + 1 : s->path;
	const struct ns_array_set *set = p->set;
	size_t i, k, plane;

	while (item >= set->first + set->n)
		set++;
	snprintf(out->name, sizeof out->name, "%.255s%s%.1024s%s#%lld", name, p->keyed ? "[" : "", p->keyed ? set->images->key : "",
		 p->keyed ? "]" : "", (long long)(item - set->first));
	out->label = p->label ? p->label[item] : -1;
	snprintf(out->class_name, sizeof out->class_name, "%.127s", p->text && p->text[item] ? p->text[item] : "");
	NS_TRY(read(s, set, item - set->first));
	out->h = set->h;
	out->w = set->w;
	out->c = set->c;
	plane = (size_t)set->h * (size_t)set->w;
	out->bytes = plane * (size_t)set->c;
	out->data = p->row;
	if (!set->chw || set->c == 1)
		return NS_OK;
	for (k = 0; k < (size_t)set->c; k++)
		for (i = 0; i < plane; i++)
			p->turned[i * (size_t)set->c + k] = p->row[k * plane + i];
	out->data = p->turned;
	return NS_OK;
}
