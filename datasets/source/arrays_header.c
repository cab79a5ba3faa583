/* datasets/source/arrays_header.c - NumPy's headers: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#define _POSIX_C_SOURCE 200809L
#include "datasets/source/arrays_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX ((size_t)1 << 20) /* only arrays of records have long ones */

enum ns_status ns_array_preamble(const char *where, const uint8_t head[NS_ARRAY_PREAMBLE], size_t *offset, size_t *bytes)
{
	if (memcmp(head, "\x93NUMPY", 6))
		return ns_fail(NS_BAD_DATA, "%s: starts %02x%02x%02x%02x%02x%02x, expected 934e554d5059, as numpy.save() writes", where, head[0],
			       head[1], head[2], head[3], head[4], head[5]);
	if (head[6] < 1 || head[6] > 3)
		return ns_fail(NS_BAD_DATA, "%s: is of version %d of NumPy's format, expected 1 to 3", where, head[6]);
	*offset = head[6] == 1 ? 10 : 12;
	*bytes = head[8] | (size_t)head[9] << 8 | (head[6] == 1 ? 0 : (size_t)head[10] << 16 | (size_t)head[11] << 24);
	if (*bytes > HEADER_MAX || *bytes < 2)
		return ns_fail(NS_BAD_DATA, "%s: claims a header of %zu bytes, expected 2 to %zu", where, *bytes, HEADER_MAX);
	return NS_OK;
}

static const char *blanks(const char *at)
{
	return at + strspn(at, " \t\r\n");
}

/* A text in quotes at `at`; NULL where none is there. What does not fit is cut. */
static const char *quoted(const char *at, char *text, size_t size)
{
	char quote = *at;
	const char *end = quote == '\'' || quote == '"' ? strchr(at + 1, quote) : NULL;

	if (!end)
		return NULL;
	snprintf(text, size, "%.*s", (int)(end - at - 1), at + 1);
	return end + 1;
}

/* The end of a list in brackets; the texts in it may hold brackets. */
static const char *end_of_list(const char *at)
{
	int depth = 0;
	char text[2];

	while (*at) {
		if (*at == '\'' || *at == '"') {
			if (!(at = quoted(at, text, sizeof text)))
				return NULL;
			continue;
		}
		depth += (*at == '[' || *at == '(') - (*at == ']' || *at == ')');
		at++;
		if (!depth)
			return at;
	}
	return NULL;
}

static const char *read_type(const char *at, struct ns_array *a)
{
	char code[24];
	char *end;
	long n;

	if (*at == '[' || *at == '(') {
		a->kind = '?';
		snprintf(a->type, sizeof a->type, "records");
		return end_of_list(at);
	}
	at = quoted(at, code, sizeof code);
	if (!at || !strchr("<>|=", *code) || !*code || !code[1])
		return NULL;
	n = strtol(code + 2, &end, 10);
	a->kind = *end || n < 0 || n > 1 << 24 || !strchr("uibfSUO", code[1]) ? '?' : code[1];
	a->big = *code == '>';
	a->bytes = a->kind == '?' ? 0 : a->kind == 'U' ? 4 * (int)n : (int)n;
	if (a->kind == 'u' || a->kind == 'i' || a->kind == 'f')
		snprintf(a->type, sizeof a->type, "%s%ld", a->kind == 'u' ? "uint" : a->kind == 'i' ? "int" : "float", 8 * n);
	else
		snprintf(a->type, sizeof a->type, "%s", a->kind == 'O' ? "object" : a->kind == 'b' ? "bool" : code);
	return at;
}

static const char *read_shape(const char *at, struct ns_array *a)
{
	if (*at++ != '(')
		return NULL;
	for (a->rank = 0, at = blanks(at); *at != ')'; at = blanks(at)) {
		size_t digits = strspn(at, "0123456789");

		if (!digits || digits > 18 || a->rank == 1000)
			return NULL;
		if (a->rank < NS_ARRAY_RANK)
			a->dims[a->rank] = strtoll(at, NULL, 10);
		a->rank++;
		at += digits;
		at = blanks(at + (*at == 'L')); /* as Python 2 wrote long integers */
		if (*at == ',')
			at++;
		else if (*at != ')')
			return NULL;
	}
	return at + 1;
}

static const char *read_order(const char *at, struct ns_array *a)
{
	a->fortran = !strncmp(at, "True", 4);
	return a->fortran ? at + 4 : !strncmp(at, "False", 5) ? at + 5 : NULL;
}

enum ns_status ns_array_header(const char *where, const char *text, struct ns_array *a)
{
	static const struct {
		const char *key;
		const char *(*read)(const char *at, struct ns_array *a);
	} members[] = {{"descr", read_type}, {"fortran_order", read_order}, {"shape", read_shape}};
	const char *at = blanks(text);
	int seen = 0;

	at = *at == '{' ? at + 1 : NULL;
	while (at && *(at = blanks(at)) != '}') {
		char key[16] = "";
		size_t i;

		at = quoted(at, key, sizeof key);
		at = at ? blanks(at) : NULL;
		if (!at || *at != ':')
			break;
		at = blanks(at + 1);
		for (i = 0; i < 3 && strcmp(members[i].key, key); i++)
			;
		at = i < 3 ? members[i].read(at, a) : NULL;
		seen |= 1 << i;
		at = at ? blanks(at) : NULL;
		if (at && *at == ',')
			at++;
		else if (at && *at != '}')
			break;
	}
	if (!at || *at != '}' || seen != 7)
		return ns_fail(NS_BAD_DATA, "%s: has the header %.100s, expected {'descr': .., 'fortran_order': .., 'shape': (..)}", where, text);
	return NS_OK;
}

int64_t ns_array_bytes(const struct ns_array *a)
{
	int64_t n = a->bytes;
	int i;

	for (i = 0; i < a->rank && i < NS_ARRAY_RANK; i++)
		if (!a->dims[i])
			return 0;
	for (i = 0; i < a->rank && i < NS_ARRAY_RANK; i++) {
		if (n > ((int64_t)1 << 62) / a->dims[i])
			return -1;
		n *= a->dims[i];
	}
	return n;
}

const char *ns_array_said(const struct ns_array *a, char said[NS_ARRAY_SAID])
{
	int at = snprintf(said, NS_ARRAY_SAID, "%s (", a->type), i;

	for (i = 0; i < a->rank && i < NS_ARRAY_RANK; i++)
		at += snprintf(said + at, (size_t)(NS_ARRAY_SAID - at), "%s%lld", i ? ", " : "", (long long)a->dims[i]);
	snprintf(said + at, (size_t)(NS_ARRAY_SAID - at), "%s", a->rank > NS_ARRAY_RANK ? ", ...)" : a->rank == 1 ? ",)" : ")");
	return said;
}
