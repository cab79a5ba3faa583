#define _POSIX_C_SOURCE 200809L
#include "datasets/h5.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "host/file.h"

static hid_t native(enum ns_h5_type type)
{
	switch (type) {
	case NS_H5_U8:
		return H5T_NATIVE_UINT8;
	case NS_H5_I32:
		return H5T_NATIVE_INT32;
	case NS_H5_U32:
		return H5T_NATIVE_UINT32;
	case NS_H5_I64:
		return H5T_NATIVE_INT64;
	case NS_H5_U64:
		return H5T_NATIVE_UINT64;
	case NS_H5_F32:
		break;
	}
	return H5T_NATIVE_FLOAT;
}

static size_t bytes_of(enum ns_h5_type type)
{
	return type == NS_H5_U8 ? 1 : type == NS_H5_I64 || type == NS_H5_U64 ? 8 : 4;
}

static enum ns_status failed(const char *path, const char *name, const char *what)
{
	return ns_fail(NS_IO, "%s: %s: HDF5 cannot %s it", path, name, what);
}

/*
 * Failures are told in our own words; and HDF5 does not flush at exit what a full disk refused before (it crashes there):
 * every file is closed by us.
 */
static void settle(void)
{
	H5dont_atexit();
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

/* Workers read chunked files at once, and a cluster's HDF5 is often built without its own lock: the library has one state. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

enum ns_status ns_h5_open(hid_t *file, const char *path)
{
	if (!ns_path_exists(path))
		return ns_fail(NS_IO, "%s: no such file", path);
	pthread_mutex_lock(&one_at_a_time);
	settle();
	*file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	pthread_mutex_unlock(&one_at_a_time);
	if (*file < 0)
		return ns_fail(NS_BAD_DATA, "%s: is not an HDF5 file, or is truncated", path);
	return NS_OK;
}

enum ns_status ns_h5_create(hid_t *file, const char *path)
{
	hid_t access;

	settle();
	access = H5Pcreate(H5P_FILE_ACCESS);
	H5Pset_alignment(access, 4096, 4096);
	*file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
	H5Pclose(access);
	return *file < 0 ? ns_fail(NS_IO, "%s: cannot create the file", path) : NS_OK;
}

enum ns_status ns_h5_close(hid_t file, const char *path)
{
	return H5Fclose(file) < 0 ? ns_fail(NS_IO, "%s: cannot write the file out (is the disk full?)", path) : ns_sync_file(path);
}

int ns_h5_has(hid_t file, const char *name)
{
	return H5Lexists(file, name, H5P_DEFAULT) > 0;
}

static enum ns_status refuse_filters(hid_t plist, const char *path, const char *name)
{
	int i, n = H5Pget_nfilters(plist);

	if (H5Pget_external_count(plist) > 0)
		return ns_fail(NS_BAD_DATA, "%s: %s: keeps its data in another file; refused", path, name);
	for (i = 0; i < n; i++) {
		unsigned flags, config;
		size_t elements = 0;
		char label[64] = "";
		H5Z_filter_t f = H5Pget_filter2(plist, (unsigned)i, &flags, &elements, NULL, sizeof label, label, &config);

		if (f != H5Z_FILTER_DEFLATE && f != H5Z_FILTER_SHUFFLE && f != H5Z_FILTER_FLETCHER32)
			return ns_fail(NS_BAD_DATA, "%s: %s: filter %d (%s) is refused; none, deflate, shuffle and fletcher32 are read",
				       path, name, (int)f, label);
	}
	if (H5Pget_layout(plist) == H5D_VIRTUAL)
		return ns_fail(NS_BAD_DATA, "%s: %s: is a virtual data set; refused", path, name);
	return NS_OK;
}

static enum ns_status open_set(hid_t *set, hid_t file, const char *path, const char *name)
{
	enum ns_status status = NS_OK;
	H5L_info_t link;
	hid_t plist = -1, type = -1;
	H5T_class_t class;

	if (!ns_h5_has(file, name))
		return ns_fail(NS_BAD_DATA, "%s: has no data set '%s'", path, name);
	if (H5Lget_info(file, name, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
		return ns_fail(NS_BAD_DATA, "%s: %s: is a link, which is refused", path, name);
	*set = H5Dopen2(file, name, H5P_DEFAULT);
	if (*set < 0)
		return ns_fail(NS_BAD_DATA, "%s: %s: is not a data set", path, name);
	plist = H5Dget_create_plist(*set);
	type = H5Dget_type(*set);
	class = H5Tget_class(type);
	if (class != H5T_INTEGER && class != H5T_FLOAT)
		status = ns_fail(NS_BAD_DATA, "%s: %s: is of a type that is refused; integers and floats are read", path, name);
	else
		status = refuse_filters(plist, path, name);
	H5Pclose(plist);
	H5Tclose(type);
	if (status != NS_OK)
		H5Dclose(*set);
	return status;
}

static enum ns_status shape_of(hid_t set, const char *path, const char *name, int *rank, hsize_t dims[4])
{
	hid_t space = H5Dget_space(set);
	int n = H5Sget_simple_extent_ndims(space);

	if (n < 1 || n > 4) {
		H5Sclose(space);
		return ns_fail(NS_BAD_DATA, "%s: %s: has %d dimensions, 1 to 4 are wanted", path, name, n);
	}
	*rank = H5Sget_simple_extent_dims(space, dims, NULL);
	H5Sclose(space);
	return NS_OK;
}

enum ns_status ns_h5_shape(hid_t file, const char *path, const char *name, int *rank, hsize_t dims[4])
{
	enum ns_status status;
	hid_t set;

	NS_TRY(open_set(&set, file, path, name));
	status = shape_of(set, path, name, rank, dims);
	H5Dclose(set);
	return status;
}

int ns_h5_is(hid_t file, const char *name, enum ns_h5_type type)
{
	hid_t set = H5Dopen2(file, name, H5P_DEFAULT), stored;
	int same;

	if (set < 0)
		return 0;
	stored = H5Dget_type(set);
	same = H5Tequal(stored, native(type)) > 0;
	H5Tclose(stored);
	H5Dclose(set);
	return same;
}

/* a size that the file cannot back is a lie: nobody allocates for it (deflate packs at most 1032 to 1) */
static enum ns_status backed(hid_t set, const char *path, const char *name)
{
	hsize_t dims[4], total = 1, stored = H5Dget_storage_size(set);
	int n, i;

	NS_TRY(shape_of(set, path, name, &n, dims));
	for (i = 0; i < n; i++) {
		if (dims[i] && total > SIZE_MAX / 16 / dims[i])
			return ns_fail(NS_BAD_DATA, "%s: %s: claims an impossible size", path, name);
		total *= dims[i];
	}
	if (total && stored < total / 1100)
		return ns_fail(NS_BAD_DATA, "%s: %s: claims %llu values, but stores %llu bytes", path, name, (unsigned long long)total,
			       (unsigned long long)stored);
	return NS_OK;
}

enum ns_status ns_h5_backed(hid_t file, const char *path, const char *name)
{
	enum ns_status status;
	hid_t set;

	NS_TRY(open_set(&set, file, path, name));
	status = backed(set, path, name);
	H5Dclose(set);
	return status;
}

enum ns_status ns_h5_read(hid_t file, const char *path, const char *name, enum ns_h5_type type, int rank, hsize_t rows,
			  void **data)
{
	enum ns_status status = NS_OK;
	hsize_t dims[4], total = 1;
	hid_t set;
	int n, i;

	*data = NULL; /* whatever becomes of it, the caller may free */
	NS_TRY(open_set(&set, file, path, name));
	NS_GO(shape_of(set, path, name, &n, dims));
	if (n != rank || (rows != HSIZE_UNDEF && dims[0] != rows)) {
		status = ns_fail(NS_BAD_DATA, "%s: %s: has %d dimensions and %llu rows, %d and %llu are wanted", path, name, n,
				 (unsigned long long)dims[0], rank, (unsigned long long)rows);
		goto out;
	}
	NS_GO(backed(set, path, name));
	for (i = 0; i < n; i++)
		total *= dims[i];
	*data = malloc(total ? total * bytes_of(type) : 1);
	if (!*data)
		status = ns_fail(NS_NO_MEMORY, "%s: %s: no memory for %llu values", path, name, (unsigned long long)total);
	else if (H5Dread(set, native(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, *data) < 0)
		status = ns_fail(NS_BAD_DATA, "%s: %s: cannot be read; the file is damaged", path, name);
out:
	if (status != NS_OK) {
		free(*data);
		*data = NULL;
	}
	H5Dclose(set);
	return status;
}

#define CACHE ((size_t)256 << 20) /* at most: chunks as long as the data set are all of it */

/* chunks that hold one row, and those of the next: whoever reads on in the order of rows unpacks each once */
static hid_t with_room(hid_t set)
{
	hid_t plist = H5Dget_create_plist(set), type = H5Dget_type(set), access = H5Pcreate(H5P_DATASET_ACCESS);
	hsize_t chunk[4] = {1, 1, 1, 1}, dims[4] = {1, 1, 1, 1};
	size_t bytes = H5Tget_size(type);
	int rank, i;

	if (H5Pget_layout(plist) == H5D_CHUNKED && shape_of(set, "", "", &rank, dims) == NS_OK && H5Pget_chunk(plist, 4, chunk) == rank) {
		for (i = 0; i < rank; i++)
			bytes *= i ? (size_t)((dims[i] + chunk[i] - 1) / chunk[i] * chunk[i]) : (size_t)chunk[i];
		H5Pset_chunk_cache(access, 10007, 2 * bytes < CACHE ? 2 * bytes : CACHE, 1);
	}
	H5Tclose(type);
	H5Pclose(plist);
	return access;
}

enum ns_status ns_h5_set_open(hid_t *set, hid_t file, const char *path, const char *name)
{
	enum ns_status status;
	hid_t access;

	pthread_mutex_lock(&one_at_a_time);
	status = open_set(set, file, path, name);
	if (status == NS_OK) {
		access = with_room(*set);
		H5Dclose(*set); /* first: what is opened twice keeps the cache that it was opened with */
		*set = H5Dopen2(file, name, access);
		H5Pclose(access);
		status = *set < 0 ? failed(path, name, "open") : NS_OK;
	}
	pthread_mutex_unlock(&one_at_a_time);
	return status;
}

void ns_h5_file_close(hid_t file)
{
	pthread_mutex_lock(&one_at_a_time);
	H5Fclose(file);
	pthread_mutex_unlock(&one_at_a_time);
}

void ns_h5_set_close(hid_t set)
{
	pthread_mutex_lock(&one_at_a_time);
	H5Dclose(set);
	pthread_mutex_unlock(&one_at_a_time);
}

static enum ns_status read_rows(hid_t set, const char *path, const char *name, enum ns_h5_type type, hsize_t first, hsize_t count, void *data)
{
	hsize_t dims[4], start[4] = {first, 0, 0, 0};
	enum ns_status status = NS_OK;
	hid_t space, memory;
	int rank;

	NS_TRY(shape_of(set, path, name, &rank, dims));
	if (first + count > dims[0])
		return ns_fail(NS_INVALID, "%s: %s: rows beyond its end", path, name);
	dims[0] = count;
	space = H5Dget_space(set);
	memory = H5Screate_simple(rank, dims, NULL);
	H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, dims, NULL);
	if (H5Dread(set, native(type), memory, space, H5P_DEFAULT, data) < 0)
		status = ns_fail(NS_BAD_DATA, "%s: %s: rows %llu to %llu cannot be read; the file is damaged", path, name,
				 (unsigned long long)first, (unsigned long long)(first + count - 1));
	H5Sclose(memory);
	H5Sclose(space);
	return status;
}

enum ns_status ns_h5_set_read(hid_t set, const char *path, const char *name, enum ns_h5_type type, hsize_t first, hsize_t count, void *data)
{
	enum ns_status status;

	pthread_mutex_lock(&one_at_a_time);
	status = read_rows(set, path, name, type, first, count, data);
	pthread_mutex_unlock(&one_at_a_time);
	return status;
}

enum ns_status ns_h5_read_rows(hid_t file, const char *path, const char *name, enum ns_h5_type type, hsize_t first,
			       hsize_t count, void *data)
{
	enum ns_status status;
	hid_t set;

	pthread_mutex_lock(&one_at_a_time);
	status = open_set(&set, file, path, name);
	if (status == NS_OK) {
		status = read_rows(set, path, name, type, first, count, data);
		H5Dclose(set);
	}
	pthread_mutex_unlock(&one_at_a_time);
	return status;
}

int64_t ns_h5_offset(hid_t file, const char *name)
{
	hid_t set = H5Dopen2(file, name, H5P_DEFAULT), plist;
	haddr_t at = HADDR_UNDEF;

	if (set < 0)
		return -1;
	plist = H5Dget_create_plist(set);
	if (H5Pget_layout(plist) == H5D_CONTIGUOUS)
		at = H5Dget_offset(set);
	H5Pclose(plist);
	H5Dclose(set);
	return at == HADDR_UNDEF ? -1 : (int64_t)at;
}

enum ns_status ns_h5_write(hid_t file, const char *path, const char *name, enum ns_h5_type type, int rank,
			   const hsize_t *dims, const void *data)
{
	hid_t space = H5Screate_simple(rank, dims, NULL), plist = H5Pcreate(H5P_DATASET_CREATE),
	      link = H5Pcreate(H5P_LINK_CREATE), set;
	enum ns_status status = NS_OK;

	H5Pset_create_intermediate_group(link, 1);
	H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY);
	H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER);
	H5Pset_obj_track_times(plist, 0); /* the same data makes the same bytes */
	set = H5Dcreate2(file, name, native(type), space, link, plist, H5P_DEFAULT);
	if (set < 0 || (dims[0] && H5Dwrite(set, native(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0))
		status = failed(path, name, "write (is the disk full?)");
	if (set >= 0 && H5Dclose(set) < 0 && status == NS_OK)
		status = failed(path, name, "write");
	H5Pclose(plist);
	H5Pclose(link);
	H5Sclose(space);
	return status;
}

/* --- attributes --- */

static enum ns_status set_attribute(hid_t file, const char *path, const char *object, const char *name, hid_t type,
				    hid_t space, const void *value)
{
	hid_t a = H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	enum ns_status status = a < 0 || H5Awrite(a, type, value) < 0 ? failed(path, name, "write") : NS_OK;

	if (a >= 0)
		H5Aclose(a);
	H5Sclose(space);
	return status;
}

static hid_t text_type(void)
{
	hid_t type = H5Tcopy(H5T_C_S1);

	H5Tset_size(type, H5T_VARIABLE);
	H5Tset_cset(type, H5T_CSET_UTF8);
	return type;
}

enum ns_status ns_h5_set_text(hid_t file, const char *path, const char *object, const char *name, const char *text)
{
	hid_t type = text_type();
	enum ns_status status = set_attribute(file, path, object, name, type, H5Screate(H5S_SCALAR), &text);

	H5Tclose(type);
	return status;
}

enum ns_status ns_h5_set_texts(hid_t file, const char *path, const char *object, const char *name,
			       const char *const *texts, int n)
{
	hid_t type = text_type();
	hsize_t dims = (hsize_t)n;
	enum ns_status status =
		set_attribute(file, path, object, name, type, H5Screate_simple(1, &dims, NULL), texts);

	H5Tclose(type);
	return status;
}

enum ns_status ns_h5_set_real(hid_t file, const char *path, const char *object, const char *name, double x)
{
	return set_attribute(file, path, object, name, H5T_NATIVE_DOUBLE, H5Screate(H5S_SCALAR), &x);
}

static int variable_text(hid_t attribute)
{
	hid_t type = H5Aget_type(attribute);
	int is = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0;

	H5Tclose(type);
	return is;
}

/* one string or several; HDF5's own memory is copied and given back */
static enum ns_status get_texts(hid_t file, const char *object, const char *name, char ***texts, int *n)
{
	hid_t a = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT), space, type;
	hssize_t count;
	char **raw;
	int i;

	*texts = NULL;
	*n = 0;
	if (a < 0 || !variable_text(a)) {
		if (a >= 0)
			H5Aclose(a);
		return NS_BAD_DATA;
	}
	space = H5Aget_space(a);
	type = text_type();
	count = H5Sget_simple_extent_npoints(space);
	raw = count >= 0 && count < 1 << 20 ? calloc((size_t)count + 1, sizeof *raw) : NULL;
	*texts = raw ? calloc((size_t)count + 1, sizeof **texts) : NULL;
	if (*texts && count && H5Aread(a, type, raw) >= 0) {
		for (i = 0; i < count; i++)
			(*texts)[i] = strdup(raw[i] ? raw[i] : "");
		*n = (int)count;
		H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw);
	}
	free(raw);
	H5Tclose(type);
	H5Sclose(space);
	H5Aclose(a);
	return *texts ? NS_OK : NS_BAD_DATA;
}

char *ns_h5_get_text(hid_t file, const char *object, const char *name)
{
	char **texts, *text = NULL;
	int n;

	if (get_texts(file, object, name, &texts, &n) != NS_OK)
		return NULL;
	if (n == 1)
		text = strdup(texts[0]);
	ns_texts_free(texts, n);
	return text;
}

enum ns_status ns_h5_get_texts(hid_t file, const char *path, const char *object, const char *name, char ***texts, int *n)
{
	if (get_texts(file, object, name, texts, n) != NS_OK)
		return ns_fail(NS_BAD_DATA, "%s: has no attribute '%s' (variable-length UTF-8 strings)", path, name);
	return NS_OK;
}

double ns_h5_get_real(hid_t file, const char *object, const char *name, double otherwise)
{
	hid_t a = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT);
	double x = otherwise;

	if (a < 0)
		return otherwise;
	if (H5Aread(a, H5T_NATIVE_DOUBLE, &x) < 0)
		x = otherwise;
	H5Aclose(a);
	return x;
}

void ns_texts_free(char **texts, int n)
{
	int i;

	for (i = 0; texts && i < n; i++)
		free(texts[i]);
	free(texts);
}
