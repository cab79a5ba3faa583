#define _POSIX_C_SOURCE 200809L
#include "datasets/h5/h5.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "datasets/h5/h5_inner.h"
#include "host/base/base.h"

hid_t ns_h5_native(enum ns_h5_type type)
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

enum ns_status ns_h5_failed(const char *path, const char *name, const char *what)
{
	return ns_fail(NS_IO, "%s: %s: HDF5 cannot %s it", path, name, what);
}

/*
 * Our messages replace HDF5's own; and HDF5 must not flush at exit what a full disk refused before (it crashes there):
 * every file is closed by us.
 */
void ns_h5_configure(void)
{
	H5dont_atexit();
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
	/* links to other files are then of a class that this process does not know: none is followed, wherever it stands in a path */
	if (H5Lis_registered(H5L_TYPE_EXTERNAL) > 0)
		H5Lunregister(H5L_TYPE_EXTERNAL);
}

/* Workers read chunked files concurrently, and a cluster's HDF5 is often built without its own lock. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* the process that looks at files first, see look.c */
static int is_child;

/* What the child could read and this process cannot is a fault of the disk or the process, and not of the file. */
static enum ns_status unreadable(void)
{
	const char *look = getenv("NS_LOOK");

	return is_child || (look && !strcmp(look, "0")) ? NS_BAD_DATA : NS_IO;
}

enum ns_status ns_h5_unreadable(const char *path, const char *name)
{
	return ns_fail(unreadable(), "%s: %s: cannot be read: it is damaged", path, name);
}

void ns_h5_before_fork(void)
{
	pthread_mutex_lock(&one_at_a_time);
}

void ns_h5_forked(void)
{
	pthread_mutex_unlock(&one_at_a_time);
}

void ns_h5_after_fork(void)
{
	static const pthread_mutex_t fresh = PTHREAD_MUTEX_INITIALIZER;

	one_at_a_time = fresh; /* it was held by the thread that this one is a copy of */
	is_child = 1;
}

enum ns_status ns_h5_open_as(hid_t *file, const char *path, const char *name, hid_t access)
{
	pthread_mutex_lock(&one_at_a_time);
	ns_h5_configure();
	*file = H5Fopen(name, H5F_ACC_RDONLY, access);
	pthread_mutex_unlock(&one_at_a_time);
	return *file < 0 ? ns_fail(unreadable(), "%s: is not an HDF5 file, or is truncated", path) : NS_OK;
}

enum ns_status ns_h5_open_fd(hid_t *file, const char *path, int fd)
{
	char name[64];

	/* the very file that was opened and looked at, whatever has come to lie under its name since */
	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	return ns_h5_open_as(file, path, access(name, R_OK) ? path : name, H5P_DEFAULT);
}

enum ns_status ns_h5_open(hid_t *file, const char *path)
{
	enum ns_status status;
	int fd;

	*file = -1;
	NS_TRY(ns_open(&fd, path, 0));
	status = ns_h5_open_fd(file, path, fd);
	close(fd);
	return status;
}

int ns_h5_is_hard(hid_t file, const char *name)
{
	H5L_info_t link;

	return H5Lexists(file, name, H5P_DEFAULT) > 0 && H5Lget_info(file, name, &link, H5P_DEFAULT) >= 0 && link.type == H5L_TYPE_HARD;
}

int ns_h5_has(hid_t file, const char *name)
{
	const char *slash = strchr(name, '/');
	char group[64];

	/* H5Lexists() follows all but the last part of a path */
	if (slash && (slash - name >= (ptrdiff_t)sizeof group || snprintf(group, sizeof group, "%.*s", (int)(slash - name), name) < 1 ||
		      !ns_h5_is_hard(file, group)))
		return 0;
	return H5Lexists(file, name, H5P_DEFAULT) > 0;
}

enum ns_status ns_h5_open_hard(hid_t *set, hid_t file, const char *path, const char *name)
{
	if (!ns_h5_has(file, name))
		return ns_fail(NS_BAD_DATA, "%s: has no data set '%s'", path, name);
	if (!ns_h5_is_hard(file, name))
		return ns_fail(NS_BAD_DATA, "%s: %s: is a link, which is refused", path, name);
	*set = H5Dopen2(file, name, H5P_DEFAULT);
	return *set < 0 ? ns_fail(NS_BAD_DATA, "%s: %s: is not a data set", path, name) : NS_OK;
}

static enum ns_status open_set(hid_t *set, hid_t file, const char *path, const char *name)
{
	enum ns_status status = NS_OK;
	hid_t plist = -1, type = -1;
	H5T_class_t class;

	NS_TRY(ns_h5_open_hard(set, file, path, name));
	plist = H5Dget_create_plist(*set);
	type = H5Dget_type(*set);
	class = H5Tget_class(type);
	/* HDF5 converts in a buffer of a value's size, which a file may claim to be gigabytes */
	if ((class != H5T_INTEGER && class != H5T_FLOAT) || H5Tget_size(type) > 8)
		status = ns_fail(NS_BAD_DATA, "%s: %s: has a type that is refused, expected integers or floats of at most 8 bytes", path, name);
	else
		status = ns_h5_refuse_filters(plist, path, name);
	if (status == NS_OK)
		status = ns_h5_refuse_chunks(plist, type, path, name);
	H5Pclose(plist);
	H5Tclose(type);
	if (status != NS_OK)
		H5Dclose(*set);
	return status;
}

/* A value that the target type cannot hold ends the read: 2^32 + 4 is not taken for 4, nor .7 for 0; a float may lose digits. */
static H5T_conv_ret_t on_exception(H5T_conv_except_t what, hid_t from, hid_t to, void *a, void *b, void *data)
{
	(void)from;
	(void)to;
	(void)a;
	(void)b;
	(void)data;
	return what == H5T_CONV_EXCEPT_PRECISION || what == H5T_CONV_EXCEPT_PINF || what == H5T_CONV_EXCEPT_NINF || what == H5T_CONV_EXCEPT_NAN
		       ? H5T_CONV_UNHANDLED
		       : H5T_CONV_ABORT;
}

/* H5Dread(), but whole numbers come from whole numbers alone, and none is narrowed. */
static enum ns_status read_strictly(hid_t set, const char *path, const char *name, enum ns_h5_type type, hid_t memory, hid_t space, void *data)
{
	hid_t stored = H5Dget_type(set), transfer = H5Pcreate(H5P_DATASET_XFER);
	int integer = H5Tget_class(stored) == H5T_INTEGER;
	enum ns_status status = NS_OK;

	H5Pset_type_conv_cb(transfer, on_exception, NULL);
	if (type != NS_H5_F32 && !integer)
		status = ns_fail(NS_BAD_DATA, "%s: %s: holds fractions, expected whole numbers", path, name);
	else if (H5Dread(set, ns_h5_native(type), memory, space, transfer, data) < 0)
		status = ns_fail(unreadable(), "%s: %s: cannot be read: it is damaged, or a number in it is beyond %zu bytes", path, name,
				 bytes_of(type));
	H5Pclose(transfer);
	H5Tclose(stored);
	return status;
}

static enum ns_status shape_of(hid_t set, const char *path, const char *name, int *rank, hsize_t dims[4])
{
	hid_t space = H5Dget_space(set);
	int n = H5Sget_simple_extent_ndims(space);

	if (n < 1 || n > 4) {
		H5Sclose(space);
		return ns_fail(NS_BAD_DATA, "%s: %s: has %d dimensions, expected 1 to 4", path, name, n);
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
	same = H5Tequal(stored, ns_h5_native(type)) > 0;
	H5Tclose(stored);
	H5Dclose(set);
	return same;
}

/* A size that the file's bytes cannot make up is not allocated (deflate packs at most 1032 to 1). */
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

enum ns_status ns_h5_check_storage(hid_t file, const char *path, const char *name)
{
	enum ns_status status;
	hid_t set;

	NS_TRY(open_set(&set, file, path, name));
	status = backed(set, path, name);
	H5Dclose(set);
	return status;
}

enum ns_status ns_h5_read(hid_t file, const char *path, const char *name, enum ns_h5_type type, int rank, hsize_t rows, void **data)
{
	enum ns_status status = NS_OK;
	hsize_t dims[4], total = 1;
	hid_t set;
	int n, i;

	*data = NULL; /* the caller may free it whatever happens */
	NS_TRY(open_set(&set, file, path, name));
	NS_GO(shape_of(set, path, name, &n, dims));
	if (n != rank || (rows != HSIZE_UNDEF && dims[0] != rows)) {
		status = ns_fail(NS_BAD_DATA, "%s: %s: has %d dimensions and %llu rows, expected %d and %llu", path, name, n,
				 (unsigned long long)dims[0], rank, (unsigned long long)rows);
		goto out;
	}
	NS_GO(backed(set, path, name));
	for (i = 0; i < n; i++)
		total *= dims[i];
	*data = malloc(total ? total * bytes_of(type) : 1);
	if (!*data)
		status = ns_fail(NS_NO_MEMORY, "%s: %s: out of memory for %llu values", path, name, (unsigned long long)total);
	else
		status = read_strictly(set, path, name, type, H5S_ALL, H5S_ALL, *data);
out:
	if (status != NS_OK) {
		free(*data);
		*data = NULL;
	}
	H5Dclose(set);
	return status;
}

/* A cache for the chunks that hold one row, and those of the next: reading in the order of rows unpacks each chunk once. */
static hid_t with_chunk_cache(hid_t set)
{
	hid_t plist = H5Dget_create_plist(set), type = H5Dget_type(set), access = H5Pcreate(H5P_DATASET_ACCESS);
	hsize_t chunk[4] = {1, 1, 1, 1}, dims[4] = {1, 1, 1, 1};
	size_t bytes = H5Tget_size(type);
	int rank, i;

	if (H5Pget_layout(plist) == H5D_CHUNKED && shape_of(set, "", "", &rank, dims) == NS_OK && H5Pget_chunk(plist, 4, chunk) == rank) {
		for (i = 0; i < rank; i++)
			bytes *= i ? (size_t)((dims[i] + chunk[i] - 1) / chunk[i] * chunk[i]) : (size_t)chunk[i];
		H5Pset_chunk_cache(access, 10007, 2 * bytes < NS_H5_CACHE ? 2 * bytes : NS_H5_CACHE, 1);
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
		access = with_chunk_cache(*set);
		H5Dclose(*set); /* first: what is opened twice keeps the cache that it was opened with */
		*set = H5Dopen2(file, name, access);
		H5Pclose(access);
		status = *set < 0 ? ns_h5_failed(path, name, "open") : NS_OK;
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
		return ns_fail(NS_INVALID, "%s: %s: the rows lie beyond its end", path, name);
	dims[0] = count;
	space = H5Dget_space(set);
	memory = H5Screate_simple(rank, dims, NULL);
	H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, dims, NULL);
	status = read_strictly(set, path, name, type, memory, space, data);
	if (status != NS_OK)
		status = ns_fail_in(status, "rows %llu to %llu", (unsigned long long)first, (unsigned long long)(first + count - 1));
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

enum ns_status ns_h5_read_rows(hid_t file, const char *path, const char *name, enum ns_h5_type type, hsize_t first, hsize_t count, void *data)
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
