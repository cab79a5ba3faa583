/* datasets/h5/image.c - a file that lies in memory already. */
#define _POSIX_C_SOURCE 200809L
#include "datasets/h5/h5_inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/base.h"

struct image {
	void *bytes;
	size_t size;
};

static void *image_malloc(size_t size, H5FD_file_image_op_t op, void *data)
{
	const struct image *i = data;

	(void)op;
	return size == i->size ? i->bytes : NULL;
}

static void *image_memcpy(void *to, const void *from, size_t size, H5FD_file_image_op_t op, void *data)
{
	(void)from;
	(void)size;
	(void)op;
	(void)data;
	return to; /* they are the same bytes */
}

static void *image_realloc(void *bytes, size_t size, H5FD_file_image_op_t op, void *data)
{
	(void)bytes;
	(void)size;
	(void)op;
	(void)data;
	return NULL; /* it is only read */
}

static herr_t image_free(void *bytes, H5FD_file_image_op_t op, void *data)
{
	(void)bytes;
	(void)op;
	(void)data;
	return 0;
}

static void *same_data(void *data)
{
	return data;
}

static herr_t keep_data(void *data)
{
	(void)data;
	return 0;
}

enum ns_status ns_h5_open_image(hid_t *file, const char *path, void *bytes, size_t size)
{
	struct image image = {bytes, size};
	H5FD_file_image_callbacks_t calls = {image_malloc, image_memcpy, image_realloc, image_free, same_data, keep_data, &image};
	enum ns_status status;
	char name[64];
	hid_t access;

	/* a path that cannot exist, as that of an existing file is refused; and a different one each time, as libhdf5 takes files of one name for one */
	snprintf(name, sizeof name, "/dev/null/%p", bytes);
	ns_h5_configure();
	access = H5Pcreate(H5P_FILE_ACCESS);
	if (H5Pset_fapl_core(access, 1 << 16, 0) < 0 || H5Pset_file_image_callbacks(access, &calls) < 0 || H5Pset_file_image(access, bytes, size) < 0)
		status = ns_fail(NS_INTERNAL, "%s: HDF5 cannot open a file that is in memory", path);
	else
		status = ns_h5_open_as(file, path, name, access);
	H5Pclose(access);
	return status;
}
