#define _POSIX_C_SOURCE 200809L
#include "datasets/predict/npy_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/base.h"

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
		return ns_fail(NS_BAD_DATA, "%s: descr is %.12s, expected '<f4' or '<f8'", path, type);
	if (strncmp(order, "False", 5))
		return ns_fail(NS_BAD_DATA, "%s: is in Fortran order, expected C order; numpy.ascontiguousarray() converts it", path);
	if (sscanf(shape, "(%lld, %lld%n", &n, &d, &used) != 2 || shape[used] != ')' || n < 0 || d < 1 || d > 1 << 20)
		return ns_fail(NS_BAD_DATA, "%s: shape is %.24s, expected a matrix (rows, columns)", path, shape);
	*rows = n;
	*columns = (int)d;
	return NS_OK;
}

static enum ns_status read_shape(int fd, const char *path, const struct stat *st, int *each, int64_t *offset, int64_t *rows, int *columns)
{
	unsigned char head[12];
	char *header = NULL;
	size_t at, length;
	enum ns_status status;

	if (st->st_size < (off_t)sizeof head)
		return ns_fail(NS_BAD_DATA, "%s: is not a file of numpy.save()", path);
	NS_TRY(ns_read_at(fd, path, head, sizeof head, 0));
	if (memcmp(head, "\x93NUMPY", 6) || head[6] < 1 || head[6] > 3)
		return ns_fail(NS_BAD_DATA, "%s: is not a file of numpy.save()", path);
	at = head[6] == 1 ? 10 : 12;
	length = head[8] | (size_t)head[9] << 8 | (head[6] == 1 ? 0 : (size_t)head[10] << 16 | (size_t)head[11] << 24);
	if (length > (size_t)st->st_size - at)
		return ns_fail(NS_BAD_DATA, "%s: ends inside its header", path);
	header = calloc(1, length + 1);
	NS_GO(header ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: out of memory for its header", path));
	NS_GO(ns_read_at(fd, path, header, length, at));
	NS_GO(read_header(path, header, each, rows, columns));
	*offset = (int64_t)(at + length);
	/* rows and columns are below 2^63 and 2^20: compared by division */
	if ((st->st_size - *offset) % (*columns * *each) || (st->st_size - *offset) / (*columns * *each) != *rows)
		status = ns_fail(NS_BAD_DATA, "%s: holds %lld bytes of values, expected %lld x %d of %d bytes", path,
				 (long long)(st->st_size - *offset), (long long)*rows, *columns, *each);
out:
	free(header);
	return status;
}

enum ns_status ns_npy_shape(const char *path, int *each, int64_t *offset, int64_t *rows, int *columns, struct stat *st)
{
	enum ns_status status;
	int fd;

	NS_TRY(ns_open(&fd, path, 0));
	status = fstat(fd, st) ? ns_io_error(path, "cannot stat") : read_shape(fd, path, st, each, offset, rows, columns);
	close(fd);
	return status;
}
