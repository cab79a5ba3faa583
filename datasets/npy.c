#define _POSIX_C_SOURCE 200809L
#include "datasets/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/file.h"

/* the text behind 'key': of the header's dictionary, or NULL */
static const char *value_of(const char *header, const char *key)
{
	const char *at = strstr(header, key);

	at = at ? strchr(at, ':') : NULL;
	return at ? at + 1 + strspn(at + 1, " ") : NULL;
}

/* `text` is the header, ended by 0 */
static enum ns_status read_header(const char *path, const char *text, int *each, int64_t *rows, int *columns)
{
	const char *type = value_of(text, "'descr'"), *order = value_of(text, "'fortran_order'"), *shape = value_of(text, "'shape'");
	long long n = 0, d = 0;
	int used = 0;

	if (!type || !order || !shape)
		return ns_fail(NS_BAD_DATA, "%s: its header names no descr, fortran_order and shape", path);
	*each = !strncmp(type, "'<f4'", 5) ? 4 : !strncmp(type, "'<f8'", 5) ? 8 : 0;
	if (!*each)
		return ns_fail(NS_BAD_DATA, "%s: descr is %.12s, wanted '<f4' or '<f8'", path, type);
	if (strncmp(order, "False", 5))
		return ns_fail(NS_BAD_DATA, "%s: is in Fortran's order; numpy.ascontiguousarray() turns it", path);
	if (sscanf(shape, "(%lld, %lld%n", &n, &d, &used) != 2 || shape[used] != ')' || n < 0 || d < 1 || d > 1 << 20)
		return ns_fail(NS_BAD_DATA, "%s: shape is %.24s, a matrix (rows, columns) is wanted", path, shape);
	*rows = n;
	*columns = (int)d;
	return NS_OK;
}

static enum ns_status convert(const char *path, const char *data, size_t bytes, int each, int64_t rows, int columns, float **x)
{
	size_t count = (size_t)rows * (size_t)columns, i;

	if ((rows && count / (size_t)rows != (size_t)columns) || bytes / (size_t)each < count || bytes != count * (size_t)each)
		return ns_fail(NS_BAD_DATA, "%s: holds %zu bytes of values, %lld x %d of %d bytes are wanted", path, bytes, (long long)rows, columns,
			       each);
	*x = malloc(sizeof **x * count + 1);
	if (!*x)
		return ns_fail(NS_NO_MEMORY, "%s: no memory for %zu values", path, count);
	if (each == 4)
		memcpy(*x, data, bytes);
	for (i = 0; each == 8 && i < count; i++) {
		double v;

		memcpy(&v, data + 8 * i, 8);
		(*x)[i] = (float)v;
	}
	return NS_OK;
}

enum ns_status ns_npy_read(const char *path, float **x, int64_t *rows, int *columns)
{
	char *file, *header = NULL;
	size_t bytes, at, length = 0;
	int each = 0;
	enum ns_status status = NS_OK;

	*x = NULL;
	NS_TRY(ns_read_file(path, &file, &bytes));
	if (bytes < 12 || memcmp(file, "\x93NUMPY", 6) || file[6] < 1 || file[6] > 3) {
		status = ns_fail(NS_BAD_DATA, "%s: is no file of numpy.save()", path);
	} else {
		const unsigned char *b = (const unsigned char *)file + 8;

		at = file[6] == 1 ? 10 : 12;
		length = file[6] == 1 ? b[0] | (size_t)b[1] << 8 : b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
		if (length > bytes - at)
			status = ns_fail(NS_BAD_DATA, "%s: ends inside its header", path);
		else if (!(header = strndup(file + at, length)))
			status = ns_fail(NS_NO_MEMORY, "%s: no memory for its header", path);
		if (status == NS_OK)
			status = read_header(path, header, &each, rows, columns);
		if (status == NS_OK)
			status = convert(path, file + at + length, bytes - at - length, each, *rows, *columns, x);
	}
	free(header);
	free(file);
	return status;
}
