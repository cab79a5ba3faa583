/*
 * datasets/h5/names.c - lists of names, as of classes: few of them as an attribute, many as a data set. An attribute of more than 64 KiB fits
 * into no object header: libhdf5 moves all of the root's into a heap, which fewer programs read; it is read whole, and no checksum covers it.
 * The data set has a fixed length for each name, as the attribute has (see text.c).
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>

#include "datasets/h5/h5_inner.h"
#include "host/base/base.h"

#define ATTRIBUTE_MOST 64000		  /* bytes of all names, padded; with the attribute's own description below 65536 */
#define PLAIN_MOST     ((size_t)64 << 20) /* beyond it they are packed: one long name among a million pads gigabytes */
#define BAND	       ((size_t)1 << 20)  /* bytes that are read or written at once; of a chunk, too */
#define VARIABLE_ROWS  ((hsize_t)1024)	  /* names of any length that are read at once */

static size_t longest_of(const char *const *names, int n)
{
	size_t size = 1, len; /* HDF5 has no text of size 0 */
	int i;

	for (i = 0; i < n; i++)
		size = (len = strlen(names[i])) > size ? len : size;
	return size;
}

size_t ns_h5_names_size(const char *const *names, int n)
{
	size_t size = longest_of(names, n);

	return size * (size_t)n > ATTRIBUTE_MOST ? size : 0;
}

enum ns_status ns_h5_names_fit(const char *const *names, int n, const char *where, const char *what)
{
	int i;

	if (n > NS_NAMES_MOST)
		return ns_fail(NS_BAD_DATA, "%s: has %d %s, expected at most %d", where, n, what, NS_NAMES_MOST);
	for (i = 0; i < n; i++)
		if (strlen(names[i]) > NS_NAME_BYTES)
			return ns_fail(NS_BAD_DATA, "%s: name %d of its %s has %zu bytes, expected at most %d: '%.40s...'", where, i, what,
				       strlen(names[i]), NS_NAME_BYTES, names[i]);
	return NS_OK;
}

void ns_h5_names_pad(const char *const *names, size_t size, size_t first, size_t n, char *out)
{
	size_t at = first / size, skip = first % size;

	for (; n; at++, skip = 0) {
		size_t len = strlen(names[at]), bytes = size - skip < n ? size - skip : n, text = len > skip ? len - skip : 0;

		text = text < bytes ? text : bytes;
		memcpy(out, names[at] + skip, text);
		memset(out + text, 0, bytes - text);
		out += bytes;
		n -= bytes;
	}
}

/* --- writing --- */

static hid_t how_to_store(size_t size, hsize_t n)
{
	hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
	hsize_t rows = BAND / size;

	H5Pset_obj_track_times(plist, 0); /* the same names make the same bytes */
	H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER);
	if (size * n <= PLAIN_MOST || H5Zfilter_avail(H5Z_FILTER_DEFLATE) <= 0) {
		H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY);
		return plist;
	}
	H5Pset_chunk(plist, 1, &rows);
	H5Pset_deflate(plist, 1);
	return plist;
}

static int write_bands(hid_t set, hid_t type, const char *const *names, size_t size, hsize_t n)
{
	hsize_t rows = BAND / size < n ? BAND / size : n, at;
	char *band = malloc(rows * size);
	hid_t space = H5Dget_space(set), memory;
	int ok = band != NULL;

	for (at = 0; ok && at < n; at += rows) {
		rows = n - at < rows ? n - at : rows;
		ns_h5_names_pad(names, size, at * size, rows * size, band);
		memory = H5Screate_simple(1, &rows, NULL);
		H5Sselect_hyperslab(space, H5S_SELECT_SET, &at, NULL, &rows, NULL);
		ok = H5Dwrite(set, type, memory, space, H5P_DEFAULT, band) >= 0;
		H5Sclose(memory);
	}
	H5Sclose(space);
	free(band);
	return ok;
}

static enum ns_status write_set(hid_t file, const char *path, const char *name, const char *const *names, int n, size_t size)
{
	hsize_t count = (hsize_t)n;
	hid_t space = H5Screate_simple(1, &count, NULL), plist = how_to_store(size, count), type = ns_h5_text_type(size);
	hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	int ok = set >= 0 && write_bands(set, type, names, size, count);

	if (set >= 0 && H5Dclose(set) < 0)
		ok = 0;
	H5Tclose(type);
	H5Pclose(plist);
	H5Sclose(space);
	return ok ? NS_OK : ns_h5_failed(path, name, "write (is the disk full?)");
}

enum ns_status ns_h5_write_names(hid_t file, const char *path, const char *attribute, const char *set, const char *const *names, int n)
{
	size_t size = ns_h5_names_size(names, n);

	NS_TRY(ns_h5_names_fit(names, n, path, attribute));
	return size ? write_set(file, path, set, names, n, size) : ns_h5_set_texts(file, path, "/", attribute, names, n);
}

/* --- reading --- */

struct names { /* a data set of names that is being read */
	hid_t set, type, space;
	const char *path, *name;
	hsize_t n, chunk; /* chunk: rows of one, else 0 */
	size_t size;	  /* of each; 0: of any length */
	char **out;
};

/* One dimension, up to NS_NAMES_MOST texts of up to NS_NAME_BYTES; no foreign filter; and the file holds what the data set claims. */
static enum ns_status judge(struct names *x)
{
	hid_t plist = H5Dget_create_plist(x->set);
	hsize_t stored = H5Dget_storage_size(x->set), bytes;
	enum ns_status status = NS_OK;
	int rank = H5Sget_simple_extent_ndims(x->space);

	if (H5Tget_class(x->type) != H5T_STRING)
		NS_GO(ns_fail(NS_BAD_DATA, "%s: %s: holds no texts, expected UTF-8 strings", x->path, x->name));
	x->size = H5Tis_variable_str(x->type) > 0 ? 0 : H5Tget_size(x->type);
	if (x->size > NS_NAME_BYTES)
		NS_GO(ns_fail(NS_BAD_DATA, "%s: %s: holds texts of %zu bytes, expected at most %d", x->path, x->name, x->size, NS_NAME_BYTES));
	if (rank != 1)
		NS_GO(ns_fail(NS_BAD_DATA, "%s: %s: has %d dimensions, expected 1", x->path, x->name, rank));
	H5Sget_simple_extent_dims(x->space, &x->n, NULL);
	if (x->n > NS_NAMES_MOST)
		NS_GO(ns_fail(NS_BAD_DATA, "%s: %s: claims %llu names, expected at most %d", x->path, x->name, (unsigned long long)x->n,
			      NS_NAMES_MOST));
	NS_GO(ns_h5_refuse_filters(plist, x->path, x->name));
	NS_GO(ns_h5_refuse_chunks(plist, x->type, x->path, x->name));
	bytes = x->n * H5Tget_size(x->type);
	if (stored < bytes / 1100) /* deflate packs at most 1032 to 1 */
		NS_GO(ns_fail(NS_BAD_DATA, "%s: %s: claims %llu bytes, but stores %llu", x->path, x->name, (unsigned long long)bytes,
			      (unsigned long long)stored));
	if (H5Pget_layout(plist) == H5D_CHUNKED)
		H5Pget_chunk(plist, 1, &x->chunk);
out:
	H5Pclose(plist);
	return status;
}

/* A copy of each name of a band; HDF5's own memory goes back to it. */
static enum ns_status take(const struct names *x, hsize_t at, hsize_t rows, void *band)
{
	H5T_str_t pad = H5Tget_strpad(x->type);
	hsize_t i;

	for (i = 0; i < rows; i++) {
		const char *text = x->size ? (const char *)band + i * x->size : ((char **)band)[i];
		size_t len = x->size ? x->size : text ? strnlen(text, NS_NAME_BYTES + 1) : 0;

		if (len > NS_NAME_BYTES)
			return ns_fail(NS_BAD_DATA, "%s: %s[%llu]: has more than %d bytes, expected no more", x->path, x->name,
				       (unsigned long long)(at + i), NS_NAME_BYTES);
		x->out[at + i] = text ? ns_h5_text_of(text, len, x->size ? pad : H5T_STR_NULLTERM) : strdup("");
		if (!x->out[at + i])
			return ns_fail(NS_NO_MEMORY, "%s: %s: out of memory for %llu names", x->path, x->name, (unsigned long long)x->n);
	}
	return NS_OK;
}

/* Whole chunks, so that each is unpacked once. */
static enum ns_status read_bands(const struct names *x)
{
	hsize_t most = x->size ? BAND / x->size : VARIABLE_ROWS, rows = most > x->chunk ? most : x->chunk, at;
	size_t each = x->size ? x->size : sizeof(char *);
	enum ns_status status = NS_OK;
	hid_t memory;
	char *band;

	rows = rows < x->n ? rows : x->n;
	band = calloc(rows + 1, each);
	if (!band)
		return ns_fail(NS_NO_MEMORY, "%s: %s: out of memory for %llu names", x->path, x->name, (unsigned long long)x->n);
	for (at = 0; status == NS_OK && at < x->n; at += rows) {
		rows = x->n - at < rows ? x->n - at : rows;
		memory = H5Screate_simple(1, &rows, NULL);
		H5Sselect_hyperslab(x->space, H5S_SELECT_SET, &at, NULL, &rows, NULL);
		memset(band, 0, (rows + 1) * each); /* what was given back must not be given back again */
		if (H5Dread(x->set, x->type, memory, x->space, H5P_DEFAULT, band) < 0)
			status = ns_fail(NS_BAD_DATA, "%s: %s: cannot be read, it is damaged", x->path, x->name);
		else
			status = take(x, at, rows, band);
		if (!x->size)
			H5Dvlen_reclaim(x->type, memory, H5P_DEFAULT, band);
		H5Sclose(memory);
	}
	free(band);
	return status;
}

static enum ns_status read_set(hid_t file, const char *path, const char *name, char ***names, int *n, size_t *size)
{
	struct names x = {.path = path, .name = name};
	enum ns_status status;

	NS_TRY(ns_h5_open_hard(&x.set, file, path, name));
	x.type = H5Dget_type(x.set);
	x.space = H5Dget_space(x.set);
	NS_GO(judge(&x));
	x.out = calloc(x.n + 1, sizeof *x.out);
	NS_GO(x.out ? read_bands(&x) : ns_fail(NS_NO_MEMORY, "%s: %s: out of memory for its names", path, name));
	*names = x.out;
	*n = (int)x.n;
	*size = x.size ? x.size : longest_of((const char *const *)x.out, *n);
out:
	if (status != NS_OK)
		ns_texts_free(x.out, (int)x.n);
	H5Sclose(x.space);
	H5Tclose(x.type);
	H5Dclose(x.set);
	return status;
}

enum ns_status ns_h5_read_names(hid_t file, const char *path, const char *attribute, const char *set, char ***names, int *n, size_t *size)
{
	int as_attribute = H5Aexists(file, attribute) > 0, as_set = ns_h5_has(file, set);

	*names = NULL;
	*n = 0;
	*size = 0;
	if (as_attribute && as_set)
		return ns_fail(NS_BAD_DATA, "%s: has both an attribute '%s' and a data set '%s', expected one of them", path, attribute, set);
	if (as_set)
		return read_set(file, path, set, names, n, size);
	return as_attribute ? ns_h5_get_texts(file, path, "/", attribute, names, n) : NS_OK;
}
