#define _POSIX_C_SOURCE 200809L
#include "datasets/matrix.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/h5.h"
#include "datasets/npy.h"
#include "host/file.h"

struct ns_matrix_part {
	int64_t first, rows;
	char *path, *name;
	int fd;		 /* read by pread where it is not -1 */
	int64_t offset;
	int each;	 /* bytes of a value */
	hid_t set;	 /* else by HDF5 */
};

void ns_matrix_release(struct ns_matrix *m)
{
	int i;

	for (i = 0; i < m->part_count; i++) {
		if (m->parts[i].fd >= 0)
			close(m->parts[i].fd);
		if (m->parts[i].set >= 0)
			ns_h5_set_close(m->parts[i].set);
		free(m->parts[i].path);
		free(m->parts[i].name);
	}
	free(m->parts);
	free(m->data);
	memset(m, 0, sizeof *m);
}

const char *ns_matrix_path(const struct ns_matrix *m, int64_t row)
{
	int i;

	for (i = 0; i < m->part_count; i++)
		if (row < m->parts[i].first + m->parts[i].rows)
			return m->parts[i].path;
	return "";
}

/* room for another part, which is empty so far */
static enum ns_status add_part(struct ns_matrix *m, const char *path, const char *name, struct ns_matrix_part **part)
{
	struct ns_matrix_part *more = realloc(m->parts, sizeof *more * (size_t)(m->part_count + 1)), *p;

	if (!more)
		return ns_fail(NS_NO_MEMORY, "%s: no memory", path);
	m->parts = more;
	p = &more[m->part_count++];
	*p = (struct ns_matrix_part){.first = m->rows, .fd = -1, .set = -1, .each = 4, .path = strdup(path), .name = strdup(name)};
	*part = p;
	return p->path && p->name ? NS_OK : ns_fail(NS_NO_MEMORY, "%s: no memory", path);
}

static enum ns_status open_part(struct ns_matrix_part *p)
{
	p->fd = open(p->path, O_RDONLY | O_CLOEXEC);
	return p->fd < 0 ? ns_fail(NS_IO, "%s: cannot open the file", p->path) : NS_OK;
}

enum ns_status ns_matrix_add_h5(struct ns_matrix *m, hid_t file, const char *path, const char *name, int64_t rows)
{
	struct ns_matrix_part *p;
	hsize_t dims[4];
	int rank;

	NS_TRY(ns_h5_shape(file, path, name, &rank, dims));
	if (rank != 2 || (int64_t)dims[0] != rows || dims[1] < 1 || dims[1] > 1 << 20 || (m->d && (int)dims[1] != m->d))
		return ns_fail(NS_BAD_DATA, "%s: %s: is of %d dimensions with %llu rows of %llu; 2 dimensions and %lld rows of %d are wanted", path, name,
			       rank, (unsigned long long)dims[0], rank > 1 ? (unsigned long long)dims[1] : 1, (long long)rows, m->d ? m->d : 1);
	NS_TRY(ns_h5_backed(file, path, name));
	NS_TRY(add_part(m, path, name, &p));
	p->offset = ns_h5_is(file, name, NS_H5_F32) ? ns_h5_offset(file, name) : -1;
	if (p->offset >= 0)
		NS_TRY(open_part(p));
	else
		NS_TRY(ns_h5_set_open(&p->set, file, path, name));
	p->rows = rows;
	m->d = (int)dims[1];
	m->rows += rows;
	return NS_OK;
}

enum ns_status ns_matrix_add_npy(struct ns_matrix *m, const char *path)
{
	struct ns_matrix_part *p;

	NS_TRY(add_part(m, path, "", &p));
	NS_TRY(ns_npy_shape(path, &p->each, &p->offset, &p->rows, &m->d));
	m->rows += p->rows;
	return open_part(p);
}

/* rows of one part, from its `at`th on */
static enum ns_status read_part(const struct ns_matrix_part *p, int d, int64_t at, int64_t n, float *out)
{
	size_t count = (size_t)n * (size_t)d, i;
	double *wide;
	enum ns_status status;

	if (p->fd < 0)
		return ns_h5_set_read(p->set, p->path, p->name, NS_H5_F32, (hsize_t)at, (hsize_t)n, out);
	if (p->each == 4)
		return ns_read_at(p->fd, p->path, out, 4 * count, (uint64_t)(p->offset + at * d * 4));
	wide = malloc(sizeof *wide * count + 1);
	if (!wide)
		return ns_fail(NS_NO_MEMORY, "%s: no memory for %zu values", p->path, count);
	status = ns_read_at(p->fd, p->path, wide, 8 * count, (uint64_t)(p->offset + at * d * 8));
	for (i = 0; status == NS_OK && i < count; i++)
		out[i] = (float)wide[i];
	free(wide);
	return status;
}

enum ns_status ns_matrix_read(const struct ns_matrix *m, int64_t first, int64_t n, float *out)
{
	int i;

	if (first < 0 || n < 0 || first + n > m->rows)
		return ns_fail(NS_INVALID, "rows %lld to %lld of a matrix of %lld", (long long)first, (long long)(first + n), (long long)m->rows);
	if (m->data)
		memcpy(out, m->data + first * m->d, sizeof *out * (size_t)n * (size_t)m->d);
	for (i = 0; !m->data && n && i < m->part_count; i++) {
		const struct ns_matrix_part *p = &m->parts[i];
		int64_t at = first - p->first, k = p->rows - at < n ? p->rows - at : n;

		if (at >= p->rows)
			continue;
		NS_TRY(read_part(p, m->d, at, k, out));
		out += k * m->d;
		first += k;
		n -= k;
	}
	return NS_OK;
}

struct wanted {
	int64_t row, at;
};

static int by_row(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

#define BLOCK (1 << 18) /* values that are read at once where single rows would each cost a chunk */

/* `sorted` by row; whatever must be unpacked is so once, block by block */
static enum ns_status pick_in_order(const struct ns_matrix *m, const struct wanted *sorted, int64_t n, float *out)
{
	int64_t rows = m->d < BLOCK ? BLOCK / m->d : 1, begin = 0, end = 0, i;
	size_t bytes = sizeof *out * (size_t)m->d;
	float *block = malloc(bytes * (size_t)rows);
	enum ns_status status = block ? NS_OK : ns_fail(NS_NO_MEMORY, "no memory for rows of %d values", m->d);
	int part = 0;

	for (i = 0; status == NS_OK && i < n; i++) {
		int64_t row = sorted[i].row;

		while (!m->data && row >= m->parts[part].first + m->parts[part].rows)
			part++;
		if (m->data || m->parts[part].fd >= 0) {
			status = ns_matrix_read(m, row, 1, out + sorted[i].at * m->d);
			continue;
		}
		if (row < begin || row >= end) {
			begin = row;
			end = begin + rows < m->rows ? begin + rows : m->rows;
			status = ns_matrix_read(m, begin, end - begin, block);
		}
		if (status == NS_OK)
			memcpy(out + sorted[i].at * m->d, block + (row - begin) * m->d, bytes);
	}
	free(block);
	return status;
}

enum ns_status ns_matrix_pick(const struct ns_matrix *m, const int64_t *row, int64_t n, float *out)
{
	struct wanted *sorted = malloc(sizeof *sorted * (size_t)(n + 1));
	enum ns_status status = NS_OK;
	int64_t i;

	if (!sorted)
		return ns_fail(NS_NO_MEMORY, "no memory for the order of %lld rows", (long long)n);
	for (i = 0; i < n && status == NS_OK; i++) {
		sorted[i] = (struct wanted){row[i], i};
		if (row[i] < 0 || row[i] >= m->rows)
			status = ns_fail(NS_INVALID, "row %lld of a matrix of %lld", (long long)row[i], (long long)m->rows);
	}
	if (status == NS_OK) {
		qsort(sorted, (size_t)n, sizeof *sorted, by_row);
		status = pick_in_order(m, sorted, n, out);
	}
	free(sorted);
	return status;
}
