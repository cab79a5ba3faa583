#define _POSIX_C_SOURCE 200809L
#include "datasets/predict/predict.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datasets/h5/h5.h"
#include "datasets/predict/npy_inner.h"
#include "host/base/base.h"

/* A file is open only while it is read: a window may have thousands, a process a thousand descriptors. */
struct ns_matrix_part {
	int64_t first, rows;
	char *path, *name;
	int64_t offset;	 /* of its values, read by pread; -1: by HDF5 */
	int each;	 /* bytes of a value */
	struct stat was; /* the file when it was looked at first */
};

#define LOOK (1 << 20) /* values that are read at a time where they are only checked */

struct ns_matrix_open { /* the part that HDF5 is reading: chunks are kept for those who read on */
	pthread_mutex_t lock;
	int part; /* -1: none */
	hid_t set;
};

void ns_matrix_release(struct ns_matrix *m)
{
	int i;

	for (i = 0; i < m->part_count; i++) {
		free(m->parts[i].path);
		free(m->parts[i].name);
	}
	if (m->open && m->open->part >= 0)
		ns_h5_set_close(m->open->set);
	if (m->open)
		pthread_mutex_destroy(&m->open->lock);
	free(m->open);
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

/* Appends a part, which is empty so far. */
static enum ns_status add_part(struct ns_matrix *m, const char *path, const char *name, const struct stat *st, struct ns_matrix_part **part)
{
	struct ns_matrix_part *more = realloc(m->parts, sizeof *more * (size_t)(m->part_count + 1)), *p;

	if (!more)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
	m->parts = more;
	p = &more[m->part_count++];
	*p = (struct ns_matrix_part){.first = m->rows, .each = 4, .path = strdup(path), .name = strdup(name)};
	*part = p;
	if (!m->open) {
		m->open = calloc(1, sizeof *m->open);
		if (!m->open)
			return ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
		pthread_mutex_init(&m->open->lock, NULL);
		m->open->part = -1;
	}
	if (!p->path || !p->name)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory", path);
	p->was = *st;
	return NS_OK;
}

/* Rows are read in several passes, and must be the same in each. */
static enum ns_status open_part(const struct ns_matrix_part *p, int *fd)
{
	struct stat now;
	enum ns_status status;

	NS_TRY(ns_open(fd, p->path, 0));
	status = fstat(*fd, &now) ? ns_io_error(p->path, "cannot stat") : ns_handle_same(p->path, &p->was, &now);
	if (status != NS_OK)
		close(*fd);
	return status;
}

enum ns_status ns_matrix_add_h5(struct ns_matrix *m, hid_t file, const char *path, const char *name, int64_t rows, const struct stat *st)
{
	struct ns_matrix_part *p;
	hsize_t dims[4];
	int rank;

	NS_TRY(ns_h5_shape(file, path, name, &rank, dims));
	if (rank != 2 || (int64_t)dims[0] != rows || dims[1] < 1 || dims[1] > 1 << 20 || (m->d && (int)dims[1] != m->d))
		return ns_fail(NS_BAD_DATA, "%s: %s: is of %d dimensions with %llu rows of %llu; expected 2 dimensions and %lld rows of %d", path,
			       name, rank, (unsigned long long)dims[0], rank > 1 ? (unsigned long long)dims[1] : 1, (long long)rows, m->d ? m->d : 1);
	NS_TRY(ns_h5_check_storage(file, path, name));
	NS_TRY(add_part(m, path, name, st, &p));
	p->offset = ns_h5_is(file, name, NS_H5_F32) ? ns_h5_offset(file, name) : -1;
	p->rows = rows;
	m->d = (int)dims[1];
	m->rows += rows;
	return NS_OK;
}

enum ns_status ns_matrix_add_npy(struct ns_matrix *m, const char *path)
{
	struct ns_matrix_part *p, shape;
	struct stat st;

	NS_TRY(ns_npy_shape(path, &shape.each, &shape.offset, &shape.rows, &m->d, &st));
	NS_TRY(add_part(m, path, "", &st, &p));
	p->each = shape.each;
	p->offset = shape.offset;
	p->rows = shape.rows;
	m->rows += p->rows;
	return NS_OK;
}

static enum ns_status read_plain(const struct ns_matrix_part *p, int fd, int d, int64_t at, int64_t n, float *out)
{
	size_t count = (size_t)n * (size_t)d, i;
	double *wide;
	enum ns_status status;

	if (p->each == 4)
		return ns_read_at(fd, p->path, out, 4 * count, (uint64_t)(p->offset + at * d * 4));
	wide = malloc(sizeof *wide * count + 1);
	if (!wide)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory for %zu values", p->path, count);
	status = ns_read_at(fd, p->path, wide, 8 * count, (uint64_t)(p->offset + at * d * 8));
	for (i = 0; status == NS_OK && i < count; i++) {
		out[i] = (float)wide[i];
		if (isinf(out[i]) && !isinf(wide[i]))
			status = ns_fail(NS_BAD_DATA, "%s: value %lld is %g, beyond a float of 4 bytes", p->path, (long long)at * d + (long long)i,
					 wide[i]);
	}
	free(wide);
	return status;
}

static enum ns_status open_set(const struct ns_matrix *m, int part)
{
	const struct ns_matrix_part *p = &m->parts[part];
	enum ns_status status;
	hid_t file;
	int fd;

	if (m->open->part == part)
		return NS_OK;
	if (m->open->part >= 0)
		ns_h5_set_close(m->open->set);
	m->open->part = -1;
	NS_TRY(open_part(p, &fd));
	status = ns_h5_open_fd(&file, p->path, fd);
	close(fd);
	NS_TRY(status);
	status = ns_h5_set_open(&m->open->set, file, p->path, p->name);
	ns_h5_file_close(file); /* the data set holds it */
	if (status == NS_OK)
		m->open->part = part;
	return status;
}

/* rows of one part, from its `at`th on */
static enum ns_status read_part(const struct ns_matrix *m, int part, int64_t at, int64_t n, float *out)
{
	const struct ns_matrix_part *p = &m->parts[part];
	enum ns_status status;
	int fd;

	if (p->offset >= 0) {
		NS_TRY(open_part(p, &fd));
		status = read_plain(p, fd, m->d, at, n, out);
		close(fd);
		return status;
	}
	pthread_mutex_lock(&m->open->lock);
	status = open_set(m, part);
	if (status == NS_OK)
		status = ns_h5_set_read(m->open->set, p->path, p->name, NS_H5_F32, (hsize_t)at, (hsize_t)n, out);
	pthread_mutex_unlock(&m->open->lock);
	return status;
}

enum ns_status ns_matrix_read(const struct ns_matrix *m, int64_t first, int64_t n, float *out)
{
	int i;

	if (first < 0 || n < 0 || first + n > m->rows)
		return ns_fail(NS_INVALID, "rows %lld to %lld are not in a matrix of %lld rows", (long long)first, (long long)(first + n),
			       (long long)m->rows);
	if (m->data)
		memcpy(out, m->data + first * m->d, sizeof *out * (size_t)n * (size_t)m->d);
	for (i = 0; !m->data && n && i < m->part_count; i++) {
		const struct ns_matrix_part *p = &m->parts[i];
		int64_t at = first - p->first, k = p->rows - at < n ? p->rows - at : n;

		if (at >= p->rows)
			continue;
		NS_TRY(read_part(m, i, at, k, out));
		out += k * m->d;
		first += k;
		n -= k;
	}
	return NS_OK;
}

enum ns_status ns_matrix_look(const struct ns_matrix *m, hid_t file)
{
	int64_t step = m->d && m->d < LOOK ? LOOK / m->d : 1, at, n;
	const struct ns_matrix_part *p = m->parts;
	enum ns_status status;
	float *rows;
	hid_t set;

	if (!m->part_count || p->offset >= 0)
		return NS_OK;
	rows = malloc(sizeof *rows * (size_t)(step * m->d));
	if (!rows)
		return ns_fail(NS_NO_MEMORY, "%s: out of memory while looking at %s", p->path, p->name);
	status = ns_h5_set_open(&set, file, p->path, p->name);
	for (at = 0; status == NS_OK && at < p->rows; at += n) {
		n = p->rows - at < step ? p->rows - at : step;
		status = ns_h5_set_read(set, p->path, p->name, NS_H5_F32, (hsize_t)at, (hsize_t)n, rows);
	}
	if (set >= 0)
		ns_h5_set_close(set);
	free(rows);
	return status;
}

struct wanted {
	int64_t row, at;
};

static int by_row(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return (x->row > y->row) - (x->row < y->row);
}

#define BLOCK (1 << 18) /* values that are read at a time where each single row would cost a chunk */

/* Picks rows of one part, whose file is opened once. */
static enum ns_status pick_plain(const struct ns_matrix *m, int part, const struct wanted *sorted, int64_t n, float *out)
{
	const struct ns_matrix_part *p = &m->parts[part];
	enum ns_status status;
	int64_t i;
	int fd;

	NS_TRY(open_part(p, &fd));
	for (status = NS_OK, i = 0; status == NS_OK && i < n; i++)
		status = read_plain(p, fd, m->d, sorted[i].row - p->first, 1, out + sorted[i].at * m->d);
	close(fd);
	return status;
}

/* Picks rows that must be unpacked: block by block, so that each chunk is unpacked once. */
static enum ns_status pick_packed(const struct ns_matrix *m, int part, const struct wanted *sorted, int64_t n, float *out)
{
	const struct ns_matrix_part *p = &m->parts[part];
	int64_t rows = m->d < BLOCK ? BLOCK / m->d : 1, begin = 0, end = 0, i;
	size_t bytes = sizeof *out * (size_t)m->d;
	float *block = malloc(bytes * (size_t)rows);
	enum ns_status status = block ? NS_OK : ns_fail(NS_NO_MEMORY, "out of memory for rows of %d values", m->d);

	for (i = 0; status == NS_OK && i < n; i++) {
		int64_t row = sorted[i].row - p->first;

		if (row < begin || row >= end) {
			begin = row;
			end = begin + rows < p->rows ? begin + rows : p->rows;
			status = read_part(m, part, begin, end - begin, block);
		}
		if (status == NS_OK)
			memcpy(out + sorted[i].at * m->d, block + (row - begin) * m->d, bytes);
	}
	free(block);
	return status;
}

/* `sorted` by row: part by part */
static enum ns_status pick_in_order(const struct ns_matrix *m, const struct wanted *sorted, int64_t n, float *out)
{
	int64_t i, k;
	int part;

	for (i = 0; m->data && i < n; i++)
		memcpy(out + sorted[i].at * m->d, m->data + sorted[i].row * m->d, sizeof *out * (size_t)m->d);
	for (i = 0, part = 0; !m->data && i < n && part < m->part_count; part++, i = k) {
		const struct ns_matrix_part *p = &m->parts[part];

		for (k = i; k < n && sorted[k].row < p->first + p->rows;)
			k++;
		if (k > i)
			NS_TRY((p->offset >= 0 ? pick_plain : pick_packed)(m, part, sorted + i, k - i, out));
	}
	return NS_OK;
}

enum ns_status ns_matrix_pick(const struct ns_matrix *m, const int64_t *row, int64_t n, float *out)
{
	struct wanted *sorted = malloc(sizeof *sorted * (size_t)(n + 1));
	enum ns_status status = NS_OK;
	int64_t i;

	if (!sorted)
		return ns_fail(NS_NO_MEMORY, "out of memory for the order of %lld rows", (long long)n);
	for (i = 0; i < n && status == NS_OK; i++) {
		sorted[i] = (struct wanted){row[i], i};
		if (row[i] < 0 || row[i] >= m->rows)
			status = ns_fail(NS_INVALID, "row %lld is not in a matrix of %lld rows", (long long)row[i], (long long)m->rows);
	}
	if (status == NS_OK) {
		qsort(sorted, (size_t)n, sizeof *sorted, by_row);
		status = pick_in_order(m, sorted, n, out);
	}
	free(sorted);
	return status;
}
